"""The profiled chunks of a case as tables: by part, stage and operator, and the host's time.

The profiler slows the host and not the GPU. So device times are taken as profiled, host times are
shown as profiled and named so, and idle time has a module of its own (`unprofiled`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from harness.analysis.interval import median
from harness.analysis.output_errors import fixes_of
from harness.analysis.part_groups import Grouping, group_of
from harness.matrix import Case
from harness.profiled import OperatorPart, PartTime, Profile, ProfiledChunk
from harness.result import Result

Kind = Literal["first", "filling", "steady"]
# What the host did while the GPU had nothing to do.
LAUNCH_CAUSES = ("launch", "operator", "python")  # it was on its way to the next launch
SYNC_CAUSES = ("sync", "copy")  # it waited for the GPU, or for a copy to or from it
IDLE_CAUSES = (*LAUNCH_CAUSES, *SYNC_CAUSES, "queue")
OTHER_PARTS = "other parts"
PARTS_NAMED = 3
LEAST_NAMED = 0.1  # of an operator's calls or time, to be named in its description


@dataclass(frozen=True)
class Slot:
    """A profiled chunk and its place in the record."""

    index: int
    chunk: ProfiledChunk

    @property
    def path(self) -> str:
        """Path of the chunk in the record."""
        return f"/profile/chunks/{self.index}"

    @property
    def idle_ms(self) -> float:
        """Profiled idle time inside the span."""
        return sum(gap.idle_ms for gap in self.chunk.gaps)


@dataclass(frozen=True)
class Portion:
    """A sum over some parts; `share` is of the chunk's device time, on a CPU of its host time."""

    name: str
    calls: int
    kernels: int
    device_ms: float
    host_ms: float
    sync_ms: float
    idle_ms: float  # as profiled; 0 for stages, which gaps do not name
    share: float
    indices: tuple[int, ...]  # of the parts in the record


@dataclass(frozen=True)
class Where:
    """A part and what of an operator belongs to it."""

    part: str
    calls: int
    device_ms: float
    share: float  # of the operator's device time; of its calls where it has none


@dataclass(frozen=True)
class OperatorUse:
    """One operator over all parts; `where` is its measured description, largest first."""

    name: str
    calls: int
    device_ms: float
    share: float  # of the chunk's device time
    where: tuple[Where, ...]
    indices: tuple[int, ...]


@dataclass(frozen=True)
class HostTime:
    """The host's time in a profiled chunk by category, in ms; they add up to `total_ms`.

    Operators and Python are one category, `mixed_ms`, in records that do not tell them apart.
    """

    launch_ms: float
    sync_ms: float
    operator_ms: float | None
    python_ms: float | None
    other_ms: float  # in other runtime calls
    mixed_ms: float | None

    @property
    def total_ms(self) -> float:
        """All of it."""
        own = (self.operator_ms or 0.0) + (self.python_ms or 0.0) + (self.mixed_ms or 0.0)
        return self.launch_ms + self.sync_ms + self.other_ms + own


def compiled_in_regions(case: Case) -> bool:
    """Whether a variant has compiled the blocks, so that a profile knows no parts inside them."""
    return "compiled-blocks" in fixes_of(case.variant)


def slots(profile: Profile, kind: Kind) -> list[Slot]:
    """Profiled chunks of one kind, in order."""
    return [Slot(i, chunk) for i, chunk in enumerate(profile.chunks) if chunk.kind == kind]


def main_slot(profile: Profile | None) -> Slot | None:
    """The profiled steady chunk: the record keeps the one with the middle wall time."""
    return next(iter(slots(profile, "steady")), None) if profile is not None else None


def wall_ms(result: Result, slot: Slot) -> float:
    """Unprofiled wall time of a steady chunk; the profiled one where that is not known."""
    known = result.profile.wall_median_ms if result.profile else None
    return known or slot.chunk.wall_ms


def by_group(slot: Slot, group: Grouping = group_of) -> list[Portion]:
    """Part groups, sum over stages; by device time, on a CPU by host time."""
    return _portions(slot, lambda part: group(part.stage, part.part).name, gaps=True)


def by_stage(slot: Slot) -> list[Portion]:
    """Stages, in the order of the loop."""
    return _portions(slot, lambda part: part.stage, gaps=False, ordered=False)


