"""What one arm of a paired case takes: times against another arm, idle time, memory, energy."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.chunks import (
    block_spans,
    fps_over_processes,
    start_of,
    steady_chunks,
)
from harness.analysis.comparisons import compare_arms, over_processes
from harness.analysis.experiment import MIN_PROCESSES, Location, Verdict
from harness.analysis.interval import median
from harness.arms import BASE_ARM
from harness.matrix import Case
from harness.record_parts import Memory
from harness.result import Result

MIN_POWER_SAMPLES = 3  # inside an arm's steady blocks, in each process
POWER_FIELD = "power_mw"


@dataclass(frozen=True)
class ArmTimes:
    """An arm over all processes of its case, its change against another arm of the same ones."""

    results: tuple[Result, ...]
    arm: str
    against: str
    wall: Location
    busy: Location | None  # None on a CPU
    fps: Location  # frames over the seconds of its blocks
    wall_change: Verdict | None  # None for the base itself
    busy_change: Verdict | None

    @property
    def case(self) -> Case:
        """The paired case."""
        return self.results[0].case

    @property
    def gain(self) -> float:
        """Share of the other arm's wall time that this one saves; negative where it costs."""
        return 1 - self.wall_change.ratio.value if self.wall_change else 0.0

    @property
    def idle_share(self) -> float | None:
        """Wall time less GPU-busy time, as a share of wall time."""
        return 1 - self.busy.value / self.wall.value if self.busy else None

    @property
    def enough(self) -> bool:
        """Whether a verdict may rest on its processes."""
        return len(self.results) >= MIN_PROCESSES


@dataclass(frozen=True)
class ArmEnergy:
    """Joules a frame, or the reason why they are not known."""

    joules: float | None
    reason: str = ""


def arm_times(results: Sequence[Result], arm: str, against: str = BASE_ARM) -> ArmTimes | None:
    """None where no process has steady chunks of the arm."""
    wall, fps = over_processes(results, "wall", arm), fps_over_processes(results, arm)
    if wall is None or fps is None:
        return None
    same = arm == against
    return ArmTimes(
        results=tuple(results),
        arm=arm,
        against=against,
        wall=wall,
        busy=over_processes(results, "busy", arm),
        fps=fps,
        wall_change=None if same else compare_arms(results, arm, "wall", against),
        busy_change=None if same else compare_arms(results, arm, "busy", against),
    )


def first_chunk_s(times: ArmTimes) -> float | None:
    """Median over processes of the first chunk, compiling included."""
    if times.arm != BASE_ARM:
        known = [r.arms[times.arm].first_chunk_s for r in times.results if times.arm in r.arms]
        return median(known) if known else None
    starts = [start for result in times.results if (start := start_of(result)) is not None]
    return median(start.first_wall_ms / 1e3 for start in starts) if starts else None


def peak_bytes(times: ArmTimes) -> int | None:
    """Largest allocated peak of any process while the arm ran."""
    peaks = [memory.allocated_peak_bytes for memory in _memories(times)]
    return max((peak for peak in peaks if peak is not None), default=None)


def _memories(times: ArmTimes) -> list[Memory]:
    if times.arm == BASE_ARM:
        return [result.memory for result in times.results if result.memory is not None]
    return [r.arms[times.arm].memory for r in times.results if times.arm in r.arms]


def energy_per_frame(times: ArmTimes) -> ArmEnergy:
    """Mean power inside the arm's steady blocks times their length, over their frames.

    All processes count together. Blocks are short and a GPU's power reading is a running mean, so
    what the arm before drew is blurred into it: differences between arms come out too small.
    """
    joules, frames = 0.0, 0
    for result in times.results:
        if result.gpu.source == "none":
            return ArmEnergy(None, result.gpu.reason or "the GPU's state was not sampled")
        spans = block_spans(steady_chunks(result, times.arm))
        watts = _watts(result, spans)
        if len(watts) < MIN_POWER_SAMPLES:
            known = result.gpu.unsupported.get(POWER_FIELD)
            return ArmEnergy(None, known or "too few power samples in its blocks")
        joules += sum(watts) / len(watts) * sum(end_s - start_s for start_s, end_s in spans)
        frames += sum(chunk.frames for chunk in steady_chunks(result, times.arm))
    return ArmEnergy(joules / frames) if frames else ArmEnergy(None, "no frame in its blocks")


def _watts(result: Result, spans: Sequence[tuple[float, float]]) -> list[float]:
    series = result.gpu.series
    column = series.fields.get(POWER_FIELD, [])
    return [
        power / 1e3
        for t_s, power in zip(series.t_s, column, strict=False)
        if power is not None and any(start_s <= t_s <= end_s for start_s, end_s in spans)
    ]
