"""Attribution: every device event of a profiled chunk to the place that launched it.

An event and the runtime call that launched it carry the same correlation id. The call lies inside
an operator, a part and a stage on its own thread, and the innermost ones get the event's time; so
each event counts once. Its chunk is that of the call. Calls are placed by their middle: their times
come from CUPTI and those of the ranges from torch, and the clocks differ by parts of a microsecond.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.errors import CaseError
from harness.measure.host_time import Spells, spells, timeline
from harness.measure.idle import (
    MS_DECIMALS,
    NO_CALL,
    OPERATOR,
    PYTHON,
    Activity,
    Launched,
    covering,
    disjoint,
    idle_gaps,
    span_and_busy_ns,
)
from harness.measure.ranges import NONE, NOWHERE, Places, innermost
from harness.measure.trace import HostEvents, Ints, Kind, Trace, read_trace
from harness.measure.trace_file import NO_CORRELATION
from harness.profiled import OperatorPart, PartTime, ProfiledChunk

NO_OPERATOR = "(no operator)"  # of launches right inside a part or stage
PROFILER_STEP = "ProfilerStep#"  # torch's own range around everything says nothing


@dataclass(frozen=True)
class Calls:
    """Columns of runtime calls of all threads, by begin. The last row, index NO_CALL, is none."""

    events: HostEvents
    chunk: Ints  # index of the window, NONE between chunks
    place: Ints  # NOWHERE on other threads: ranges of the main thread say nothing about them
    operator: Ints  # name of the innermost operator or annotation of its thread, NONE for none
    alone_ns: Ints  # on the main thread: without what a call around it covers; else 0


class Attribution:
    """A trace joined: device events to calls, calls and operators to places and chunks."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        host, device = trace.host, trace.device
        main = host.where(host.thread == trace.main_thread)
        self.places = Places(main, trace.names)
        self.activity = Activity(main)
        self._window_start = np.array([window.start_ns for window in trace.chunks])
        self._window_end = np.array([window.end_ns for window in trace.chunks])
        steps = np.array([name.startswith(PROFILER_STEP) for name in trace.names])
        named = (host.kind == Kind.ANNOTATION) | (host.kind == Kind.OPERATOR)
        self.operators = operators = host.where(named & ~steps[host.name])
        own = operators.where(operators.thread == trace.main_thread)
        self.steps, self.main_operators = innermost(own), own.name
        self.operator_place = self._place(operators, operators.start_ns)
        self.operator_chunk = self._chunk(operators.start_ns)
        self.calls = self._calls(host.where(host.kind >= Kind.CALL))
        self.call = _launching_calls(self.calls.events, device.correlation)
        self.device_chunk = np.where(
            self.call == NO_CALL, self._chunk(device.start_ns), self.calls.chunk[self.call]
        )

    def _chunk(self, time_ns: Ints) -> Ints:
        return covering(self._window_start, self._window_end, time_ns)

    def _place(self, events: HostEvents, time_ns: Ints) -> Ints:
        on_main = events.thread == self.trace.main_thread
        return np.where(on_main, self.places.at(time_ns), NOWHERE)

    def _calls(self, calls: HostEvents) -> Calls:
        middle_ns = (calls.start_ns + calls.end_ns) // 2
        operator = np.full(middle_ns.size, NONE, dtype=np.int64)
        for thread in np.unique(calls.thread).tolist():
            around = self.operators.where(self.operators.thread == thread)
            mine = calls.thread == thread
            operator[mine] = np.append(around.name, NONE)[innermost(around).at(middle_ns[mine])]
        on_main = np.flatnonzero(calls.thread == self.trace.main_thread)
        begin, end = disjoint(calls.start_ns[on_main], calls.end_ns[on_main])
        alone_ns = np.zeros(middle_ns.size, dtype=np.int64)
        alone_ns[on_main] = end - begin
        return Calls(
            events=HostEvents(*(np.append(column, 0) for column in vars(calls).values())),
            chunk=np.append(self._chunk(middle_ns), NONE),
            place=np.append(self._place(calls, middle_ns), NOWHERE),
            operator=np.append(operator, NONE),
            alone_ns=np.append(alone_ns, 0),
        )

    def chunk(self, index: int) -> ProfiledChunk:
        """The account of one chunk; its event time is left to the caller."""
        window, device = self.trace.chunks[index], self.trace.device
        mine = self.device_chunk == index
        call = self.call[mine]
        launched = Launched(
            start_ns=device.start_ns[mine],
            end_ns=device.end_ns[mine],
            call=call,
            call_start_ns=self.calls.events.start_ns[call],
            call_end_ns=self.calls.events.end_ns[call],
            place=self.calls.place[call],
        )
        spent = spells(window, self.places, self.activity, self.steps, self.main_operators)
        span_ns, busy_ns = span_and_busy_ns(launched)
        lasted_ns = launched.end_ns - launched.start_ns
        # An event without a call has the table's last row: no operator and NOWHERE.
        found = (self.calls.operator[call] != NONE) | (self.calls.place[call] != NOWHERE)
        made = self.calls.events.name[self.calls.chunk == index].tolist()
        return ProfiledChunk(
            kind=window.kind,
            chunk=window.index,
            wall_ms=_ms(window.end_ns - window.start_ns),
            event_ms=None,
            span_ms=_ms(span_ns),
            busy_ms=_ms(busy_ns),
            kernels=call.size,
            unattributed_ms=_ms(lasted_ns[~found].sum()),
            parts=self._parts(index, call[found], lasted_ns[found], spent),
            operators=self._operators(index, call[found], lasted_ns[found], spent),
            gaps=idle_gaps(launched, self.activity, self.places.names),
            host_calls=dict(Counter(self.trace.names[name] for name in made).most_common()),
            timeline=timeline(
                window, self.places, self.activity, launched.start_ns, launched.end_ns
            ),
        )

    def _parts(self, index: int, call: Ints, lasted_ns: Ints, spent: Spells) -> list[PartTime]:
        """Rows in the order in which places first appear in the trace."""
        window, places, calls = self.trace.chunks[index], self.places, self.calls
        size, kind = len(places.names), calls.events.kind
        entry = places.entry[self._chunk(places.entry_ns) == index]
        entries = np.bincount(entry, minlength=size)
        entries[NOWHERE] = 1  # the chunk's own range
        host_ns = places.host_ns(window.start_ns, window.end_ns)
        kernels = np.bincount(calls.place[call], minlength=size)
        device_ns = places.sums_ns(calls.place[call], lasted_ns)
        operator_ns = spent.in_cause(OPERATOR, places)
        python_ns = spent.in_cause(PYTHON, places)
        launching = (kind == Kind.LAUNCH) | (kind == Kind.COPY)
        launch_ns, sync_ns = (
            places.sums_ns(calls.place[chosen], calls.alone_ns[chosen])
            for chosen in ((calls.chunk == index) & made for made in (launching, kind == Kind.SYNC))
        )
        return [
            PartTime(
                stage=stage,
                part=part,
                calls=int(entries[i]),
                kernels=int(kernels[i]),
                device_ms=_ms(device_ns[i]),
                host_ms=_ms(host_ns[i]),
                launch_ms=_ms(launch_ns[i]),
                sync_ms=_ms(sync_ns[i]),
                operator_ms=_ms(operator_ns[i]),
                python_ms=_ms(python_ns[i]),
            )
            for i, (stage, part) in enumerate(places.names)
            if host_ns[i] or kernels[i]
        ]

    def _operators(
        self, index: int, call: Ints, lasted_ns: Ints, spent: Spells
    ) -> list[OperatorPart]:
        """Rows by device time. Launches outside of operators are the calls of NO_OPERATOR."""
        names = [*self.trace.names, NO_OPERATOR]  # the last one is that of NONE
        part = [part for _, part in self.places.names]
        mine = self.operator_chunk == index
        name, place = self.operators.name[mine].tolist(), self.operator_place[mine].tolist()
        calls = Counter((names[i], part[j]) for i, j in zip(name, place, strict=True))
        name, place = self.calls.operator[call].tolist(), self.calls.place[call].tolist()
        device_ns: Counter[tuple[str, str]] = Counter()
        for i, j, time_ns in zip(name, place, lasted_ns.tolist(), strict=True):
            calls[names[i], part[j]] += i == NONE
            device_ns[names[i], part[j]] += time_ns
        host_ns: Counter[tuple[str, str]] = Counter()
        for (i, j), time_ns in spent.in_operators().items():
            host_ns[names[i], part[j]] += time_ns
        rows = [
            OperatorPart(
                operator=key[0],
                part=key[1],
                calls=count,
                device_ms=_ms(device_ns[key]),
                host_ms=_ms(host_ns[key]),
            )
            for key, count in calls.items()
        ]
        return sorted(rows, key=lambda row: (-row.device_ms, -row.calls, row.operator, row.part))


def _launching_calls(calls: HostEvents, correlation: Ints) -> Ints:
    """Index of the call with each correlation id, the outermost of several; else NO_CALL."""
    ids, first = np.unique(calls.correlation, return_index=True)
    place = np.searchsorted(ids, correlation)
    matching = np.append(ids, NO_CORRELATION)[place] == correlation
    return np.where(
        matching & (correlation > NO_CORRELATION), np.append(first, NO_CALL)[place], NO_CALL
    )


def _ms(time_ns: int) -> float:
    return round(int(time_ns) / 1e6, MS_DECIMALS)


def profiled_chunks(path: Path, *, on_gpu: bool) -> list[ProfiledChunk]:
    """Every profiled chunk of a trace file, in order; `event_ms` is None, for the caller to fill.

    Raises CaseError for a file that cannot be used, and on a GPU for a trace without device events.
    """
    trace = read_trace(path)
    if on_gpu and trace.device.start_ns.size == 0:
        raise CaseError(f"trace {path.name} has no device events", next_step="check CUPTI")
    attribution = Attribution(trace)
    return [attribution.chunk(index) for index in range(len(trace.chunks))]