def by_operator(slot: Slot) -> list[OperatorUse]:
    """Operators by device time, each with the parts that its calls and time belong to."""
    rows: dict[str, list[tuple[int, OperatorPart]]] = {}
    for index, item in enumerate(slot.chunk.operators):
        rows.setdefault(item.operator, []).append((index, item))
    total_ms = sum(item.device_ms for item in slot.chunk.operators)
    uses = []
    for name, found in rows.items():
        device_ms = sum(item.device_ms for _, item in found)
        uses.append(
            OperatorUse(
                name=name,
                calls=sum(item.calls for _, item in found),
                device_ms=device_ms,
                share=device_ms / total_ms if total_ms else 0.0,
                where=_where([item for _, item in found]),
                indices=tuple(index for index, _ in found),
            )
        )
    return sorted(uses, key=lambda use: (-use.device_ms, -use.calls, use.name))


def _where(items: list[OperatorPart]) -> tuple[Where, ...]:
    device_ms = sum(item.device_ms for item in items)
    calls = sum(item.calls for item in items)
    found = [
        Where(
            item.part,
            item.calls,
            item.device_ms,
            item.device_ms / device_ms if device_ms else item.calls / calls if calls else 0.0,
        )
        for item in items
    ]
    return tuple(sorted(found, key=lambda where: (-where.share, where.part)))


def named_parts(use: OperatorUse) -> tuple[list[Where], float]:
    """The parts worth a name, and the share of all others together."""
    named = [where for where in use.where[:PARTS_NAMED] if where.share >= LEAST_NAMED]
    named = named or list(use.where[:1])
    return named, max(0.0, 1.0 - sum(where.share for where in named))


def host_time(slot: Slot) -> HostTime:
    """Host time of all parts by category."""
    parts = slot.chunk.parts
    launch_ms = sum(part.launch_ms for part in parts)
    sync_ms = sum(part.sync_ms for part in parts)
    rest_ms = max(sum(part.host_ms for part in parts) - launch_ms - sync_ms, 0.0)
    if any(part.operator_ms is None or part.python_ms is None for part in parts):
        return HostTime(launch_ms, sync_ms, None, None, 0.0, rest_ms)
    operator_ms = sum(part.operator_ms or 0.0 for part in parts)
    python_ms = sum(part.python_ms or 0.0 for part in parts)
    other_ms = max(rest_ms - operator_ms - python_ms, 0.0)
    return HostTime(launch_ms, sync_ms, operator_ms, python_ms, other_ms, None)


def busy_share(result: Result, slot: Slot) -> float:
    """Share of the unprofiled wall time in which the GPU works."""
    return min(1.0, slot.chunk.busy_ms / wall_ms(result, slot))


def distortion(profile: Profile) -> float | None:
    """Median profiled wall time over the unprofiled one; None where that is not known."""
    if not profile.steady_wall_ms or not profile.wall_median_ms:
        return None
    return median(profile.steady_wall_ms) / profile.wall_median_ms


def _portions(
    slot: Slot, key: Callable[[PartTime], str], *, gaps: bool, ordered: bool = True
) -> list[Portion]:
    rows: dict[str, list[tuple[int, PartTime]]] = {}
    for index, part in enumerate(slot.chunk.parts):
        rows.setdefault(key(part), []).append((index, part))
    idle = _idle_by_name(slot, key) if gaps else {}
    device_ms = sum(part.device_ms for part in slot.chunk.parts)
    total_ms = device_ms or sum(part.host_ms for part in slot.chunk.parts)
    portions = []
    for name, found in rows.items():
        parts = [part for _, part in found]
        own_ms = sum(part.device_ms for part in parts)
        host_ms = sum(part.host_ms for part in parts)
        portions.append(
            Portion(
                name=name,
                calls=sum(part.calls for part in parts),
                kernels=sum(part.kernels for part in parts),
                device_ms=own_ms,
                host_ms=host_ms,
                sync_ms=sum(part.sync_ms for part in parts),
                idle_ms=idle.get(name, 0.0),
                share=(own_ms if device_ms else host_ms) / total_ms if total_ms else 0.0,
                indices=tuple(index for index, _ in found),
            )
        )
    return sorted(portions, key=lambda item: -item.share) if ordered else portions


def _idle_by_name(slot: Slot, key: Callable[[PartTime], str]) -> dict[str, float]:
    """Idle ms by the name of its part; a part of several names gives each its device share."""
    idle: dict[str, float] = {}
    for gap in slot.chunk.gaps:
        holders = [part for part in slot.chunk.parts if part.part == gap.part]
        weights = [part.device_ms for part in holders]
        total = sum(weights)
        for part, weight in zip(holders, weights, strict=True):
            share = weight / total if total else 1 / len(holders)
            name = key(part)
            idle[name] = idle.get(name, 0.0) + gap.idle_ms * share
    return idle
