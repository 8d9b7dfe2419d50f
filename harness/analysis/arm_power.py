"""Whether an arm of a paired case is held by the GPU's power cap, by the state of its timed chunks.

An arm is held where NVML named the power cap as the reason for a lower clock in more than half of
its steady chunks. What that costs is bounded by the clock: 1 - f / f_max of its GPU time, if all of
its kernels follow the SM clock, which copies do not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.fix_arms import ArmTimes, steady
from harness.analysis.interval import median
from harness.record_parts import ChunkSample

POWER_CAPPED = "power capped"  # a chunk's flag, from NVML's clocks-event reasons
HELD_SHARE = 0.5


@dataclass(frozen=True)
class ArmPower:
    """Clock and power of an arm's steady chunks, medians over all of its processes."""

    times: ArmTimes
    sm_clock_mhz: float
    highest_mhz: float | None
    watts: float | None
    limit_watts: float | None
    capped: int  # chunks
    chunks: int

    @property
    def held(self) -> bool:
        """Whether the power cap decides how fast the arm is."""
        return self.capped > HELD_SHARE * self.chunks

    @property
    def at_most(self) -> float | None:
        """Share of its GPU time that the cap costs at most."""
        if not self.highest_mhz:
            return None
        return max(1 - self.sm_clock_mhz / self.highest_mhz, 0.0)


def arm_power(times: ArmTimes) -> ArmPower | None:
    """None where no chunk of the arm has a sampled clock."""
    chunks = [chunk for result in times.results for chunk in steady(result, times.arm)]
    clocks = _known(chunks, "sm_clock_mhz")
    if not clocks:
        return None
    power_mw = _known(chunks, "power_mw")
    return ArmPower(
        times=times,
        sm_clock_mhz=median(clocks),
        highest_mhz=_fact(times, "gpu.max_sm_clock_mhz"),
        watts=median(power_mw) / 1e3 if power_mw else None,
        limit_watts=_fact(times, "gpu.power_limit_w"),
        capped=sum(POWER_CAPPED in chunk.flags for chunk in chunks),
        chunks=len(chunks),
    )


def arms_power(arms: Sequence[ArmTimes]) -> tuple[ArmPower, ...]:
    """Of all arms, if the power cap holds one of them; else nothing, for it decides nothing."""
    found = [one for times in arms if (one := arm_power(times)) is not None]
    return tuple(found) if any(one.held for one in found) else ()


def _known(chunks: Sequence[ChunkSample], field: str) -> list[float]:
    values = (getattr(chunk.state, field) for chunk in chunks if chunk.state is not None)
    return [value for value in values if value]


def _fact(times: ArmTimes, name: str) -> float | None:
    fact = times.results[0].provenance.get(name)
    value = fact.value if fact is not None else None
    return float(value) if isinstance(value, int | float) else None
