"""The named changes of the workload: what each is called, claims and needs. Names only, no torch.

A *fix* is one change. A *variant* is what a case runs: "baseline", a fix with what it needs, a
named bundle, a bundle without one of its fixes, or several of these joined by "+". `resolve` gives
a variant's fixes in the order in which they are applied, which is the order of this file. How each
works stands in `harness.workload.variants`.
"""

from dataclasses import dataclass
from typing import Literal

from harness.errors import UsageError

BASELINE = "baseline"
JOIN = "+"
WITHOUT = "-without-"

# float32: equal to the reference up to the rounding of float32, when everything runs in float32.
# backend: another attention kernel, which has its own rounding.
# bounded: an error beyond that of bf16, within a stated budget.
# wrong: a planted mistake, which the proof of the output must find.
Claim = Literal["float32", "backend", "bounded", "wrong"]
Vae = Literal["tae", "wanvae"]


@dataclass(frozen=True, kw_only=True)
class Fix:
    """One change of the workload."""

    name: str
    title: str
    claim: Claim = "float32"
    needs: tuple[str, ...] = ()  # other fixes without which it cannot work
    replaces: tuple[str, ...] = ()  # fixes that it makes pointless: left out beside it
    gpu_only: bool = False
    vae: Vae | None = None  # the only autoencoder that it changes; None: it touches neither
    least_capability: tuple[int, int] = (0, 0)  # CUDA compute capability
    package: str | None = None  # distribution that it calls, beside torch


def _fixes(*fixes: Fix) -> dict[str, Fix]:
    return {fix.name: fix for fix in fixes}


FIXES: dict[str, Fix] = _fixes(
    Fix(name="lora-merged", title="LoRA adapters merged into the weights"),
    Fix(name="host-index", title="cache indices on the host, no item()"),
    Fix(name="batched-update", title="cache writes of all blocks in one call"),
    Fix(
        name="ring-cache",
        title="ring-buffer KV cache: no clone, roll or window copy",
        replaces=("host-index", "batched-update"),
    ),
    Fix(name="rope-real", title="RoPE in float32 with a kept table"),
    Fix(name="once", title="text, time tables and VACE text keys computed once"),
    Fix(name="no-padding", title="no padding to 32,760 tokens"),
    Fix(name="hint-list", title="hints as a list, not one stacked tensor"),
    Fix(name="lean-clean", title="dead work of the clean pass dropped"),
    Fix(name="fused-qkv", title="one linear for q, k and v", needs=("lora-merged",)),
    Fix(
        name="gelu-epilogue",
        title="the FFN's GELU in its matrix product",
        needs=("lora-merged",),
        gpu_only=True,
    ),
    Fix(
        name="fp8-linears",
        title="the blocks' linears in FP8 with row-wise scales",
        claim="bounded",
        needs=("lora-merged",),
        replaces=("gelu-epilogue",),
        gpu_only=True,
        least_capability=(9, 0),
    ),
    Fix(
        name="attention-sdpa",
        title="PyTorch's SDPA for every attention",
        claim="backend",
    ),
    Fix(
        name="attention-cudnn",
        title="cuDNN's kernel for every attention",
        claim="backend",
        gpu_only=True,
    ),
    Fix(
        name="attention-flash",
        title="the flash kernel for every attention",
        claim="backend",
        gpu_only=True,
    ),
    Fix(
        name="attention-flex",
        title="compiled flex_attention for self-attention",
        claim="backend",
        gpu_only=True,
    ),
    Fix(
        name="whole-waves",
        title="self-attention in whole waves of thread blocks",
        claim="backend",
        needs=("attention-cudnn",),
        gpu_only=True,
    ),
    Fix(
        name="fp8-attention",
        title="cached self-attention in FP8, over a cache in FP8",
        claim="bounded",
        needs=("ring-cache",),
        gpu_only=True,
        least_capability=(9, 0),
        package="nvidia-cudnn-frontend",
    ),
    Fix(name="tae-explicit", title="TAE with its memory as inputs and outputs", vae="tae"),
    Fix(name="tae-channels-last", title="TAE in channels-last layout", vae="tae"),
    Fix(
        name="tae-compiled",
        title="TAE through torch.compile",
        needs=("tae-explicit",),
        vae="tae",
    ),
    Fix(name="wan-compiled", title="WanVAE through torch.compile", vae="wanvae"),
    Fix(
        name="compiled-blocks",
        title="both halves of each block through torch.compile",
        needs=("rope-real", "hint-list"),
    ),
    Fix(
        name="fused-keys",
        title="keys and values written into the ring by the kernel that computes them",
        needs=("ring-cache", "compiled-blocks"),
    ),
    Fix(
        name="one-pass-rows",
        title="norms and other reductions of a row read it once, where that is faster",
        needs=("compiled-blocks",),
    ),
    Fix(
        name="graph-forward",
        title="one CUDA graph a forward",
        needs=("ring-cache", "rope-real", "once"),
        gpu_only=True,
    ),
    Fix(
        name="graph-loop",
        title="one CUDA graph for the denoising loop and the clean pass",
        needs=("ring-cache", "rope-real", "once"),
        replaces=("graph-forward",),
        gpu_only=True,
    ),
    Fix(
        name="graph-chunk",
        title="CUDA graphs for the whole chunk, the autoencoder included",
        needs=("ring-cache", "rope-real", "once", "tae-explicit"),
        replaces=("graph-forward", "graph-loop"),
        gpu_only=True,
    ),
    Fix(
        name="wrong-ring-slot",
        title="ring slot off by one frame",
        claim="wrong",
        needs=("ring-cache",),
    ),
    Fix(name="wrong-no-lora", title="LoRA left out", claim="wrong"),
    Fix(
        name="wrong-stale-text",
        title="text keys of the prompt before",
        claim="wrong",
        needs=("once",),
    ),
)

