"""Cases that ask how far the stack can go: fastest, floors, one fix less, autoencoders, growth."""

from typing import Any

from harness.arms import BASE_ARM
from harness.matrix import DEFAULT_STRETCH, Axes
from harness.variants import BASELINE, FASTEST, LOSSLESS, LOSSLESS_WANVAE, WITHOUT, Vae

# Fixes of the stack that are left out of it in one process: so few that their pipelines fit beside
# one another. A pair is what goes with a fix of the same line, without that fix.
LEFT_OUT: dict[str, tuple[str, ...]] = {
    "without-linears": (
        *("lora-merged", "fused-qkv", "gelu-epilogue", f"fused-qkv{WITHOUT}gelu-epilogue"),
        "attention-cudnn",
    ),
    "without-repeats": (
        *("ring-cache", "rope-real", "once", "hint-list"),
        f"compiled-blocks{WITHOUT}graph-chunk",
    ),
    "without-vae": (
        *("tae-explicit", "tae-channels-last", "tae-compiled"),
        f"tae-compiled{WITHOUT}graph-chunk",
    ),
    "without-launches": ("no-padding", "lean-clean", "compiled-blocks", "graph-chunk"),
}
# Those of the fastest stack that the lossless one does not have.
LEFT_OUT_OF_FASTEST = ("fp8-linears", "fp8-attention", "whole-waves", "fused-keys")


def _without(bundle: str, label: str, *fixes: str) -> Axes:
    """A stack without one fix, each beside the whole stack and the baseline."""
    return Axes(
        kind=("paired",),
        mode=("inpainting",),
        arms=(BASE_ARM, bundle, *(f"{bundle}{WITHOUT}{fix}" for fix in fixes)),
        label=label,
        processes=3,
        chunks_per_block=2,
        warm_cache=True,
    )


def _timed(label: str, *arms: str, warm_cache: bool = False) -> Axes:
    """Stacks beside one another and the baseline, in the fewest processes that give a verdict."""
    return Axes(
        kind=("paired",),
        mode=("inpainting",),
        arms=(BASE_ARM, *arms),
        label=label,
        processes=3,
        chunks_per_block=4,
        warm_cache=warm_cache,
    )


def _proven(
    label: str, *arms: str, stretch: int = DEFAULT_STRETCH, warm_cache: bool = False
) -> Axes:
    """Their output, over a number of chunks of one prompt and a change of it."""
    return Axes(
        kind=("quality",),
        mode=("inpainting",),
        arms=(BASE_ARM, *arms),
        label=label,
        stretch=stretch,
        warm_cache=warm_cache,
    )


def _vae(vae: Vae, *arms: str) -> Axes:
    """One autoencoder as it is, compiled, and in the stack."""
    return Axes(
        kind=("paired",),
        mode=("inpainting",),
        vae=(vae,),
        arms=(BASE_ARM, *arms),
        label="vae",
        processes=3,
        chunks_per_block=2,
    )


def _growth(*variants: str, **axis: Any) -> Axes:
    """Variants at other points of one axis, each in a process of its own."""
    return Axes(
        kind=("e2e",),
        mode=("inpainting",),
        variant=variants,
        blocks=2,
        chunks_per_block=4,
        warmup_max_chunks=40,  # a window of 24 is settled, its graphs captured, at chunk 22
        warm_cache=True,
        **axis,
    )


def _cold(*variants: str) -> Axes:
    """Variants at the preset's own point, with nothing compiled before."""
    return Axes(kind=("e2e",), mode=("inpainting",), variant=variants, blocks=2, chunks_per_block=4)


# What is tried beyond the lossless stack, in bf16, and beyond the fastest one.
TRIED = f"{LOSSLESS}+whole-waves+fused-keys+one-pass-rows"
FASTEST_TRIED = f"{FASTEST}+one-pass-rows"
# The fastest stack without each fix that allows an error: what of its error is whose.
WITHOUT_FP8 = tuple(f"{FASTEST}{WITHOUT}{fix}" for fix in ("fp8-linears", "fp8-attention"))
LEAVE_ONE_OUT = [
    *(_without(LOSSLESS, label, *fixes) for label, fixes in LEFT_OUT.items()),
    _without(FASTEST, "without-bounded", *LEFT_OUT_OF_FASTEST),
]
AUTOENCODERS = [
    _vae("tae", "tae-compiled", LOSSLESS),
    _vae("wanvae", "wan-compiled", LOSSLESS_WANVAE),
]
# The points of the three axes share the preset's own one, which is the cold start of all three.
COLD = _cold(BASELINE, LOSSLESS, FASTEST)
POINTS: tuple[dict[str, Any], ...] = (
    {"size": ("320x320", "832x480", "1024x1024")},
    {"steps": (1, 8)},
    {"window": (3, 24)},
)
GROWTH = [
    COLD,
    *(_growth(BASELINE, LOSSLESS, **axis) for axis in POINTS),
    *(_growth(FASTEST, **axis) for axis in POINTS),
]
COLD_START = [_cold("tae-compiled", "compiled-blocks", "graph-chunk")]
# Both stacks without their CUDA graph: kernels of a replay have no place on the host's time line.
FLOORS = [
    Axes(
        kind=("e2e",),
        mode=("inpainting",),
        variant=tuple(f"{stack}{WITHOUT}graph-chunk" for stack in (LOSSLESS, FASTEST)),
        blocks=2,
        profile=True,
        warm_cache=True,
    )
]
# The proof over 60 chunks has every event of a stream: filling, steady, a hard cut, filling again.
FASTEST_CASES = [
    _timed("fastest", LOSSLESS, FASTEST),
    _proven("fastest", LOSSLESS, FASTEST, stretch=60),
]
BEYOND = [
    _timed("beyond", LOSSLESS, TRIED, FASTEST, FASTEST_TRIED, warm_cache=True),
    _proven("beyond", TRIED, FASTEST_TRIED, *WITHOUT_FP8, warm_cache=True),
]
