"""What is measured: a case, the named matrices, and matrices from TOML files.

`expand` turns a matrix and the run's options into an ordered list of validated cases. Every case
has a stable id, so that a run can be resumed and two runs compared.
"""

import fnmatch
import itertools
import math
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from harness.arms import check_arms, check_workload, is_variant_arm
from harness.errors import UsageError
from harness.presets import DEFAULT_DTYPE, DEFAULT_STEPS, PRESETS, SIZE_MULTIPLE_PX
from harness.variants import BASELINE, Vae, needs_gpu

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


class Axes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of a matrix: every combination of its lists becomes a case."""

    kind: tuple[Kind, ...]
    mode: tuple[Mode, ...]
    compiled: tuple[bool, ...] = (False,)
    size: tuple[Size, ...] = ()  # empty: the preset's size, or --size
    vae: tuple[Vae, ...] = ("tae",)
    attention: tuple[Attention, ...] = ("default",)
    dtype: tuple[Dtype, ...] = ()  # empty: --dtype, else bfloat16
    steps: tuple[Steps, ...] = (DEFAULT_STEPS,)
    window: tuple[Window, ...] = (DEFAULT_WINDOW,)
    stretch: Annotated[int, Meta(ge=1, le=300)] = DEFAULT_STRETCH
    seed: tuple[Annotated[int, Meta(ge=0, lt=2**31)], ...] = (42,)
    arms: Arms = ()
    label: Label = ""
    variant: tuple[Variant, ...] = ()  # empty: the baseline, or --variant
    processes: Annotated[int, Meta(ge=1, le=MOST_PROCESSES)] | None = None
    bare: bool = False
    profile: bool = False
    plant: tuple[Plant, ...] = ("",)
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


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The run's options that every case of a matrix shares."""

    preset: PresetName
    device: Device
    size: str | None = None  # "WxH"
    weights: Literal["seeded", "checkpoint"] = "seeded"
    only: str | None = None  # globs over case ids, separated by commas
    variant: str = BASELINE
    dtype: Dtype = DEFAULT_DTYPE
    processes: int | None = None  # of every case whose chunks are timed, instead of its own number
    pipeline: str = ""  # name of the user's own pipeline, and the hash of its file
    pipeline_sha256: str = ""


# A CPU run is a functional check: the same path, fewer chunks.
CPU_EFFORT = {"blocks": 2, "chunks_per_block": 2, "warmup_max_chunks": 7, "warmup_max_s": 20.0}