# The stack in the order in which it grows: what each step adds, and its name in tables.
STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("adapters merged, linears fused", ("lora-merged", "fused-qkv", "gelu-epilogue")),
    ("cuDNN attention", ("attention-cudnn",)),
    ("ring cache", ("ring-cache",)),
    ("nothing computed twice", ("rope-real", "once", "no-padding", "hint-list", "lean-clean")),
    ("TAE compiled", ("tae-explicit", "tae-channels-last", "tae-compiled")),
    ("blocks compiled", ("compiled-blocks",)),
    ("one CUDA graph", ("graph-chunk",)),
)


def _stacks() -> dict[str, tuple[str, ...]]:
    stacks: dict[str, tuple[str, ...]] = {}
    grown: tuple[str, ...] = ()
    for number, (_, added) in enumerate(STEPS, start=1):
        grown += added
        stacks["lossless" if number == len(STEPS) else f"stack-{number}"] = grown
    return stacks


STACKS = _stacks()
LOSSLESS = "lossless"
LOSSLESS_WANVAE = "lossless-wanvae"
FASTEST = "fastest"
# What has a name of its own: the stack with its steps, and what is made of it.
BUNDLES: dict[str, tuple[str, ...]] = {
    **STACKS,
    # A graph of the whole chunk holds the TAE; with the other autoencoder the loop alone is one.
    LOSSLESS_WANVAE: (
        *(name for name in STACKS[LOSSLESS] if FIXES[name].vae is None and name != "graph-chunk"),
        "graph-loop",
        "wan-compiled",
    ),
    FASTEST: (*STACKS[LOSSLESS], "fp8-linears", "fp8-attention", "fused-keys", "whole-waves"),
}
WRONG = tuple(fix.name for fix in FIXES.values() if fix.claim == "wrong")


def resolve(variant: str) -> tuple[Fix, ...]:
    """The fixes of a variant in the order in which they are applied; none for the baseline.

    Raises UsageError for an unknown name or for one given twice.
    """
    if variant == BASELINE:
        return ()
    parts = variant.split(JOIN)
    if len(set(parts)) != len(parts):
        raise UsageError(f"variant '{variant}' names a part twice", next_step="name it once")
    wanted: set[str] = set()
    for part in parts:
        wanted |= _with_needs(part)
    replaced = {name for fix in wanted for name in FIXES[fix].replaces}
    return tuple(fix for name, fix in FIXES.items() if name in wanted - replaced)


def left_out(variant: str) -> tuple[str, tuple[str, ...]] | None:
    """For "BUNDLE-without-FIX", or several: the bundle, and the fixes that it lacks, FIX first.

    Those that need FIX cannot stay and are left out with it. None for every other variant, also for
    such a one joined with more. Raises UsageError where the bundle does not have the fix.
    """
    bundle, *named = variant.split(WITHOUT)
    if not named or JOIN in variant:
        return None
    wrong = [fix for fix in named if bundle not in BUNDLES or fix not in _bundled(bundle)]
    if wrong:
        raise UsageError(
            f"unknown variant '{variant}': '{bundle}' is no bundle that has '{wrong[0]}'",
            next_step=f"write {LOSSLESS}{WITHOUT}FIX with one of {', '.join(STACKS[LOSSLESS])}",
        )
    having = (name for name in FIXES if name in _bundled(bundle) and name not in named)
    with_them = (name for name in having if _with_needs(name) & set(named))
    return bundle, (*named, *with_them)


def names_bundle(variant: str) -> bool:
    """Whether it is a bundle, one without some of its fixes, or one joined with more."""
    return any(part.partition(WITHOUT)[0] in BUNDLES for part in variant.split(JOIN))


def _with_needs(part: str) -> set[str]:
    if (lacking := left_out(part)) is not None:
        return _bundled(lacking[0]) - set(lacking[1])
    if part in BUNDLES:
        return _bundled(part)
    if part not in FIXES:
        raise UsageError(
            f"unknown variant '{part}'",
            next_step=f"choose {BASELINE}, {', '.join((*BUNDLES, *FIXES))}, "
            f"or join several with '{JOIN}'",
        )
    return {part}.union(*(_with_needs(name) for name in FIXES[part].needs))


def _bundled(bundle: str) -> set[str]:
    return set().union(*(_with_needs(name) for name in BUNDLES[bundle]))


def is_variant(name: str) -> bool:
    """Whether `resolve` knows it."""
    try:
        resolve(name)
    except UsageError:
        return False
    return True


def needs_gpu(variant: str) -> bool:
    """Whether one of its fixes exists on a GPU alone."""
    return any(fix.gpu_only for fix in resolve(variant))


def vae_of(variant: str) -> Vae | None:
    """The only autoencoder that a variant can run with; None where it can with both."""
    return next((fix.vae for fix in resolve(variant) if fix.vae is not None), None)


def is_bounded(variant: str) -> bool:
    """Whether it claims an error budget, and not to be as good as the baseline."""
    return any(fix.claim == "bounded" for fix in resolve(variant))
