"""The profile in a record: chunks attributed to parts, idle time by cause, measured ceilings.

Units are in the names. Nothing here is timed for its own sake.
"""

from typing import Annotated, Literal

from msgspec import Meta

from harness.strict import Count, Key, NonNegative, Stage, Strict, check_lengths


class PartTime(Strict, frozen=True):
    """What one part of one stage took in a profiled chunk. Parts add up to the chunk.

    `part` is the path of the ranges inside the stage without their repetitions ("base/rope"), empty
    for what lies in no range. Host time is exclusive: what inner parts take is theirs.
    """

    stage: Stage
    part: str
    calls: Count  # times that the innermost range was entered
    kernels: Count
    device_ms: NonNegative
    host_ms: NonNegative
    launch_ms: NonNegative  # of the host time: in calls that launch kernels and copies
    sync_ms: NonNegative  # of the host time: waiting for the device
    # Of the host time: in operators and outside of such calls, and between operators. Null in
    # records of schema 3. What is left is in other runtime calls.
    operator_ms: NonNegative | None = None
    python_ms: NonNegative | None = None


class OperatorPart(Strict, frozen=True):
    """Calls and device time of one operator inside one part, over all stages.

    On a GPU those that launch nothing are left out, unless the host spends time in them or their
    calls are quoted.
    """

    operator: str
    part: str
    calls: Count
    device_ms: NonNegative
    host_ms: NonNegative | None = None  # without inner operators and runtime calls; null in 3


class Gap(Strict, frozen=True):
    """Device idle time of one cause in one place: the part whose launch ended the wait."""

    cause: Literal["launch", "sync", "copy", "operator", "python", "queue"]
    part: str
    gaps: Count
    idle_ms: NonNegative
    stage: Stage | None = None  # null: of all stages


class StageMark(Strict, frozen=True):
    """A stretch of the host's time line in one stage; a stage may have several."""

    stage: Stage
    start_ms: NonNegative  # from the chunk's begin
    end_ms: NonNegative

    def __post_init__(self) -> None:
        if self.end_ms < self.start_ms:
            raise ValueError("it ends before it begins")


class Timeline(Strict, frozen=True):
    """A profiled chunk in bins of equal length: shares of each bin, 0 to 1."""

    bin_ms: NonNegative
    busy: list[NonNegative]  # the device works
    host: dict[Key, list[NonNegative]]  # cause of `Gap` without "queue" -> what the host does
    stages: list[StageMark]

    def __post_init__(self) -> None:
        check_lengths([self.busy, *self.host.values()])


class ProfiledChunk(Strict, frozen=True):
    """One chunk under the profiler, joined kernel by kernel to the ranges that launched it.

    The span lasts from the first to the last device event of the chunk; busy and idle fill it.
    On a CPU there are no device events: span, busy and gaps are 0 or empty, host time is there.
    """

    kind: Literal["first", "filling", "steady"]
    chunk: Count
    wall_ms: NonNegative  # profiled
    event_ms: NonNegative | None  # CUDA events around the same profiled chunk
    span_ms: NonNegative
    busy_ms: NonNegative
    kernels: Count
    unattributed_ms: NonNegative  # device time whose launch, operator or range was not found
    parts: Annotated[list[PartTime], Meta(min_length=1)]
    operators: list[OperatorPart]
    gaps: list[Gap]
    host_calls: dict[Key, Count]  # runtime calls by name
    timeline: Timeline | None = None


class SyncSite(Strict, frozen=True):
    """A source line that makes the host wait for the device, and how often a steady chunk does."""

    location: str  # "kv_cache.py:92"
    calls: Count


class Profile(Strict, frozen=True):
    """Profiled chunks of a case; never timed.

    Of the steady chunks the one with the middle wall time is kept, and the wall times of all.
    """

    chunks: list[ProfiledChunk]
    steady_wall_ms: list[NonNegative]
    wall_median_ms: NonNegative | None  # unprofiled steady chunks of the same process
    sync_sites: list[SyncSite]
    sync_reason: str | None  # why there are no sites
    trace: str | None  # file name of the exported trace of a steady chunk
    problems: list[str]  # what the integrity checks found
    # Host time of each stage of an unprofiled chunk: as it runs, and synchronised at every mark.
    # In records of schema 3 they were taken after other passes had met the profiler.
    stages_host_ms: dict[Stage, NonNegative] = {}
    stages_synchronised_ms: dict[Stage, NonNegative] = {}
    # Host time inside calls that read a value from the device, of an unprofiled chunk as it runs.
    reads_ms: NonNegative | None = None
    reads: Count | None = None

    def __post_init__(self) -> None:
        if self.stages_host_ms.keys() != self.stages_synchronised_ms.keys():
            raise ValueError("stages_host_ms and stages_synchronised_ms are of other stages")


class Ceilings(Strict, frozen=True):
    """What this GPU can do at best, measured beside the case; null with a reason."""

    matmul_flops_per_s: NonNegative | None
    copy_bytes_per_s: NonNegative | None  # read and written
    attention_flops_per_s: dict[Key, NonNegative]  # role -> of its backend at the case's shape
    reason: str | None = None
    fp8_matmul_flops_per_s: NonNegative | None = None  # of variants with FP8 linears alone
