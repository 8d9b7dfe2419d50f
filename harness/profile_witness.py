"""Two witnesses of a chunk's stages against each other: the trace, and the host's plain clock.

The profiler makes the host slower, so absolute times cannot agree. What can is how they split: a
stage of the trace is held against the same stage without the profiler, times the factor by which
the whole chunk took longer. And a stage with the device synchronised at its ends cannot be shorter
than the device works in it, by the trace.
"""

from dataclasses import dataclass

from harness.profiled import Profile, ProfiledChunk

MOST_DEVIATION = 0.05
LEAST_SHARE = 0.01  # of the chunk, for a stage whose deviation says anything


@dataclass(frozen=True)
class WitnessedStage:
    """One stage: the clock's two times, the trace's two times, and how far they are apart."""

    stage: str
    host_ms: float  # unprofiled, as the chunk runs
    synchronised_ms: float  # unprofiled, the device synchronised at both ends
    traced_ms: float  # profiled host time
    busy_ms: float  # the device's, by the trace
    deviation: float  # of the trace from the clock times the chunk's factor
    share: float  # of the chunk as it runs

    @property
    def agrees(self) -> bool:
        """Whether nothing of it is further apart than it may be."""
        if self.share < LEAST_SHARE:
            return True
        long_enough = self.synchronised_ms >= self.busy_ms * (1 - MOST_DEVIATION)
        return abs(self.deviation) <= MOST_DEVIATION and long_enough


def witnessed(profile: Profile) -> list[WitnessedStage]:
    """Every stage that both saw, in order; empty without a steady chunk or without the clock."""
    chunk = next((chunk for chunk in profile.chunks if chunk.kind == "steady"), None)
    if chunk is None:
        return []
    traced, busy = _by_stage(chunk)
    stages = [stage for stage in profile.stages_host_ms if stage in traced]
    clock_ms = sum(profile.stages_host_ms[stage] for stage in stages)
    traced_ms = sum(traced[stage] for stage in stages)
    if not clock_ms or not traced_ms:
        return []
    return [
        WitnessedStage(
            stage=stage,
            host_ms=profile.stages_host_ms[stage],
            synchronised_ms=profile.stages_synchronised_ms[stage],
            traced_ms=traced[stage],
            busy_ms=busy[stage],
            deviation=_deviation(
                traced[stage] / traced_ms, profile.stages_host_ms[stage] / clock_ms
            ),
            share=profile.stages_host_ms[stage] / clock_ms,
        )
        for stage in stages
    ]


def _by_stage(chunk: ProfiledChunk) -> tuple[dict[str, float], dict[str, float]]:
    """Host time and device time of each stage."""
    host: dict[str, float] = {}
    device: dict[str, float] = {}
    for part in chunk.parts:
        host[part.stage] = host.get(part.stage, 0.0) + part.host_ms
        device[part.stage] = device.get(part.stage, 0.0) + part.device_ms
    return host, device


def _deviation(share: float, of: float) -> float:
    return share / of - 1 if of else 0.0
