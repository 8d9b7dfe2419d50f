"""The distance to the roofline of a changed workload: each kind of work beside its floor.

A kind's floor is the sum over its pieces (`harness.analysis.least_work`) of the longer of two
times: arithmetic at the rate measured for such work, and bytes at the measured copy rate. Attention
is held against its own kernel's rate, so its distance is what the chunk adds to that kernel. A kind
with a piece whose rate was not measured has no floor.
"""

from dataclasses import dataclass

from harness.analysis.least_work import Rate, Work, least_work
from harness.analysis.output_errors import fixes_of
from harness.analysis.profile import Slot, main_slot
from harness.analysis.roofline import Bound
from harness.analysis.work_kinds import KindTime, kind_times, unattributed_ms
from harness.matrix import Case
from harness.profiled import Ceilings
from harness.result import Result
from harness.variants import BASELINE, is_variant


@dataclass(frozen=True)
class Piece:
    """A piece of work with its two least times; no arithmetic where its rate is not known."""

    work: Work
    arithmetic_ms: float | None
    memory_ms: float

    @property
    def floor_ms(self) -> float | None:
        """The longer one."""
        return None if self.arithmetic_ms is None else max(self.arithmetic_ms, self.memory_ms)

    @property
    def bound(self) -> Bound:
        """What the longer one is of."""
        return "arithmetic" if (self.arithmetic_ms or 0.0) >= self.memory_ms else "memory"


@dataclass(frozen=True)
class KindFloor:
    """One kind of work: what it took, and its pieces; none where the cost model counts nothing."""

    time: KindTime
    pieces: tuple[Piece, ...]

    @property
    def name(self) -> str:
        """Of the kind."""
        return self.time.place

    @property
    def device_ms(self) -> float:
        """Measured."""
        return self.time.device_ms

    @property
    def missing(self) -> tuple[Rate, ...]:
        """Rates that were not measured."""
        unknown = (piece.work.rate for piece in self.pieces if piece.arithmetic_ms is None)
        return tuple(dict.fromkeys(unknown))

    @property
    def floor_ms(self) -> float | None:
        """All pieces one after the other; None without pieces, or without one of their rates."""
        floors = [piece.floor_ms for piece in self.pieces]
        known = [floor for floor in floors if floor is not None]
        return sum(known) if known and len(known) == len(floors) else None

    @property
    def bound(self) -> Bound | None:
        """What most of the floor is bound by."""
        if self.floor_ms is None:
            return None
        arithmetic_ms = sum(
            piece.floor_ms or 0.0 for piece in self.pieces if piece.bound == "arithmetic"
        )
        return "arithmetic" if 2 * arithmetic_ms >= self.floor_ms else "memory"

    @property
    def ratio(self) -> float | None:
        """Measured over floor."""
        return self.device_ms / self.floor_ms if self.floor_ms else None

    @property
    def gap_ms(self) -> float | None:
        """Measured less floor; below zero where a cache kept what the model counts as moved."""
        return None if self.floor_ms is None else self.device_ms - self.floor_ms

    @property
    def flops(self) -> float:
        """Of all pieces."""
        return sum(piece.work.flops for piece in self.pieces)

    @property
    def moved_bytes(self) -> float:
        """Of all pieces, at the least."""
        return sum(piece.work.moved_bytes for piece in self.pieces)


@dataclass(frozen=True)
class StackRoofline:
    """All kinds of a profiled chunk, and the device time in none of them."""

    result: Result
    ceilings: Ceilings
    slot: Slot
    kinds: tuple[KindFloor, ...]
    unattributed_ms: float

    def at(self, *paths: str) -> tuple[str, ...]:
        """Paths below the chunk as paths in the record; an empty list is its own source."""
        lists = {"operators": self.slot.chunk.operators, "parts": self.slot.chunk.parts}
        found = []
        for path in paths:
            field = path.split("/")[1]
            empty = "*" in path and not lists.get(field)
            found.append(f"{self.slot.path}/{field}" if empty else f"{self.slot.path}{path}")
        return tuple(found)

    @property
    def floor_ms(self) -> float | None:
        """Kinds one after the other, each at its floor; None where one that has work has none."""
        if any(kind.missing for kind in self.kinds):
            return None
        return sum(kind.floor_ms or 0.0 for kind in self.kinds)


def replays(case: Case) -> bool:
    """Whether a variant replays CUDA graphs, whose kernels no operator and no range launches."""
    return any(fix.startswith("graph-") for fix in fixes_of(case.variant))


def stack_roofline(result: Result) -> StackRoofline | None:
    """Of the profiled steady chunk of a variant.

    None for the baseline and for a pipeline of the user's own, whose work other sections know; for
    a variant that replays graphs; without a profile of a GPU; and without the measured rates of
    plain products and of copies.
    """
    case, slot, ceilings = result.case, main_slot(result.profile), result.ceilings
    if case.pipeline or case.variant == BASELINE or not is_variant(case.variant):
        return None
    if slot is None or ceilings is None or not slot.chunk.busy_ms or replays(case):
        return None
    if not ceilings.matmul_flops_per_s or not ceilings.copy_bytes_per_s:
        return None
    pieces = [_piece(work, ceilings) for work in least_work(case, slot.chunk.chunk)]
    times = kind_times(slot)
    kinds = tuple(
        KindFloor(time, tuple(piece for piece in pieces if piece.work.kind == time.place))
        for time in times
    )
    return StackRoofline(result, ceilings, slot, kinds, unattributed_ms(slot, times))


def rate_of(ceilings: Ceilings, rate: Rate) -> float | None:
    """A measured rate in FLOP/s."""
    if rate == "matmul":
        return ceilings.matmul_flops_per_s
    if rate == "fp8":
        return ceilings.fp8_matmul_flops_per_s
    return ceilings.attention_flops_per_s.get(rate)


def _piece(work: Work, ceilings: Ceilings) -> Piece:
    rate, copy = rate_of(ceilings, work.rate), ceilings.copy_bytes_per_s
    assert copy, "checked by the caller"
    arithmetic_ms = 1e3 * work.flops / rate if rate else None
    return Piece(work, arithmetic_ms, 1e3 * work.moved_bytes / copy)
