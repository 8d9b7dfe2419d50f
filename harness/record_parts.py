"""The parts of a record: samples of chunks, components, GPU and host, and the passes beside them.

Units and times are as in `harness.result`, which puts them together.
"""

from typing import Literal

from harness.strict import (
    Count,
    Frames,
    Hex,
    Key,
    NonNegative,
    Seconds,
    Share,
    SidePx,
    Stage,
    Strict,
    TookMs,
    check_lengths,
)

Phase = Literal[
    "load", "compile", "warmup", "steady", "components", "busy", "memory", "count", "profile",
    "quality",
]  # fmt: skip


class PhaseMark(Strict, frozen=True):
    """A stretch of the case on the monotonic axis."""

    name: Phase
    start_s: Seconds
    end_s: Seconds

    def __post_init__(self) -> None:
        if self.end_s < self.start_s:
            raise ValueError("it ends before it begins")


class ChunkState(Strict, frozen=True):
    """The circumstances of one chunk: means over the samples taken during it, else the nearest.

    Null where nothing was read (a CPU, no telemetry, a field that the GPU lacks).
    """

    sm_clock_mhz: NonNegative | None = None
    power_mw: float | None = None
    temperature_c: float | None = None
    throttled_ns: dict[Key, int] = {}  # rise of the throttle counters over the chunk's block
    compile_work: Count = 0  # frames, graphs and breaks that dynamo met during the chunk
    run_queue: float | None = None  # runnable tasks of the host, this process's included
    other_cpu_share: float | None = None  # busy share of all cores by other processes
    core_mhz: float | None = None  # clock of the core that the process ran on
    loop_us: float | None = None  # a fixed loop of Python, around the chunk's block
    operator_us: float | None = None  # one small eager operator with its launch, likewise
    gpu_shared: bool = False


class ChunkSample(Strict, frozen=True):
    """One chunk: wall time, CUDA-event time and its split by stage.

    `stage_ms` is device time between marks (CUDA events; on a CPU the host clock), `stage_host_ms`
    the host's time between the same marks. Stages follow each other without gap. A chunk ends when
    the host has called and the device has done all of it, so the host's stages sum to less where
    the host runs ahead.
    """

    chunk: Count  # index since the last reset
    phase: Phase
    block: Count | None  # timed block, for steady chunks
    start_s: Seconds
    frames: Frames
    wall_ms: TookMs
    event_ms: TookMs | None  # null on a CPU
    stage_ms: dict[Stage, NonNegative]
    stage_host_ms: dict[Stage, NonNegative]
    flags: list[str] = []
    arm: str | None = None  # of a paired case
    state: ChunkState | None = None  # null in records of schema 1


class BusySample(Strict, frozen=True):
    """One steady chunk under the profiler's device activity alone: what the GPU really worked.

    `busy_ms` is the union of all kernels and copies, `span_ms` lasts from the first begin to the
    last end. Its wall time is distorted by the profiler and not kept.
    """

    arm: str | None
    chunk: Count
    kernels: Count
    busy_ms: TookMs
    span_ms: TookMs
    sm_clock_mhz: NonNegative | None


class Component(Strict, frozen=True):
    """An isolated component: each sample is the mean over `calls_per_sample` calls in a row."""

    name: str
    variant: Literal["eager", "compiled"]
    calls_per_chunk: Count
    calls_per_sample: Count
    block: list[Count]  # timed block of each sample
    start_s: list[Seconds]
    wall_ms: list[TookMs]
    event_ms: list[NonNegative] | None  # null on a CPU

    def __post_init__(self) -> None:
        check_lengths([self.block, self.start_s, self.wall_ms, self.event_ms or self.wall_ms])


class CompileStats(Strict, frozen=True):
    """What torch.compile did, from dynamo's own counters."""

    cold_s: dict[Key, NonNegative]  # first call of each compiled component, compile included
    graphs: Count
    graph_breaks: Count
    break_reasons: list[str]
    recompiles: Count
    recompile_reasons: list[str]


class Convergence(Strict, frozen=True):
    """How warm-up ended."""

    converged: bool
    reason: str
    chunks: Count


class Memory(Strict, frozen=True):
    """Peaks of a pass of their own."""

    allocated_peak_bytes: Count | None
    reserved_peak_bytes: Count | None
    device_peak_bytes: Count | None
    reason: str | None = None  # why a field is null


Event = Literal["first", "filling", "steady", "hard cut", "recache"]


class ArmFacts(Strict, frozen=True):
    """What an arm with a pipeline of its own has beside its chunks."""

    first_chunk_s: NonNegative  # compiling included
    memory: Memory  # of all pipelines of the process, while this one runs
    prepared_s: NonNegative | None = None  # changing the pipeline, before its first chunk


