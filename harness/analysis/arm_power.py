"""Whether the GPU's power cap holds a case or one of its arms, by the state of its timed chunks.

It is held where NVML named the power cap as the reason for a lower clock in more than half of the
steady chunks. With the median SM clock f of these and the GPU's highest f_max, that costs at most
1 - f / f_max of its GPU time: all of it, if every kernel takes time in proportion to 1 / f. Copies
and what waits for memory do not follow the SM clock, so they gain less.

Arms take turns in short blocks, and the GPU's control of power takes some tenths of a second. So a
block begins in the state that the arm before left, and ends closer to what the arm does alone: the
clock of the last chunk of each block stands beside the median.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.chunks import steady_chunks
from harness.analysis.claims import Measured, Unit, Words
from harness.analysis.fix_arms import ArmTimes
from harness.analysis.interval import median
from harness.record_parts import ChunkSample, CounterReading
from harness.result import Result

POWER_CAPPED = "power capped"  # a chunk's flag, from NVML's clocks-event reasons
CAP_COUNTER = "sw_power_cap_ns"
HELD_SHARE = 0.5
LIMITS: dict[str, float] = {"HELD_SHARE": HELD_SHARE}

FLAGS, STATE = "/chunks/*/flags", "/chunks/*/state"
CLOCK, POWER = f"{STATE}/sm_clock_mhz", f"{STATE}/power_mw"
HIGHEST, LIMIT = "/provenance/gpu.max_sm_clock_mhz", "/provenance/gpu.power_limit_w"


@dataclass(frozen=True)
class ArmPower:
    """Clock and power of steady chunks, medians over all processes."""

    results: tuple[Result, ...]
    arm: str | None  # None: the case has no arms
    sm_clock_mhz: float
    last_mhz: float | None  # in the last chunk of each block
    highest_mhz: float | None
    watts: float | None
    limit_watts: float | None
    capped: int  # chunks
    chunks: int
    capped_share: float | None  # of the time of its blocks, by the GPU's own counter

    @property
    def held(self) -> bool:
        """Whether the power cap decides how fast the arm is."""
        return self.capped > HELD_SHARE * self.chunks

    @property
    def at_most(self) -> float | None:
        """Share of its GPU time that the cap costs at most; None without the highest clock."""
        if not self.highest_mhz:
            return None
        return max(1 - self.sm_clock_mhz / self.highest_mhz, 0.0)


def case_power(results: Sequence[Result], arm: str | None) -> ArmPower | None:
    """Of the processes of a case, or of one of its arms; None where no chunk has a clock."""
    chunks = [chunk for result in results for chunk in steady_chunks(result, arm)]
    clocks = _known(chunks, "sm_clock_mhz")
    if not clocks:
        return None
    power_mw = _known(chunks, "power_mw")
    last = _known(
        [c for result in results for c in _last(steady_chunks(result, arm))], "sm_clock_mhz"
    )
    return ArmPower(
        results=tuple(results),
        arm=arm,
        sm_clock_mhz=median(clocks),
        last_mhz=median(last) if last else None,
        highest_mhz=_fact(results[0], "gpu.max_sm_clock_mhz"),
        watts=median(power_mw) / 1e3 if power_mw else None,
        limit_watts=_fact(results[0], "gpu.power_limit_w"),
        capped=sum(POWER_CAPPED in chunk.flags for chunk in chunks),
        chunks=len(chunks),
        capped_share=_capped_share(results, arm),
    )


def arm_power(times: ArmTimes) -> ArmPower | None:
    """Of an arm of a paired case; None where no chunk of it has a clock."""
    return case_power(times.results, times.arm)


def arms_power(arms: Sequence[ArmTimes]) -> tuple[ArmPower, ...]:
    """Of all arms, if the power cap holds one of them; else nothing, for it decides nothing."""
    found = [one for times in arms if (one := arm_power(times)) is not None]
    return tuple(found) if any(one.held for one in found) else ()


def capped_words(power: ArmPower) -> Words:
    """How many chunks the cap held, at which clock and power; what that costs at most, if held.

    Where fewer chunks are capped, the median clock does not show what these lose.
    """

    def read(value: float, unit: Unit, *paths: str) -> Measured:
        return Measured(value, unit, power.results, paths)

    words: list[str | Measured] = ["the power cap held ", read(power.capped, "count", FLAGS)]
    words += [" of ", read(power.chunks, "count", FLAGS), " steady chunks: median SM clock "]
    words += [read(power.sm_clock_mhz, "mhz", CLOCK)]
    if power.highest_mhz is not None:
        words += [" of ", read(power.highest_mhz, "mhz", HIGHEST)]
    if power.watts is not None and power.limit_watts is not None:
        words += [" at ", read(power.watts, "watts", POWER)]
        words += [" of ", read(power.limit_watts, "watts", LIMIT)]
    if power.held and power.at_most is not None:
        words += [", which costs at most ", read(power.at_most, "share", CLOCK, HIGHEST)]
        words += [" of its GPU time, if all of its kernels follow the clock"]
    return tuple(words)


def _last(chunks: Sequence[ChunkSample]) -> list[ChunkSample]:
    return list({chunk.block: chunk for chunk in chunks}.values())


def _capped_share(results: Sequence[Result], arm: str | None) -> float | None:
    """None where a block lacks the counter, as outside of paired cases."""
    capped_ns, counted_s = 0, 0.0
    for result in results:
        readings = {reading.label: reading for reading in result.gpu.counters}
        for block in dict.fromkeys(chunk.block for chunk in steady_chunks(result, arm)):
            start, end = (readings.get(f"steady.{block}.{arm}.{at}") for at in ("start", "end"))
            if start is None or end is None:
                return None
            before, after = (_capped_ns(reading) for reading in (start, end))
            if before is None or after is None:
                return None
            capped_ns += max(after - before, 0)
            counted_s += end.t_s - start.t_s
    return min(capped_ns / 1e9 / counted_s, 1.0) if counted_s > 0 else None


def _capped_ns(reading: CounterReading) -> int | None:
    return reading.values.get(CAP_COUNTER)


def _known(chunks: Sequence[ChunkSample], field: str) -> list[float]:
    values = (getattr(chunk.state, field) for chunk in chunks if chunk.state is not None)
    return [value for value in values if value]


def _fact(result: Result, name: str) -> float | None:
    fact = result.provenance.get(name)
    value = fact.value if fact is not None else None
    return float(value) if isinstance(value, int | float) else None
