"""What the main thread does in a window of a trace: spells of one place, one cause, one operator.

A spell lasts from one break to the next, where place, cause or innermost operator change. So all
sums over spells are exclusive, and together they are the window.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.measure.idle import CAUSES, OPERATOR, Activity, disjoint
from harness.measure.ranges import NONE, Places, Steps
from harness.measure.trace import ChunkWindow, Ints
from harness.profiled import StageMark, Timeline

BINS = 240
SHARE_DECIMALS = 3
MS_DECIMALS = 3
HOST_CAUSES = [cause for cause in CAUSES if cause != "queue"]  # a host is in no queue


@dataclass(frozen=True)
class Spells:
    """Columns of spells, by begin."""

    place: Ints
    cause: Ints  # index into CAUSES
    operator: Ints  # name of the innermost operator, NONE for none
    lasts_ns: Ints

    def in_cause(self, cause: int, places: Places) -> Ints:
        """Time of one cause in each place."""
        chosen = self.cause == cause
        return places.sums_ns(self.place[chosen], self.lasts_ns[chosen])

    def in_operators(self) -> dict[tuple[int, int], int]:
        """Time in operators themselves, outside of runtime calls, by (operator, place)."""
        chosen = (self.cause == OPERATOR) & (self.operator != NONE)
        places = int(self.place.max(initial=0)) + 1
        pairs, which = np.unique(
            self.operator[chosen] * places + self.place[chosen], return_inverse=True
        )
        sums_ns = np.bincount(which, self.lasts_ns[chosen], minlength=len(pairs))
        rows = zip(pairs.tolist(), sums_ns.tolist(), strict=True)
        return {divmod(pair, places): round(ns) for pair, ns in rows}


def spells(
    window: ChunkWindow, places: Places, activity: Activity, operators: Steps, name: Ints
) -> Spells:
    """The window as spells; `name` is that of each operator of the main thread."""
    breaks = [
        breaks_ns[(breaks_ns > window.start_ns) & (breaks_ns < window.end_ns)]
        for breaks_ns in (places.breaks_ns, activity.breaks_ns, operators.breaks_ns)
    ]
    inside = np.sort(np.concatenate(breaks))  # of equal breaks all but the last last no time
    begin = np.concatenate([[window.start_ns], inside])
    return Spells(
        place=places.at(begin),
        cause=activity.at(begin),
        operator=np.append(name, NONE)[operators.at(begin)],
        lasts_ns=np.diff(begin, append=window.end_ns),
    )


def timeline(
    window: ChunkWindow, places: Places, activity: Activity, start_ns: Ints, end_ns: Ints
) -> Timeline:
    """The window in bins; `start_ns` and `end_ns` are those of its device events, by begin."""
    # From the window's begin: a float does not hold a time since months ago to the nanosecond.
    inside_ns = np.linspace(0, window.end_ns - window.start_ns, BINS + 1).astype(np.int64)
    edges = window.start_ns + inside_ns
    bin_ns = np.maximum(np.diff(edges), 1)  # of a window of less than that, empty bins
    spent = activity.spent_ns(edges[:-1], edges[1:]) / bin_ns
    busy = np.diff(_covered_until(start_ns, end_ns, edges)) / bin_ns
    return Timeline(
        bin_ms=round((window.end_ns - window.start_ns) / BINS / 1e6, 6),
        busy=_shares(busy),
        host={cause: _shares(spent[CAUSES.index(cause)]) for cause in HOST_CAUSES},
        stages=_stage_marks(window, places),
    )


def _covered_until(start_ns: Ints, end_ns: Ints, time_ns: Ints) -> Ints:
    """Length of the union of some intervals before each time."""
    if start_ns.size == 0:
        return np.zeros_like(time_ns)
    begin, end = disjoint(start_ns, end_ns)
    before = np.concatenate([[0], np.cumsum(end - begin)])
    place = np.searchsorted(begin, time_ns, side="right") - 1
    inside = np.minimum(time_ns, end[place]) - begin[place]
    return np.where(place >= 0, before[place] + np.maximum(inside, 0), 0)


def _shares(values: NDArray[np.float64]) -> list[float]:
    return [round(min(max(value, 0.0), 1.0), SHARE_DECIMALS) for value in values.tolist()]


def _stage_marks(window: ChunkWindow, places: Places) -> list[StageMark]:
    """Stretches of one stage, in order."""
    inside = (places.breaks_ns > window.start_ns) & (places.breaks_ns < window.end_ns)
    begin = np.concatenate([[window.start_ns], places.breaks_ns[inside]])
    bounds = [*begin.tolist(), window.end_ns]
    marks: list[tuple[str, int, int]] = []
    for index, place in enumerate(places.at(begin).tolist()):
        stage = places.names[place][0]
        start = bounds[index]
        if marks and marks[-1][0] == stage:
            start = marks.pop()[1]
        marks.append((stage, start, bounds[index + 1]))
    return [
        StageMark(
            stage=stage,
            start_ms=round((start - window.start_ns) / 1e6, MS_DECIMALS),
            end_ms=round((end - window.start_ns) / 1e6, MS_DECIMALS),
        )
        for stage, start, end in marks
        if stage
    ]