class OutputError(Strict, frozen=True):
    """How far an arm's chunk is from a float32 run with exact attention, same weights and noise.

    Errors are relative: the norm of the difference over the norm of the reference.
    """

    arm: str
    chunk: Count  # counts from the start of the proof, over a prompt change
    event: Event
    flow: NonNegative  # over all steps
    x0: NonNegative
    keys: NonNegative  # over all blocks
    values: NonNegative
    latent_cosine: float
    frame_psnr_db: float | None  # null where the frames are equal
    flow_cosine: float | None = None  # of the same vectors as the errors; null in older records
    x0_cosine: float | None = None
    keys_cosine: float | None = None
    values_cosine: float | None = None
    frame_ssim: float | None = None


class FrameSample(Strict, frozen=True):
    """One frame of a proof of output as an arm made it, averaged over areas to a small picture.

    `difference` is taken at full resolution, from the float32 run's frame: the mean over an area's
    pixels and channels of the absolute difference. Its byte 255 is the largest of the picture.
    An arm's picture is the float32 run's plus its own `rgb`, mostly zeros, so that it packs.
    """

    arm: str | None  # null: the float32 run
    chunk: Count  # as in the errors
    frame: Count  # of the chunk
    width_px: SidePx
    height_px: SidePx
    rgb: Hex  # rows from the top, three bytes a pixel; of an arm what it adds, modulo 256
    difference: Hex | None  # likewise, one byte a pixel; null of the float32 run
    largest_difference: Share = 0.0  # of the range of a frame

    def __post_init__(self) -> None:
        digits = 2 * self.width_px * self.height_px
        if len(self.rgb) != 3 * digits:
            raise ValueError("rgb is not three bytes a pixel")
        if (self.arm is None) != (self.difference is None):
            raise ValueError("all but the float32 run have a difference")
        if self.difference is not None and len(self.difference) != digits:
            raise ValueError("difference is not one byte a pixel")


class Operator(Strict, frozen=True):
    """Calls of one operator in the count pass; `device_ms` sums the kernels it launched itself."""

    name: str
    calls: Count
    device_ms: NonNegative | None


class Kernel(Strict, frozen=True):
    """One GPU kernel (or copy) by name in the count pass."""

    name: str
    calls: Count
    device_ms: NonNegative


class CountPass(Strict, frozen=True):
    """One steady chunk under torch.profiler; never timed."""

    chunk: Count
    operators: list[Operator]
    kernels: list[Kernel]
    attention_kernels: dict[Key, list[str]]  # attention role -> kernels seen inside its calls


class GpuSeries(Strict, frozen=True):
    """Samples of the GPU's state, one column a field.

    Null where a reading failed, and where a field that moves slowly was not read this time.
    """

    t_s: list[Seconds]
    fields: dict[Key, list[float | None]]  # e.g. sm_clock_mhz, power_mw, temperature_c

    def __post_init__(self) -> None:
        check_lengths([self.t_s, *self.fields.values()])


class HostSeries(Strict, frozen=True):
    """Samples of the host's load, one column a field, on the axis of the GPU's samples."""

    t_s: list[Seconds]
    fields: dict[Key, list[float | None]]  # run_queue, other_cpu_share, core_mhz, sampler_ms
    unsupported: dict[Key, str] = {}  # field -> reason

    def __post_init__(self) -> None:
        check_lengths([self.t_s, *self.fields.values()])


class CounterReading(Strict, frozen=True):
    """Cumulative counters read at one moment (throttle reasons in ns, energy in mJ)."""

    t_s: Seconds
    label: str
    values: dict[Key, int | None]


class GpuState(Strict, frozen=True):
    """What the sampler process saw beside the case."""

    source: Literal["nvml", "none"]
    reason: str | None  # why there is no source
    interval_s: float | None
    sampler_version: str | None
    series: GpuSeries
    counters: list[CounterReading]
    unsupported: dict[Key, str]  # field -> reason
    events: list[str] = []  # errors met on the way


class DescribedWork(Strict, frozen=True):
    """What a pipeline says that one part of a steady chunk costs, by arithmetic."""

    flops: NonNegative
    moved_bytes: NonNegative  # read and written


class ClipUse(Strict, frozen=True):
    """A clip that the case was fed with."""

    role: Literal["video", "depth", "mask"]
    source: Literal["generated", "file"]
    name: str
    sha256: str
    frames_in_file: Count | None
    frames_used: Count
    looped: bool
