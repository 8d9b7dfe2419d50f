"""An unprofiled chunk: idle time of the GPU, its causes, and the host's time in each part.

The profiler slows the host and not the GPU, so host and idle times of a profiled chunk are the
profiler's. What they really are follows from unprofiled times:

    idle, the chunk    wall time less GPU-busy time
    idle, a stage      CUDA-event time between its marks less GPU-busy time, scaled to that sum
    host, a stage      the host's time between its marks

Only the split inside a stage, by cause and part, is taken from the profile. Waits of the host for
the GPU are the exception: a slowed host hardly waits. Their most is what the host spends in reads
of an unprofiled chunk (`reads_ms`), and no more than all idle time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from harness.analysis.chunks import steady_chunks
from harness.analysis.interval import median
from harness.analysis.profile import IDLE_CAUSES, LAUNCH_CAUSES, Slot, wall_ms
from harness.profiled import Gap
from harness.result import Result


@dataclass(frozen=True)
class WhatIf:
    """Wall time of the chunk without some idle time; never below the busy time."""

    name: str
    wall_ms: float
    ratio: float  # to the wall time as it is
    paths: tuple[str, ...]  # in the record; below the chunk where they begin with "gaps"


def idle_ms(result: Result, slot: Slot) -> float:
    """Idle time of an unprofiled chunk; 0 where no device works."""
    busy_ms = slot.chunk.busy_ms
    return max(wall_ms(result, slot) - busy_ms, 0.0) if busy_ms else 0.0


def stage_ms(result: Result) -> dict[str, float]:
    """Median CUDA-event time of each stage over unprofiled steady chunks."""
    return _medians([chunk.stage_ms for chunk in steady_chunks(result)])


def stage_host_ms(result: Result) -> dict[str, float]:
    """Median host time of each stage over unprofiled steady chunks."""
    return _medians([chunk.stage_host_ms for chunk in steady_chunks(result)])


def _medians(times: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for stages in times for name in stages)
    return {name: median(stages[name] for stages in times if name in stages) for name in names}


def real_host(result: Result, slot: Slot) -> dict[str, float]:
    """Host time of each part of an unprofiled chunk, split inside a stage as in the profile."""
    profiled: dict[str, float] = {}
    for part in slot.chunk.parts:
        profiled[part.stage] = profiled.get(part.stage, 0.0) + part.host_ms
    known = stage_host_ms(result)
    even = min(1.0, wall_ms(result, slot) / slot.chunk.wall_ms) if slot.chunk.wall_ms else 0.0
    found: dict[str, float] = {}
    for part in slot.chunk.parts:
        stage_ms = known.get(part.stage, profiled[part.stage] * even)
        share = part.host_ms / profiled[part.stage] if profiled[part.stage] else 0.0
        found[part.part] = found.get(part.part, 0.0) + share * stage_ms
    return found


def stage_idle(result: Result, slot: Slot) -> dict[str, float]:
    """Idle time of each stage of an unprofiled chunk, as its own marks say: not scaled."""
    busy: dict[str, float] = {}
    for part in slot.chunk.parts:
        busy[part.stage] = busy.get(part.stage, 0.0) + part.device_ms
    return {
        name: max(time_ms - busy.get(name, 0.0), 0.0) for name, time_ms in stage_ms(result).items()
    }


def real_gaps(result: Result, slot: Slot) -> list[Gap]:
    """The profiled gaps at the size that they have in an unprofiled chunk."""
    factors = _factors(result, slot)
    return [
        msgspec.structs.replace(gap, idle_ms=gap.idle_ms * factors[gap.stage])
        for gap in slot.chunk.gaps
    ]


def real_idle(result: Result, slot: Slot) -> dict[str, float]:
    """Idle ms of each cause that occurs, in a fixed order."""
    found = dict.fromkeys(IDLE_CAUSES, 0.0)
    for gap in real_gaps(result, slot):
        found[gap.cause] += gap.idle_ms
    return {cause: time_ms for cause, time_ms in found.items() if time_ms}


def waits_ms(result: Result, slot: Slot) -> float | None:
    """The most that waits of the host cost an unprofiled chunk; None where nothing was taken."""
    reads_ms = result.profile.reads_ms if result.profile else None
    return None if reads_ms is None else min(reads_ms, idle_ms(result, slot))


def what_if(result: Result, slot: Slot) -> list[WhatIf]:
    """Wall time without launch gaps, without waits of the host, and without any idle time."""
    wall, idle = wall_ms(result, slot), real_idle(result, slot)
    launch_ms = sum(idle.get(cause, 0.0) for cause in LAUNCH_CAUSES)
    cases: list[tuple[str, float | None, tuple[str, ...]]] = [
        ("no launch gaps", launch_ms, ("gaps",)),
        ("no waits for the GPU", waits_ms(result, slot), ("/profile/reads_ms",)),
        ("no idle time at all", idle_ms(result, slot), ()),
    ]
    found = []
    for name, gained_ms, paths in cases:
        if gained_ms is not None:
            left_ms = max(wall - gained_ms, min(slot.chunk.busy_ms, wall))
            found.append(WhatIf(name, left_ms, left_ms / wall, paths))
    return found


def _factors(result: Result, slot: Slot) -> dict[str | None, float]:
    """By what the profiled gaps of each stage are multiplied; None stands for all stages."""
    profiled: dict[str | None, float] = {}
    for gap in slot.chunk.gaps:
        profiled[gap.stage] = profiled.get(gap.stage, 0.0) + gap.idle_ms
    total_ms = sum(profiled.values())
    real_ms = min(idle_ms(result, slot), total_ms)
    even = real_ms / total_ms if total_ms else 0.0
    known = stage_idle(result, slot)
    shares = {
        stage: known[stage] if stage in known else time_ms * even
        for stage, time_ms in profiled.items()
        if stage is not None
    }
    told_ms = sum(shares.values())
    if None in profiled or not told_ms:
        return dict.fromkeys(profiled, even)
    return {
        stage: shares[stage] * real_ms / told_ms / time_ms if time_ms else 0.0
        for stage, time_ms in profiled.items()
        if stage is not None
    }
