"""Two results side by side: what of each is compared, in quantities that no profiler inflates.

wall, busy             of unprofiled chunks (busy from its own pass), over all processes
device time, counts    of the profiled chunk: the profiler slows the host and changes no kernel
one small operator     fixed work of the host, taken before any profiler was attached
host time by part      of the profiled chunk, B's brought to A's overall speed
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.analysis.chunks import base_arm, steady_chunks
from harness.analysis.comparisons import Measure, process_values
from harness.analysis.interval import median
from harness.analysis.part_cells import HOST_KINDS, Cells, HostKind, Passes, cells
from harness.analysis.profile import main_slot, wall_ms
from harness.record_parts import ChunkState
from harness.result import Result
from harness.runtime_calls import Role, by_role

BEFORE_PROFILER = ("compile", "warmup", "steady")
USUAL_OPERATOR_US = 8.0  # where no record holds it
LEAST_HOST_MS = 0.5  # of a part, for it to tell of a chunk's speed


@dataclass(frozen=True)
class Side:
    """One side: a profiled result, and the other processes of its case."""

    result: Result
    processes: tuple[Result, ...]
    cells: Cells

    @cached_property
    def wall_ms(self) -> float:
        """Wall time of an unprofiled chunk."""
        return self._middle("wall") or wall_ms(self.result, self.cells.slot)

    @cached_property
    def busy_ms(self) -> float:
        """GPU-busy time of a chunk; 0 on a CPU."""
        return self._middle("busy") or self.cells.slot.chunk.busy_ms

    @cached_property
    def calls(self) -> dict[Role, int]:
        """Runtime calls of the profiled chunk by what they do."""
        return by_role(self.cells.slot.chunk.host_calls)

    @cached_property
    def compiling(self) -> float:
        """Share of steady chunks in which something was compiled."""
        states = [chunk.state for chunk in steady_chunks(self.result)]
        working = sum(state is not None and state.compile_work > 0 for state in states)
        return working / len(states) if states else 0.0

    def mean_state(self, field: str) -> float | None:
        """Mean of a circumstance over all chunks before the first profiler, where it was read.

        A mean, since a crowded core makes some readings far longer and others not at all.
        """
        states = [
            chunk.state or ChunkState()
            for one in self.processes
            for chunk in one.chunks
            if chunk.phase in BEFORE_PROFILER
        ]
        known = [value for state in states if (value := getattr(state, field)) is not None]
        return sum(known) / len(known) if known else None

    def _middle(self, measure: Measure) -> float | None:
        values = process_values(self.processes, measure, base_arm(self.result.case))
        return median(values) if values else None


@dataclass(frozen=True)
class Sides:
    """A and B."""

    a: Side
    b: Side

    @property
    def parts(self) -> list[str]:
        """Parts of either side."""
        return list(dict.fromkeys((*self.a.cells.parts, *self.b.cells.parts)))

    @property
    def operator_us(self) -> float:
        """Host time of one small operator with its launch, on A."""
        return self.a.mean_state("operator_us") or USUAL_OPERATOR_US

    @cached_property
    def speed(self) -> float:
        """B's profiled host over A's: the middle of all parts, which a change of some leaves."""
        ratios = []
        for part in self.parts:
            one, other = (_host_ms(side.cells, part) for side in (self.a, self.b))
            if min(one, other) >= LEAST_HOST_MS:
                ratios.append(other / one)
        return median(ratios) if ratios else 1.0

    def growth(self, part: str, kind: HostKind) -> float:
        """Profiled host time of a part, B less A, in ms; B at A's speed.

        The middle of its passes times their number: one pass in which the host was disturbed does
        not count.
        """
        one: Passes = self.a.cells.host.get((part, kind), {})
        other: Passes = self.b.cells.host.get((part, kind), {})
        stages = dict.fromkeys((*one, *other))
        changes = [other.get(s, 0.0) / self.speed - one.get(s, 0.0) for s in stages]
        return median(changes) * len(changes) if changes else 0.0


def sides(a: Sequence[Result], b: Sequence[Result]) -> Sides | None:
    """The first profiled process of each; None where either has none, or they differ in kind."""
    profiled = [_profiled(side) for side in (a, b)]
    if profiled[0] is None or profiled[1] is None:
        return None
    fold = profiled[0].case.compiled != profiled[1].case.compiled
    before, after = (cells(result, fold_vace=fold) for result in profiled if result is not None)
    if before is None or after is None or before.on_gpu != after.on_gpu:
        return None
    return Sides(Side(profiled[0], tuple(a), before), Side(profiled[1], tuple(b), after))


def _profiled(results: Sequence[Result]) -> Result | None:
    return next((result for result in results if main_slot(result.profile)), None)


def _host_ms(found: Cells, part: str) -> float:
    """Host time of a part without its waits, which follow the device."""
    return sum(
        sum(found.host.get((part, kind), {}).values()) for kind in HOST_KINDS if kind != "sync"
    )
