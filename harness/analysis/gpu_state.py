"""The GPU's state beside the numbers: per phase clocks, power, temperature, memory, throttling."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.analysis.stats import Spread, spread
from harness.record_parts import CounterReading, GpuState, PhaseMark
from harness.result import Result

# Bits of NVML's clocks-event reasons. Idle, application clocks and display clocks are settings or
# normal states; the others take clock away from the work.
REASON_BITS: dict[int, str] = {
    0x1: "GPU idle",
    0x2: "application clocks",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "thermal slowdown (software)",
    0x40: "thermal slowdown (hardware)",
    0x80: "power brake",
    0x100: "display clocks",
}
HARMLESS_BITS = 0x1 | 0x2 | 0x100
REASONS_FIELD = "event_reasons"
ENERGY_COUNTER = "energy_mj"
REASON_COUNTER_SUFFIX = "_ns"
MIN_HELD_NS = 1_000_000  # a throttle counter that rose by less is not worth a word
MIN_COUNTER_WINDOW_S = 10.0  # the energy counter ticks about every 100 ms


@dataclass(frozen=True)
class PhaseState:
    """What was sampled during one phase."""

    phase: str
    duration_s: float
    samples: int
    fields: dict[str, Spread]
    reasons: dict[str, int] = field(default_factory=dict)  # throttle reason -> samples
    counters_ns: dict[str, int] = field(default_factory=dict)  # throttle counter -> increase


@dataclass(frozen=True)
class Energy:
    """Energy of a stretch of the steady phase; the method says where it comes from."""

    joules: float
    seconds: float
    chunks: int
    frames: int
    method: str  # "counter" | "power samples"

    @property
    def per_chunk_j(self) -> float:
        """Joules for each chunk."""
        return self.joules / self.chunks

    @property
    def per_frame_j(self) -> float:
        """Joules for each frame."""
        return self.joules / self.frames


def phase_states(result: Result) -> list[PhaseState]:
    """One entry a phase in order of its first mark; stretches of one phase are taken together."""
    marks: dict[str, list[PhaseMark]] = {}
    for mark in result.phases:
        marks.setdefault(mark.name, []).append(mark)
    return [_phase_state(result.gpu, name, stretches) for name, stretches in marks.items()]


def _phase_state(gpu: GpuState, name: str, stretches: list[PhaseMark]) -> PhaseState:
    inside = [
        index
        for index, t_s in enumerate(gpu.series.t_s)
        if any(mark.start_s <= t_s <= mark.end_s for mark in stretches)
    ]
    fields: dict[str, Spread] = {}
    reasons: dict[str, int] = {}
    for key, column in gpu.series.fields.items():
        values = [value for index in inside if (value := column[index]) is not None]
        if key == REASONS_FIELD:
            reasons = _reason_samples(values)
        elif (summary := spread(values)) is not None:
            fields[key] = summary
    return PhaseState(
        phase=name,
        duration_s=sum(mark.end_s - mark.start_s for mark in stretches),
        samples=len(inside),
        fields=fields,
        reasons=reasons,
        counters_ns=_reason_counters(gpu.counters, stretches),
    )


def _reason_samples(values: list[float]) -> dict[str, int]:
    counts = {
        label: sum(bool(int(value) & bit) for value in values)
        for bit, label in REASON_BITS.items()
        if not bit & HARMLESS_BITS
    }
    return {label: count for label, count in counts.items() if count}


def _reason_counters(readings: list[CounterReading], stretches: list[PhaseMark]) -> dict[str, int]:
    """Increase of each throttle counter over the readings around or inside the stretches."""
    increase: dict[str, int] = {}
    for mark in stretches:
        for before, after in _pairs(readings, mark.start_s, mark.end_s):
            for key, end in after.values.items():
                start = before.values.get(key)
                if key.endswith(REASON_COUNTER_SUFFIX) and start is not None and end is not None:
                    increase[key] = increase.get(key, 0) + max(end - start, 0)
    return {key: value for key, value in increase.items() if value >= MIN_HELD_NS}


def _pairs(
    readings: list[CounterReading], start_s: float, end_s: float
) -> Iterator[tuple[CounterReading, CounterReading]]:
    """Neighbouring readings whose stretch lies mostly inside [start_s, end_s]."""
    ordered = sorted(readings, key=lambda reading: reading.t_s)
    for before, after in itertools.pairwise(ordered):
        middle_s = (before.t_s + after.t_s) / 2
        if start_s <= middle_s <= end_s:
            yield before, after


def energy(result: Result) -> tuple[Energy | None, str | None]:
    """Energy of the steady chunks and None, or None and the reason why it is not known.

    From the total-energy counter where its readings span at least ten seconds of steady chunks,
    else from the power samples.
    """
    steady = [chunk for chunk in result.chunks if chunk.phase == "steady"]
    if not steady:
        return None, "no steady chunk"
    if result.gpu.source == "none":
        return None, result.gpu.reason or "the GPU's state was not sampled"
    return (
        _counted_energy(result)
        or _sampled_energy(result)
        or (
            None,
            result.gpu.unsupported.get("power_mw", "no energy counter and too few power samples"),
        )
    )


def _counted_energy(result: Result) -> tuple[Energy, None] | None:
    readings = [
        (reading.t_s, value)
        for reading in sorted(result.gpu.counters, key=lambda reading: reading.t_s)
        if (value := reading.values.get(ENERGY_COUNTER)) is not None
    ]
    steady = [chunk for chunk in result.chunks if chunk.phase == "steady"]
    start_s = steady[0].start_s
    end_s = steady[-1].start_s + steady[-1].wall_ms / 1e3
    # The last reading before the first steady chunk, the first after the last; else the widest
    # pair inside, with the chunks that lie between its readings.
    before = [item for item in readings if item[0] <= start_s][-1:] or readings[:1]
    after = [item for item in readings if item[0] >= end_s][:1] or readings[-1:]
    if not before or not after:
        return None
    (first_s, first_mj), (last_s, last_mj) = before[0], after[0]
    inside = [
        chunk
        for chunk in steady
        if first_s <= chunk.start_s and chunk.start_s + chunk.wall_ms / 1e3 <= last_s
    ]
    backwards = any(b[1] < a[1] for a, b in itertools.pairwise(readings))
    if backwards or last_s - first_s < MIN_COUNTER_WINDOW_S or not inside:
        return None
    frames = sum(chunk.frames for chunk in inside)
    joules = (last_mj - first_mj) / 1e3
    return Energy(joules, last_s - first_s, len(inside), frames, "counter"), None


def _sampled_energy(result: Result) -> tuple[Energy, None] | None:
    power_mw = result.gpu.series.fields.get("power_mw")
    if power_mw is None:
        return None
    steady = [chunk for chunk in result.chunks if chunk.phase == "steady"]
    start_s = steady[0].start_s
    end_s = steady[-1].start_s + steady[-1].wall_ms / 1e3
    samples = [
        (t_s, value / 1e3)
        for t_s, value in zip(result.gpu.series.t_s, power_mw, strict=True)
        if value is not None and start_s <= t_s <= end_s
    ]
    if len(samples) < 2 or samples[-1][0] <= samples[0][0]:
        return None
    area_j = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(samples))
    # Mean power between the first and the last sample, taken for the whole window.
    seconds = end_s - start_s
    joules = area_j / (samples[-1][0] - samples[0][0]) * seconds
    frames = sum(chunk.frames for chunk in steady)
    return Energy(joules, seconds, len(steady), frames, "power samples"), None
