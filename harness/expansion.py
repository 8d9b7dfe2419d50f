"""A matrix and the run's options, expanded into an ordered list of validated cases."""

import fnmatch
import itertools
import math
import re
from collections.abc import Collection
from typing import Any, Literal

import msgspec

from harness.arms import check_arms, check_workload, is_variant_arm
from harness.errors import UsageError
from harness.matrix import MOST_CASES, Axes, Case, Device, Dtype, Matrix, PresetName
from harness.presets import DEFAULT_DTYPE, PRESETS, SIZE_MULTIPLE_PX
from harness.variants import BASELINE, needs_gpu


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
    kept = matching(cases, settings.only, of=f"matrix '{matrix.name}'")
    return [case for name, case in cases.items() if name in kept]


def matching(ids: Collection[str], only: str | None, *, of: str) -> set[str]:
    """The case ids that patterns of `--only` keep; all of them for None.

    Raises UsageError for a pattern that matches no case of what `of` names.
    """
    if only is None:
        return set(ids)
    patterns = only.split(",")
    for pattern in patterns:
        if not fnmatch.filter(ids, pattern):
            raise UsageError(
                f"--only '{pattern}' matches no case of {of}",
                next_step=f"its cases are {', '.join(ids)}",
            )
    return {name for pattern in patterns for name in fnmatch.filter(ids, pattern)}


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
