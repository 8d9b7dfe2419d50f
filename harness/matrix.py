"""What is measured: a case, the order of its processes, and the form of a matrix of cases.

Every case has a stable id, so that a run can be resumed and two runs compared.
`harness.expansion` makes cases of a matrix.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from harness.presets import DEFAULT_DTYPE, DEFAULT_STEPS, PRESETS, SIZE_MULTIPLE_PX
from harness.variants import BASELINE, Vae

Kind = Literal["isolated", "e2e", "paired", "quality"]
Mode = Literal["inpainting", "depth", "text", "own"]  # "own": a pipeline of the user's
Device = Literal["cuda", "cpu"]
PresetName = Literal["full", "tiny"]
Dtype = Literal["bfloat16", "float16"]
Attention = Literal["default", "sage", "sdpa", "flex"]
Label = Annotated[str, Meta(pattern=r"^([a-z0-9][a-z0-9-]{0,31})?\Z")]
Sha256 = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")]
Positive = Annotated[int, Meta(ge=1, le=100_000)]
Side = Annotated[int, Meta(ge=SIZE_MULTIPLE_PX, le=4096, multiple_of=SIZE_MULTIPLE_PX)]
Size = Annotated[str, Meta(pattern=r"^\d{1,5}x\d{1,5}\Z")]
Steps = Annotated[int, Meta(ge=1, le=8)]
Window = Annotated[int, Meta(ge=3, le=24, multiple_of=3)]  # a chunk has 3 latent frames
DEFAULT_WINDOW = 12
DEFAULT_STRETCH = 12  # CUDA graphs are replayed from chunk 10 on
CHUNKS_AFTER_PROMPT = 6  # of a proof: with a steady chunk after a hard cut

Arm = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9+-]{1,239}\Z")]  # harness.arms says which
Variant = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9+-]{1,239}\Z")]
Arms = Annotated[tuple[Arm, ...], Meta(max_length=40)]
# Known costs that can be planted, to check that the analysis names them.
Plant = Literal[
    "", "items", "launches", "casts", "clones", "pause", "contention", "graph-break", "recompile"
]
MatrixName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}\Z")]
MOST_PROCESSES = 50
MOST_CASES = 1000
MOST_ID_CHARACTERS = 200  # it is part of a file's name

FIRST_STEADY_CHUNK = 4  # the KV cache is full after chunk 3 and rolls from chunk 4 on
# Fields of a case that say how long and how often it is looked at.
EFFORT = frozenset({"warm_cache", "blocks", "chunks_per_block", "profile", "processes"}) | {
    *("warmup_max_chunks", "warmup_max_s", "measure_max_s")
}


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One measurement: a workload, a way to run it, and how long to look at it."""

    kind: Kind
    mode: Mode
    preset: PresetName
    width_px: Side
    height_px: Side
    device: Device
    variant: Variant = BASELINE  # changes of the workload, by name
    compiled: bool = False  # VACE patch embedding and VACE blocks through torch.compile
    vae: Vae = "tae"
    attention: Attention = "default"  # backend of the cached self-attention
    steps: Steps = DEFAULT_STEPS  # denoising forwards of a chunk
    window: Window = DEFAULT_WINDOW  # latent frames of the KV cache, sink and chunk included
    stretch: Annotated[int, Meta(ge=1, le=300)] = DEFAULT_STRETCH  # chunks of a proof, one prompt
    dtype: Dtype = DEFAULT_DTYPE  # of weights and activations
    weights: Literal["seeded", "checkpoint"] = "seeded"
    seed: Annotated[int, Meta(ge=0, lt=2**31)] = 42
    arms: Arms = ()  # of a paired or quality case; the first is the base
    label: Label = ""  # stands for the arms in the id
    processes: Annotated[int, Meta(ge=1, le=MOST_PROCESSES)] = (
        1  # fresh processes that measure this case
    )
    bare: bool = False  # on the host itself, also where the run's other cases are in containers
    profile: bool = False  # attribute a few chunks to their parts, in the case's first process
    plant: Plant = ""  # a known cost
    warm_cache: bool = False  # keep the compile caches in a named volume between runs
    blocks: Positive = 5  # timed blocks, synchronised at both ends
    chunks_per_block: Positive = 10
    warmup_max_chunks: Positive = 20
    warmup_max_s: Annotated[float, Meta(gt=0, le=3600)] = 120.0
    measure_max_s: Annotated[float, Meta(gt=0, le=3600)] = 60.0
    pipeline: Label = ""  # name of the user's own; empty for the built-in workload
    pipeline_sha256: Sha256 = ""  # of its file

    def __post_init__(self) -> None:
        if len(self.id) > MOST_ID_CHARACTERS:
            raise ValueError("the arms make too long a name for a file: give them a label")
        if not (self.mode == "own") == bool(self.pipeline) == bool(self.pipeline_sha256):
            raise ValueError("mode 'own' and a pipeline's name and hash belong together")

    @property
    def id(self) -> str:
        """Stable name of the case: what differs from the defaults is spelled out."""
        preset = PRESETS[self.preset]
        parts: list[str] = [self.kind, self.mode]
        how = [self.label] if self.label else self.arms[1:]
        parts += how or [self.pipeline or ("compiled" if self.compiled else "eager")]
        if self.variant != BASELINE:
            parts.append(self.variant)
        if (self.width_px, self.height_px) != (preset.width_px, preset.height_px):
            parts.append(f"{self.width_px}x{self.height_px}")
        if self.vae != "tae":
            parts.append(self.vae)
        if self.attention != "default":
            parts.append(self.attention)
        if self.dtype != DEFAULT_DTYPE:
            parts.append(self.dtype)
        counts = (
            ("steps", self.steps, DEFAULT_STEPS),
            ("window", self.window, DEFAULT_WINDOW),
            ("stretch", self.stretch, DEFAULT_STRETCH),
        )
        parts += [f"{name}{count}" for name, count, default in counts if count != default]
        if self.plant:
            parts += ["plant", self.plant]
        if self.bare:
            parts.append("bare")
        if self.warm_cache:
            parts.append("warm")
        if self.seed != 42:
            parts.append(f"seed{self.seed}")
        return "-".join(parts)

    @property
    def first_steady_chunk(self) -> int:
        """The first chunk that finds its KV cache full, so that the cache rolls."""
        return self.window // PRESETS[self.preset].model.frames_per_chunk


