"""End to end: what a chunk takes in steady state, how it splits into stages, and how it began."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.analysis.experiment import Location, location
from harness.analysis.stats import Spread, spread
from harness.arms import BASE_ARM
from harness.matrix import Case
from harness.record_parts import ChunkSample
from harness.result import Result

SEVERAL = 2  # processes that have a mean
STAGE_GROUPS = ("encode", "hints", "denoise", "clean", "decode", "other")


@dataclass(frozen=True)
class ChunkTiming:
    """Steady chunks of one case. FPS is frames over the seconds of the steady window."""

    wall_ms: Spread
    event_ms: Spread | None
    frames: int
    seconds: float
    blocks: int

    @property
    def fps(self) -> float:
        """Frames divided by seconds, never a mean of rates."""
        return self.frames / self.seconds

    @property
    def frames_per_chunk(self) -> float:
        """Pixel frames of a steady chunk."""
        return self.frames / self.wall_ms.n


@dataclass(frozen=True)
class StageTime:
    """One stage of the steady chunk: device time, host time, and its part of the chunk.

    Times are geometric means of the processes' medians; quartiles are of the process where they
    lie furthest apart.
    """

    name: str
    device_ms: float
    iqr_ms: float
    host_ms: float | None
    share: float


@dataclass(frozen=True)
class Start:
    """How the case began: the first chunk, which yields fewer frames, and the way to steady."""

    first_wall_ms: float
    first_frames: int
    to_steady_s: float | None  # from the start of the first chunk to the first steady chunk
    chunks_before: int


def base_arm(case: Case) -> str | None:
    """The arm that shows the workload as it is; None where a case has no arms."""
    return BASE_ARM if case.kind == "paired" else None


def steady_chunks(result: Result, arm: str | None = None) -> list[ChunkSample]:
    """Chunks of the steady phase, in order; of a paired case those of an arm, the base if None."""
    arm = arm or base_arm(result.case)
    return [chunk for chunk in result.chunks if chunk.phase == "steady" and chunk.arm == arm]


def block_spans(chunks: Iterable[ChunkSample]) -> list[tuple[float, float]]:
    """Seconds of each timed block, from the start of its first chunk to the end of its last."""
    blocks: dict[int | None, list[ChunkSample]] = {}
    for chunk in chunks:
        blocks.setdefault(chunk.block, []).append(chunk)
    return [
        (min(c.start_s for c in block), max(c.start_s + c.wall_ms / 1e3 for c in block))
        for block in blocks.values()
    ]


def chunk_timing(result: Result, arm: str | None = None) -> ChunkTiming | None:
    """Times of the steady chunks, of a paired case those of an arm; None if there is none.

    The window is the sum over timed blocks, so that time between the chunks of a block counts and
    time between blocks does not.
    """
    chunks = steady_chunks(result, arm)
    wall_ms = spread(chunk.wall_ms for chunk in chunks)
    if wall_ms is None:
        return None
    spans = block_spans(chunks)
    events = [chunk.event_ms for chunk in chunks if chunk.event_ms is not None]
    return ChunkTiming(
        wall_ms=wall_ms,
        event_ms=spread(events) if len(events) == len(chunks) else None,
        frames=sum(chunk.frames for chunk in chunks),
        seconds=sum(end_s - start_s for start_s, end_s in spans),
        blocks=len(spans),
    )


def fps_over_processes(results: Sequence[Result], arm: str | None = None) -> Location | None:
    """Geometric mean of the processes' FPS, with its interval; None without steady chunks."""
    timings = (chunk_timing(result, arm) for result in results)
    rates = [timing.fps for timing in timings if timing is not None]
    return location(rates) if rates else None


def event_over_processes(results: Sequence[Result]) -> Location | None:
    """Geometric mean of the processes' medians by GPU events; None where there are none."""
    timings = (chunk_timing(result) for result in results)
    medians = [timing.event_ms.median for timing in timings if timing and timing.event_ms]
    return location(medians) if medians else None


def stage_times(results: Sequence[Result]) -> list[StageTime]:
    """Each stage over the steady chunks of a case's processes, in the order of the loop.

    A share is the stage's time over that of the chunk's sum of stages, either over the processes.
    """
    found = [chunks for result in results if (chunks := steady_chunks(result))]
    sums = [spread(sum(chunk.stage_ms.values()) for chunk in chunks) for chunks in found]
    total_ms = _middle([one.median for one in sums if one is not None])
    if not total_ms:
        return []
    names = dict.fromkeys(name for chunks in found for chunk in chunks for name in chunk.stage_ms)
    stages = []
    for name in names:
        device = [spread(chunk.stage_ms.get(name, 0.0) for chunk in chunks) for chunks in found]
        host = [
            spread(chunk.stage_host_ms[name] for chunk in chunks if name in chunk.stage_host_ms)
            for chunks in found
        ]
        spreads = [one for one in device if one is not None]
        device_ms = _middle([one.median for one in spreads]) or 0.0
        iqr_ms = max(one.iqr for one in spreads)
        host_ms = _middle([one.median for one in host if one is not None])
        stages.append(StageTime(name, device_ms, iqr_ms, host_ms, device_ms / total_ms))
    return stages


def _middle(values: Sequence[float]) -> float | None:
    """Geometric mean, which is zero where a value is; None without values."""
    if len(values) < SEVERAL:
        return values[0] if values else None
    return location(values).value if all(value > 0 for value in values) else 0.0


def stage_kind(name: str) -> str:
    """A stage without its number."""
    return name.partition(".")[0]


def stage_group(name: str) -> str:
    """The group of a stage: all denoise steps together, all hints together."""
    group = stage_kind(name)
    return group if group in STAGE_GROUPS else "other"


def grouped_stages(results: Sequence[Result]) -> dict[str, float]:
    """Milliseconds of each group of stages: the median over chunks of the group's sum.

    Of several processes their geometric mean. Stages of the user's own pipeline are grouped by
    what stands before their number.
    """
    found = [_groups_of(result) for result in results]
    names = dict.fromkeys(name for groups in found for name in groups)
    return {
        name: _middle([groups[name] for groups in found if name in groups]) or 0.0 for name in names
    }


def _groups_of(result: Result) -> dict[str, float]:
    chunks = steady_chunks(result)
    names = dict.fromkeys(name for chunk in chunks for name in chunk.stage_ms)
    group_of = stage_kind if result.case.pipeline else stage_group
    known = dict.fromkeys(map(stage_kind, names)) if result.case.pipeline else STAGE_GROUPS
    groups: dict[str, float] = {}
    for group in known:
        sums = spread(
            sum(value for name, value in chunk.stage_ms.items() if group_of(name) == group)
            for chunk in chunks
            if any(group_of(name) == group for name in chunk.stage_ms)
        )
        if sums is not None:
            groups[group] = sums.median
    return groups


def start_of(result: Result) -> Start | None:
    """The first chunk and the time until the first steady one; None without chunks."""
    if not result.chunks:
        return None
    first = result.chunks[0]
    steady = steady_chunks(result)
    return Start(
        first_wall_ms=first.wall_ms,
        first_frames=first.frames,
        to_steady_s=steady[0].start_s - first.start_s if steady else None,
        chunks_before=sum(
            not steady or chunk.start_s < steady[0].start_s for chunk in result.chunks
        ),
    )
