"""The named changes of the workload: what each is called, claims and needs. Names only, no torch.

A *fix* is one change. A *variant* is what a case runs: "baseline", a fix with what it needs, a
named stack, or fixes joined by "+". `resolve` gives a variant's fixes in the order in which they
are applied, which is the order of this file. How each works stands in `harness.workload.variants`.
"""

from dataclasses import dataclass
from typing import Literal

from harness.errors import UsageError

BASELINE = "baseline"
JOIN = "+"

# float32: equal to the reference up to the rounding of float32, when everything runs in float32.
# backend: another attention kernel, which has its own rounding.
# wrong: a planted mistake, which the proof of the output must find.
Claim = Literal["float32", "backend", "wrong"]


@dataclass(frozen=True, kw_only=True)
class Fix:
    """One change of the workload."""

    name: str
    title: str
    claim: Claim = "float32"
    needs: tuple[str, ...] = ()  # other fixes without which it cannot work
    replaces: tuple[str, ...] = ()  # fixes that it makes pointless: left out beside it
    gpu_only: bool = False


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
    Fix(name="tae-explicit", title="TAE with its memory as inputs and outputs"),
    Fix(name="tae-channels-last", title="TAE in channels-last layout"),
    Fix(name="tae-compiled", title="TAE through torch.compile", needs=("tae-explicit",)),
    Fix(
        name="compiled-blocks",
        title="both halves of each block through torch.compile",
        needs=("rope-real", "hint-list"),
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


def _with_needs(part: str) -> set[str]:
    if part in STACKS:
        return set().union(*(_with_needs(name) for name in STACKS[part]))
    if part not in FIXES:
        raise UsageError(
            f"unknown variant '{part}'",
            next_step=f"choose {BASELINE}, {', '.join((*STACKS, *FIXES))}, "
            f"or join several with '{JOIN}'",
        )
    return {part}.union(*(_with_needs(name) for name in FIXES[part].needs))


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