def parse_size(text: str) -> tuple[int, int]:
    """'WxH' -> (width_px, height_px). Raises UsageError unless both are multiples of 16."""
    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text)
    if match is None:
        raise UsageError(f"size '{text}' is not of the form WxH", next_step="write e.g. 512x512")
    width_px, height_px = int(match[1]), int(match[2])
    for side_px in (width_px, height_px):
        if side_px % SIZE_MULTIPLE_PX or not SIZE_MULTIPLE_PX <= side_px <= 4096:
            down = max(side_px // SIZE_MULTIPLE_PX * SIZE_MULTIPLE_PX, SIZE_MULTIPLE_PX)
            raise UsageError(
                f"size {text}: {side_px} is not a multiple of {SIZE_MULTIPLE_PX} up to 4096",
                next_step=f"use e.g. {min(down, 4096)}",
            )
    return width_px, height_px


def expand(matrix: Matrix, settings: Settings) -> list[Case]:
    """All cases of a matrix in order, without duplicates, filtered by `settings.only`.

    Raises UsageError for a bad size, an id given twice, too many cases, or when the filter leaves
    nothing.
    """
    _check_number(matrix)
    cases: dict[str, Case] = {}
    for case in (case for axes in matrix.cases for case in _combinations(axes, settings)):
        if cases.setdefault(case.id, case) != case:
            raise UsageError(
                f"matrix '{matrix.name}' holds case {case.id} twice with different settings",
                next_step="keep one of them",
            )
    if settings.only is None:
        return list(cases.values())
    patterns = settings.only.split(",")
    for pattern in patterns:
        if not fnmatch.filter(cases, pattern):
            raise UsageError(
                f"--only '{pattern}' matches no case of matrix '{matrix.name}'",
                next_step=f"its cases are {', '.join(cases)}",
            )
    kept = {name for pattern in patterns for name in fnmatch.filter(cases, pattern)}
    return [case for name, case in cases.items() if name in kept]


def _check_number(matrix: Matrix) -> None:
    """Before anything is multiplied: a few lists of a thousand entries would fill the memory."""
    number = sum(_number(axes) for axes in matrix.cases)
    if number > MOST_CASES:
        raise UsageError(
            f"matrix '{matrix.name}' has {number} combinations, at most {MOST_CASES} can be run",
            next_step="shorten its lists",
        )


def _number(axes: Axes) -> int:
    lists: tuple[tuple[object, ...], ...] = (
        *(axes.kind, axes.mode, axes.compiled, axes.vae, axes.attention),
        *(axes.steps, axes.window, axes.seed, axes.plant),
    )
    optional = (axes.size, axes.variant, axes.dtype)
    return math.prod(map(len, lists)) * math.prod(max(len(one), 1) for one in optional)


COMBINED = (
    *("kind", "mode", "compiled", "size", "vae", "attention"),
    *("steps", "window", "seed", "plant", "variant", "dtype"),
)


def _combinations(axes: Axes, settings: Settings) -> list[Case]:
    preset = PRESETS[settings.preset]
    default_size = settings.size or f"{preset.width_px}x{preset.height_px}"
    names = (
        *("processes", "blocks", "chunks_per_block"),
        *("warmup_max_chunks", "warmup_max_s", "measure_max_s"),
    )
    _check_axes(axes, settings)
    effort = dict(CPU_EFFORT) if settings.device == "cpu" else {}
    effort |= {name: value for name in names if (value := getattr(axes, name)) is not None}
    cases = []
    for chosen in itertools.product(
        axes.kind,
        axes.mode,
        axes.compiled,
        axes.size or [default_size],
        axes.vae,
        axes.attention,
        *(axes.steps, axes.window, axes.seed, axes.plant),
        axes.variant or [settings.variant],
        axes.dtype or [settings.dtype],
    ):
        fields: dict[str, Any] = {
            **dict(zip(COMBINED, chosen, strict=True)),
            "preset": settings.preset,
            "device": settings.device,
            "weights": settings.weights,
            "arms": axes.arms,
            "label": axes.label,
            "bare": axes.bare,
            "profile": axes.profile,
            "warm_cache": axes.warm_cache,
            "stretch": axes.stretch,
            "pipeline": settings.pipeline,
            "pipeline_sha256": settings.pipeline_sha256,
            **effort,
        }
        fields["width_px"], fields["height_px"] = parse_size(fields.pop("size"))
        if settings.processes is not None and fields["kind"] not in ("isolated", "quality"):
            fields["processes"] = settings.processes
        try:
            case = msgspec.convert(fields, Case)
        except msgspec.ValidationError as error:
            raise UsageError(f"matrix: {error}", next_step="see docs/matrix.md") from error
        if _makes_sense(case):
            cases.append(case)
    return cases


def _check_axes(axes: Axes, settings: Settings) -> None:
    """Raises UsageError for an entry of which no combination can be run."""
    _check_own(axes, settings)
    check_arms(axes.kind, axes.arms, modes=axes.mode, device=settings.device)
    if axes.profile and set(axes.kind) != {"e2e"}:
        raise UsageError(
            "matrix: only end-to-end cases have a profile", next_step="write kind = ['e2e']"
        )


def _check_own(axes: Axes, settings: Settings) -> None:
    """Raises UsageError unless a run with a pipeline of its own holds nothing else."""
    if settings.pipeline and set(axes.mode) != {"own"}:
        raise UsageError(
            "matrix: cases of the built-in workload cannot be run with --pipeline",
            next_step="write mode = ['own'], or leave --pipeline out",
        )
    if "own" not in axes.mode:
        return
    if not settings.pipeline:
        raise UsageError(
            "matrix: mode 'own' is that of a pipeline of your own", next_step="give --pipeline FILE"
        )
    plain = Axes(kind=("e2e",), mode=("own",))
    fixed = (
        *("kind", "compiled", "vae", "attention", "steps", "window", "stretch"),
        *("arms", "variant", "plant"),
    )
    changed = [name for name in fixed if getattr(axes, name) != getattr(plain, name)]
    if changed:
        raise UsageError(
            f"matrix: {changed[0]} is for the built-in workload, a case of your own has none",
            next_step="leave it out; kind is 'e2e', components are measured beside the chunks",
        )


def _makes_sense(case: Case) -> bool:
    """False for what another variant leaves nothing of. Raises UsageError for what cannot be."""
    if case.mode == "text" and (case.compiled or case.kind == "isolated"):
        raise UsageError(
            f"matrix: a text-only case cannot be {'compiled' if case.compiled else 'isolated'}",
            next_step="only the VACE branch is compiled or isolated, and text-only has none",
        )
    if case.compiled and case.kind in ("paired", "quality"):
        raise UsageError(
            "matrix: a paired entry is not compiled as a whole",
            next_step="give it the arm 'compiled'",
        )
    if case.device == "cpu" and case.attention not in ("default", "sdpa"):
        raise UsageError(
            f"matrix: attention '{case.attention}' needs a GPU", next_step="use default or sdpa"
        )
    check_workload((case.variant, *case.arms), vae=case.vae, dtype=case.dtype)
    if case.variant == BASELINE:
        return True
    if case.device == "cpu" and needs_gpu(case.variant):
        raise UsageError(
            f"variant '{case.variant}' needs a GPU",
            next_step="join those of its fixes that do not with '+', see docs/variants.md",
        )
    # Compiling the VACE branch, and other variants beside it, are questions to the baseline alone.
    beside = case.compiled or "compiled" in case.arms or any(map(is_variant_arm, case.arms))
    return not beside
