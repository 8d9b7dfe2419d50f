"""The built-in matrices, and those that users write as TOML files."""

import os
from pathlib import Path

import msgspec

from harness.arms import BASE_ARM
from harness.errors import UsageError
from harness.intake import read_file
from harness.matrices_limit import (
    AUTOENCODERS,
    BEYOND,
    COLD,
    COLD_START,
    FASTEST_CASES,
    FLOORS,
    GROWTH,
    LEAVE_ONE_OUT,
)
from harness.matrix import Axes, Matrix, Mode
from harness.variants import FIXES, STACKS, WRONG

# The yardstick; the other autoencoder's; what is measured on the stack, as docs/limit.md says.
NOT_ALONE = ("attention-sdpa", "wan-compiled", "fused-keys", "one-pass-rows", "whole-waves")
QUALITY_ALONE = tuple(
    name
    for name, fix in FIXES.items()
    if fix.claim not in ("wrong", "bounded") and name not in NOT_ALONE
)
# In two cases, each of which a GPU of 80 GB holds.
JUDGED_TOGETHER = 12
QUALITY_ALONE_IN_TWO = (
    ("alone", QUALITY_ALONE[:JUDGED_TOGETHER]),
    ("alone-more", QUALITY_ALONE[JUDGED_TOGETHER:]),
)
# What fixes need, as variants of their own: the gain of such a fix itself is that beyond its needs.
NEEDS = ("rope-real+hint-list", "ring-cache+rope-real+once+tae-explicit", "tae-explicit")


def _alone(label: str, *fixes: str) -> Axes:
    """Fixes that are measured alone, each against the baseline of its own process."""
    return Axes(
        kind=("paired",),
        mode=("inpainting",),
        arms=(BASE_ARM, *fixes),
        label=label,
        processes=3,
        chunks_per_block=2,
    )


def _lossless(mode: Mode, size: tuple[str, ...] = ()) -> Axes:
    return Axes(
        kind=("paired",),
        mode=(mode,),
        arms=(BASE_ARM, "lossless"),
        size=size,
        processes=3,
        chunks_per_block=4,
    )


MATRIX_LIMIT_BYTES = 1 << 16
# The TOML reader takes a time that grows with the square of a key's length: 16 s for 30,000 dots.
MOST_DOTS = 100  # in a line