@dataclass(frozen=True)
class Process:
    """One fresh process that measures a case; `number` counts from 0."""

    case: Case
    number: int

    @property
    def label(self) -> str:
        """The case's id, and which process it is where there are several."""
        several = self.case.processes > 1 or self.number > 0
        return f"{self.case.id} (process {self.number + 1})" if several else self.case.id


def schedule(cases: list[Case]) -> list[Process]:
    """All processes in the order in which they run: round by round, every other round reversed.

    So the processes of compared cases are interleaved, and a slow drift of the machine hits early
    and late cases alike (ABBA).
    """
    order: list[Process] = []
    for number in range(max((case.processes for case in cases), default=0)):
        due = [Process(case, number) for case in cases if number < case.processes]
        order += due[::-1] if number % 2 else due
    return order


SOME = Meta(min_length=1)  # an empty list would leave no case


class Axes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of a matrix: every combination of its lists becomes a case."""

    kind: Annotated[tuple[Kind, ...], SOME]
    mode: Annotated[tuple[Mode, ...], SOME]
    compiled: Annotated[tuple[bool, ...], SOME] = (False,)
    size: tuple[Size, ...] = ()  # empty: the preset's size, or --size
    vae: Annotated[tuple[Vae, ...], SOME] = ("tae",)
    attention: Annotated[tuple[Attention, ...], SOME] = ("default",)
    dtype: tuple[Dtype, ...] = ()  # empty: --dtype, else bfloat16
    steps: Annotated[tuple[Steps, ...], SOME] = (DEFAULT_STEPS,)
    window: Annotated[tuple[Window, ...], SOME] = (DEFAULT_WINDOW,)
    stretch: Annotated[int, Meta(ge=1, le=300)] = DEFAULT_STRETCH
    seed: Annotated[tuple[Annotated[int, Meta(ge=0, lt=2**31)], ...], SOME] = (42,)
    arms: Arms = ()
    label: Label = ""
    variant: tuple[Variant, ...] = ()  # empty: the baseline, or --variant
    processes: Annotated[int, Meta(ge=1, le=MOST_PROCESSES)] | None = None
    bare: bool = False
    profile: bool = False
    plant: Annotated[tuple[Plant, ...], SOME] = ("",)
    warm_cache: bool = False
    blocks: Positive | None = None
    chunks_per_block: Positive | None = None
    warmup_max_chunks: Positive | None = None
    warmup_max_s: Annotated[float, Meta(gt=0, le=3600)] | None = None
    measure_max_s: Annotated[float, Meta(gt=0, le=3600)] | None = None


class Matrix(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named list of axes. A user's TOML file has the same form."""

    name: MatrixName
    cases: Annotated[list[Axes], Meta(min_length=1, max_length=100)]
