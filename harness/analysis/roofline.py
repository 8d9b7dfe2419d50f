"""The roofline of a chunk: what each part must take on this GPU at best, against what it takes.

floor = max(FLOPs / measured arithmetic rate, bytes / measured copy rate), after Williams, Waterman
and Patterson, "Roofline", Communications of the ACM 52 (2009). FLOPs and bytes are arithmetic
(`harness.cost`, `harness.cost_bytes`, or what a pipeline of the user's own describes), the rates
are measured beside the case.
"""

from dataclasses import dataclass
from typing import Literal

from harness.analysis.part_groups import Grouping, grouping
from harness.analysis.profile import Slot, main_slot
from harness.cost import chunk_flops
from harness.cost_bytes import chunk_bytes
from harness.cost_case import cost_config
from harness.profiled import Ceilings
from harness.result import Result
from harness.variants import BASELINE

Bound = Literal["arithmetic", "memory"]

# Part of the cost model -> role whose measured attention rate is its arithmetic ceiling.
ATTENTION_ROLES: dict[str, str] = {
    "self-attention": "cached_self",
    "VACE self-attention": "vace_self",
    "cross-attention": "cross",
}


@dataclass(frozen=True)
class Floor:
    """One part: the least time that this GPU needs for it, and what it took."""

    name: str
    flops: float
    moved_bytes: float
    floor_ms: float
    bound: Bound
    device_ms: float | None  # None: the profile attributes nothing to this part
    indices: tuple[int, ...]  # of the parts in the record

    @property
    def share(self) -> float | None:
        """Floor over measured: above 1 where a cache kept what the model counts as moved."""
        return self.floor_ms / self.device_ms if self.device_ms else None

    @property
    def above_ms(self) -> float:
        """Time above the floor, which a better implementation could gain."""
        return max((self.device_ms or 0.0) - self.floor_ms, 0.0)


@dataclass(frozen=True)
class Roofline:
    """All parts of a chunk, those furthest above their floor first."""

    slot: Slot
    floors: tuple[Floor, ...]
    uncovered_ms: float  # device time of parts that the cost model does not know

    @property
    def floor_ms(self) -> float:
        """The chunk at best: parts one after the other, each at its floor."""
        return sum(floor.floor_ms for floor in self.floors)


def roofline(result: Result) -> Roofline | None:
    """The roofline of the profiled steady chunk.

    None without profile, measured ceilings or, for a pipeline of the user's own, described work;
    and for a variant, which neither moves the baseline's bytes nor has all of its parts: that one
    has `harness.analysis.roofline_stack`.
    """
    if result.case.variant != BASELINE:
        return None
    slot, ceilings = main_slot(result.profile), result.ceilings
    if slot is None or ceilings is None or not slot.chunk.busy_ms:
        return None
    if not ceilings.matmul_flops_per_s or not ceilings.copy_bytes_per_s:
        return None
    flops, moved = _work(result, slot)
    if not flops and not moved:
        return None
    measured = _measured(slot, grouping(result.case))
    names = [name for name in {**flops, **moved} if flops.get(name) or moved.get(name)]
    floors = [
        _floor(name, flops.get(name, 0.0), moved.get(name, 0.0), ceilings, measured)
        for name in names
    ]
    covered_ms = sum(floor.device_ms or 0.0 for floor in floors)
    total_ms = sum(part.device_ms for part in slot.chunk.parts)
    ordered = sorted(floors, key=lambda floor: -floor.above_ms)
    return Roofline(slot, tuple(ordered), max(total_ms - covered_ms, 0.0))


def _floor(
    name: str,
    flops: float,
    moved_bytes: float,
    ceilings: Ceilings,
    measured: dict[str, tuple[float, tuple[int, ...]]],
) -> Floor:
    matmul, copy = ceilings.matmul_flops_per_s or 0.0, ceilings.copy_bytes_per_s or 0.0
    rate = ceilings.attention_flops_per_s.get(ATTENTION_ROLES.get(name, "")) or matmul
    arithmetic_ms, memory_ms = 1e3 * flops / rate, 1e3 * moved_bytes / copy
    device_ms, indices = measured.get(name, (None, ()))
    bound: Bound = "arithmetic" if arithmetic_ms >= memory_ms else "memory"
    floor_ms = max(arithmetic_ms, memory_ms)
    return Floor(name, flops, moved_bytes, floor_ms, bound, device_ms, indices)


def _work(result: Result, slot: Slot) -> tuple[dict[str, float], dict[str, float]]:
    """FLOPs and bytes of the chunk by part."""
    if result.case.pipeline:
        told = result.described.items()
        flops = {name: work.flops for name, work in told}
        return flops, {name: work.moved_bytes for name, work in told}
    config, mode, chunk = cost_config(result.case), result.case.mode, slot.chunk.chunk
    return chunk_flops(config, mode, chunk=chunk), chunk_bytes(config, mode, chunk)


def _measured(slot: Slot, group: Grouping) -> dict[str, tuple[float, tuple[int, ...]]]:
    """Device time and parts of each group."""
    found: dict[str, tuple[float, tuple[int, ...]]] = {}
    for index, part in enumerate(slot.chunk.parts):
        name = group(part.stage, part.part).name
        device_ms, indices = found.get(name, (0.0, ()))
        found[name] = (device_ms + part.device_ms, (*indices, index))
    return found
