"""What the cases of one process may compare: the arms of a paired case and of a proof of output.

"base" is the workload as it is, "again" the same once more, "compiled" the VACE branch through
torch.compile, "delayN" adds N % of the chunk's busy time as a delay, "no-telemetry" stops the
sampler. Any other arm is a variant by its name, with a pipeline of its own around the same weights.
"""

import re
from collections.abc import Sequence

from harness.errors import UsageError
from harness.presets import DEFAULT_DTYPE
from harness.variants import is_bounded, needs_gpu, resolve, vae_of

BASE_ARM = "base"
SWITCHED = re.compile(r"(base|again|compiled|no-telemetry|delay[1-9]\d?)\Z")


def is_variant_arm(arm: str) -> bool:
    """Whether an arm is a variant's name, and not a switch on the base pipeline."""
    return SWITCHED.match(arm) is None


def check_arms(
    kinds: Sequence[str], arms: Sequence[str], *, modes: Sequence[str], device: str
) -> None:
    """Raises UsageError for arms that a matrix entry of these kinds and modes cannot have."""
    compares = "paired" in kinds or "quality" in kinds
    if compares and len(set(kinds)) > 1:
        raise UsageError(
            "matrix: a paired or quality entry has no other kind",
            next_step="give it an entry of its own",
        )
    if not compares and arms:
        raise UsageError(
            "matrix: arms are for kind paired and quality", next_step="see docs/matrix.md"
        )
    if not compares:
        return
    if len(arms) < 2 or arms[0] != BASE_ARM or len(set(arms)) != len(arms):
        raise UsageError(
            f"matrix: a {kinds[0]} case needs different arms, '{BASE_ARM}' first",
            next_step=f"write e.g. arms = ['{BASE_ARM}', 'lossless']",
        )
    if "text" in modes and "compiled" in arms:
        raise UsageError(
            "matrix: a text-only case has no compiled arm",
            next_step="only the VACE branch is compiled, and text-only has none",
        )
    _check_variants(kinds[0], arms[1:], device)


def check_workload(variants: Sequence[str], *, vae: str, dtype: str) -> None:
    """Raises UsageError for a variant of the other autoencoder, or of bfloat16 in another type.

    Arms that are no variants are passed over.
    """
    named = [variant for variant in variants if is_variant_arm(variant)]
    for variant in named:
        if vae_of(variant) not in (None, vae):
            raise UsageError(
                f"matrix: variant '{variant}' changes the {vae_of(variant)}, and the case has the "
                f"{vae}",
                next_step="leave it out, or write its vae",
            )
    # WanVAE's decoder takes latents as bfloat16, and the bounded variants multiply in FP8 for it.
    of_bfloat16 = [*filter(is_bounded, named), *(["wanvae"] if vae == "wanvae" else [])]
    if dtype != DEFAULT_DTYPE and of_bfloat16:
        raise UsageError(
            f"matrix: '{of_bfloat16[0]}' needs {DEFAULT_DTYPE}, and the case is {dtype}",
            next_step=f"leave it out, or write dtype = ['{DEFAULT_DTYPE}']",
        )


def _check_variants(kind: str, arms: Sequence[str], device: str) -> None:
    for arm in arms:
        if not is_variant_arm(arm):
            if kind == "quality":
                raise UsageError(
                    f"matrix: '{arm}' is no variant whose output could be judged",
                    next_step="name fixes or stacks",
                )
            continue
        fixes = resolve(arm)
        wrong = [fix.name for fix in fixes if fix.claim == "wrong"]
        if wrong and kind == "paired":
            raise UsageError(
                f"matrix: arm '{arm}' is wrong on purpose, so its time means nothing",
                next_step="use it in a case of kind quality",
            )
        if device == "cpu" and needs_gpu(arm):
            missing = ", ".join(fix.name for fix in fixes if fix.gpu_only)
            raise UsageError(
                f"matrix: arm '{arm}' needs a GPU for {missing}",
                next_step="leave it out here, or run the matrix on a GPU",
            )