MATRICES: dict[str, Matrix] = {
    "quick": Matrix(
        name="quick",
        cases=[
            Axes(kind=("isolated",), mode=("inpainting",), compiled=(False, True)),
            Axes(kind=("e2e",), mode=("inpainting", "depth", "text")),
            Axes(kind=("e2e",), mode=("inpainting",), compiled=(True,)),
        ],
    ),
    "full": Matrix(
        name="full",
        cases=[
            Axes(kind=("isolated",), mode=("inpainting",), compiled=(False, True)),
            Axes(kind=("e2e",), mode=("inpainting", "depth", "text"), processes=3, profile=True),
            Axes(
                kind=("paired",),
                mode=("inpainting", "depth"),
                arms=(BASE_ARM, "compiled"),
                processes=3,
            ),
            Axes(kind=("e2e",), mode=("inpainting", "depth"), compiled=(True,), profile=True),
            Axes(kind=("isolated",), mode=("depth",)),
            Axes(kind=("e2e",), mode=("inpainting",), attention=("sdpa",)),
        ],
    ),
    # Where the time goes, and nothing else: few timed blocks, the profile of each mode.
    "profile": Matrix(
        name="profile",
        cases=[
            Axes(kind=("e2e",), mode=("inpainting", "depth", "text"), profile=True, blocks=2),
            Axes(
                kind=("e2e",),
                mode=("inpainting", "depth"),
                compiled=(True,),
                profile=True,
                blocks=2,
            ),
        ],
    ),
    # A pipeline of the user's own: its chunks, the components that it names, its profile.
    "own": Matrix(name="own", cases=[Axes(kind=("e2e",), mode=("own",), profile=True)]),
    # How far the numbers can be trusted: spread, false alarms, cost of telemetry, container against
    # bare host, parts against the whole. Delays have a case of their own: they are shares of the
    # busy time, which takes the profiler, and what that leaves behind in a process is not known.
    "selfcheck": Matrix(
        name="selfcheck",
        cases=[
            Axes(
                kind=("paired",),
                mode=("inpainting",),
                arms=(BASE_ARM, "again", "no-telemetry"),
                processes=5,
                chunks_per_block=4,
            ),
            Axes(
                kind=("paired",),
                mode=("inpainting",),
                arms=(BASE_ARM, "again"),
                processes=3,
                bare=True,
                chunks_per_block=4,
            ),
            Axes(
                kind=("paired",),
                mode=("inpainting",),
                arms=(BASE_ARM, "delay1", "delay2", "delay3", "delay5"),
                processes=3,
                chunks_per_block=2,
            ),
            Axes(kind=("isolated",), mode=("inpainting",)),
        ],
    ),
    # What each fix gains alone and in the stack, and that no output is worse.
    "fixes": Matrix(
        name="fixes",
        cases=[
            Axes(
                kind=("paired",),
                mode=("inpainting",),
                arms=(BASE_ARM, *STACKS),
                label="stack",
                processes=3,
                chunks_per_block=2,
            ),
            _lossless("inpainting", ("832x480",)),
            _lossless("depth"),
            _lossless("text"),
            Axes(
                kind=("quality",),
                mode=("inpainting",),
                arms=(BASE_ARM, *STACKS, *WRONG),
                label="stack",
            ),
            Axes(
                kind=("quality",),
                mode=("text",),
                arms=(BASE_ARM, "stack-3", "lossless", "wrong-stale-text"),
                label="stack",
            ),
            _alone("cache", "host-index", "batched-update", "ring-cache", "hint-list"),
            _alone("work", "lora-merged", "fused-qkv", "rope-real", "once"),
            _alone("lean", "no-padding", "lean-clean", "tae-channels-last", "tae-compiled"),
            _alone(
                "kernels", "attention-cudnn", "attention-flash", "attention-flex", "gelu-epilogue"
            ),
            _alone("launches", "compiled-blocks", "graph-forward", "graph-loop", "graph-chunk"),
            _alone("needs", *NEEDS),
            *(
                Axes(kind=("quality",), mode=("inpainting",), arms=(BASE_ARM, *fixes), label=label)
                for label, fixes in QUALITY_ALONE_IN_TWO
            ),
        ],
    ),
    # Down to the limit, as a whole and in parts: docs/limit.md.
    "leave-one-out": Matrix(name="leave-one-out", cases=LEAVE_ONE_OUT),
    "vae": Matrix(name="vae", cases=AUTOENCODERS),
    "growth": Matrix(name="growth", cases=GROWTH),
    "cold-start": Matrix(name="cold-start", cases=[COLD, *COLD_START]),
    "fastest": Matrix(name="fastest", cases=FASTEST_CASES),
    "floors": Matrix(name="floors", cases=FLOORS),
    "beyond": Matrix(name="beyond", cases=BEYOND),
    "limit": Matrix(
        name="limit",
        cases=[
            *(*FASTEST_CASES, *FLOORS, *AUTOENCODERS, *GROWTH, *COLD_START),
            *(*LEAVE_ONE_OUT, *BEYOND),
        ],
    ),
}


def load_matrix(name_or_path: str) -> Matrix:
    """A built-in matrix by name, or a user's from a `.toml` file.

    Raises UsageError for an unknown name, an unreadable file or a field that does not fit.
    """
    if not name_or_path.endswith(".toml"):
        if name_or_path not in MATRICES:
            raise UsageError(
                f"unknown matrix '{name_or_path}'",
                next_step=f"choose one of {', '.join(MATRICES)} or give a .toml file",
            )
        return MATRICES[name_or_path]
    try:
        blob = read_file(Path(os.path.realpath(name_or_path)), MATRIX_LIMIT_BYTES)
        _check_dots(blob)
        return msgspec.toml.decode(blob, type=Matrix)
    except OSError as error:
        raise UsageError(
            f"matrix file '{name_or_path}' cannot be read ({error.strerror})",
            next_step="check the path",
        ) from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UsageError(
            f"matrix file '{name_or_path}': {error}", next_step="see docs/matrix.md for the form"
        ) from error


def _check_dots(blob: bytes) -> None:
    for number, line in enumerate(blob.splitlines(), start=1):
        if line.count(b".") > MOST_DOTS:
            raise ValueError(f"line {number} has more than {MOST_DOTS} dots")
