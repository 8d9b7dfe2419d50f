"""Idle time of the device, gap by gap, split by what kept the host from launching in time.

A gap ends with a device event that some call launched. If that call had ended before the gap began,
or an earlier kernel of the same call ran already (a graph), the device had the work: "queue".
Otherwise the host was late. What it did from the gap's begin to the call's begin names the cause of
that time, and from there on it is "launch".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from harness.measure.trace import HostEvents, Ints, Kind
from harness.profiled import Gap

Cause = Literal["launch", "sync", "copy", "operator", "python", "queue"]
CAUSES: tuple[Cause, ...] = get_args(Cause)
LAUNCH, SYNC, COPY, OPERATOR, PYTHON, QUEUE = range(len(CAUSES))
CAUSE_OF_CALL = {Kind.CALL: LAUNCH, Kind.LAUNCH: LAUNCH, Kind.COPY: COPY, Kind.SYNC: SYNC}
NO_CALL = -1
EVER_NS = 1 << 62  # later than every event
MS_DECIMALS = 6  # whole nanoseconds, so that sums are exact


@dataclass(frozen=True)
class Launched:
    """Device events of one chunk by begin, each with the call that launched it. Columns.

    Where `call` is NO_CALL, the call's bounds are not read.
    """

    start_ns: Ints
    end_ns: Ints
    call: Ints  # an id of the call
    call_start_ns: Ints
    call_end_ns: Ints
    place: Ints  # of the call, as an index


class Activity:
    """What the main thread does at each moment: one cause from each break to the next."""

    def __init__(self, main: HostEvents) -> None:
        calls = main.where(main.kind >= Kind.CALL)
        operators = main.where(main.kind == Kind.OPERATOR)
        call_start, call_end = disjoint(calls.start_ns, calls.end_ns)
        bounds = (call_start, call_end, *disjoint(operators.start_ns, operators.end_ns))
        self.breaks_ns = np.sort(np.concatenate([np.array([-EVER_NS]), *bounds]))
        lookup = np.full(max(Kind) + 1, PYTHON)
        for kind, cause in CAUSE_OF_CALL.items():
            lookup[kind] = cause
        call = covering(call_start, call_end, self.breaks_ns)
        operator = covering(*bounds[2:], self.breaks_ns)
        self._cause = np.where(operator >= 0, OPERATOR, PYTHON)
        if calls.kind.size:
            self._cause = np.where(call >= 0, lookup[calls.kind[call]], self._cause)
        lasts_ns = np.diff(self.breaks_ns, append=self.breaks_ns[-1])
        by_cause = lasts_ns * (self._cause == np.arange(len(CAUSES))[:, None])
        self._before_ns = np.cumsum(by_cause, axis=1) - by_cause  # [cause, break]

    def at(self, time_ns: Ints) -> Ints:
        """The cause at each time, as an index into CAUSES."""
        return self._cause[np.searchsorted(self.breaks_ns, time_ns, side="right") - 1]

    def spent_ns(self, begin_ns: Ints, end_ns: Ints) -> Ints:
        """Time in each cause within each interval: [cause, interval]; together the interval."""
        return self._until_ns(end_ns) - self._until_ns(begin_ns)

    def _until_ns(self, time_ns: Ints) -> Ints:
        place = np.searchsorted(self.breaks_ns, time_ns, side="right") - 1
        inside_ns = time_ns - self.breaks_ns[place]
        now = self._cause[place] == np.arange(len(CAUSES))[:, None]
        return np.asarray(self._before_ns[:, place] + now * inside_ns)


def disjoint(start_ns: Ints, end_ns: Ints) -> tuple[Ints, Ints]:
    """Intervals by begin, each without what an earlier one covers; some become empty."""
    if start_ns.size == 0:
        return start_ns, end_ns
    covered_to = np.maximum.accumulate(end_ns)
    begin = start_ns.copy()
    begin[1:] = np.maximum(start_ns[1:], covered_to[:-1])
    return begin, covered_to


def covering(start_ns: Ints, end_ns: Ints, time_ns: Ints) -> Ints:
    """Index of the disjoint interval that holds each time, -1 for none."""
    index = np.searchsorted(start_ns, time_ns, side="right") - 1
    if start_ns.size == 0:
        return index
    return np.where((index >= 0) & (time_ns < end_ns[index]), index, -1)


def span_and_busy_ns(launched: Launched) -> tuple[int, int]:
    """First begin to last end of some device events, and the length of their union."""
    if launched.start_ns.size == 0:
        return 0, 0
    begin, end = disjoint(launched.start_ns, launched.end_ns)
    return int(launched.end_ns.max() - launched.start_ns[0]), int((end - begin).sum())


def idle_gaps(
    launched: Launched, activity: Activity, places: Sequence[tuple[str, str]]
) -> list[Gap]:
    """Rows of idle time by cause and place, the longest first. They add up to span less busy.

    A gap counts in each of its causes. `places` are stages and parts by the index of a place.
    """
    if launched.start_ns.size == 0:
        return []
    covered_to = np.maximum.accumulate(launched.end_ns)[:-1]
    late = np.flatnonzero(launched.start_ns[1:] > covered_to)
    gap_start, after = covered_to[late], late + 1
    split_ns = _split_ns(launched, after, gap_start, activity)
    rows = []
    for place in np.unique(launched.place[after]).tolist():
        mine = split_ns[:, launched.place[after] == place]
        stage, part = places[place]
        rows += [
            Gap(
                cause=cause,
                stage=stage,
                part=part,
                gaps=int(np.count_nonzero(idle_ns)),
                idle_ms=round(int(idle_ns.sum()) / 1e6, MS_DECIMALS),
            )
            for cause, idle_ns in zip(CAUSES, mine, strict=True)
            if idle_ns.any()
        ]
    return sorted(rows, key=lambda row: (-row.idle_ms, row.cause, row.stage or "", row.part))


def _split_ns(launched: Launched, after: NDArray[Any], gap_start: Ints, activity: Activity) -> Ints:
    """Idle time of each gap by cause: [cause, gap]. `after` is the event that ends the gap."""
    gap_end = launched.start_ns[after]
    call = launched.call[after]
    known = call != NO_CALL
    _, first_event, call_index = np.unique(launched.call, return_index=True, return_inverse=True)
    not_first = first_event[call_index[after]] < after
    queued = known & (not_first | (launched.call_end_ns[after] <= gap_start))
    call_start = np.where(known, launched.call_start_ns[after], gap_end)
    launch_start = np.where(queued, gap_start, np.clip(call_start, gap_start, gap_end))
    split_ns = activity.spent_ns(gap_start, launch_start)
    split_ns[np.where(queued, QUEUE, LAUNCH), np.arange(after.size)] += gap_end - launch_start
    return split_ns
