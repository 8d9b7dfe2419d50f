"""Which paired and quality cases ask how far the stack can go, and not what a fix gains."""

from harness.arms import is_variant_arm
from harness.matrix import Case
from harness.variants import is_bounded, is_variant, left_out


def variants_of(case: Case) -> list[str]:
    """The arms of a case that are variants this version knows."""
    return [arm for arm in case.arms if is_variant_arm(arm) and is_variant(arm)]


def leaves_out(case: Case) -> bool:
    """Whether it measures a bundle without one of its fixes."""
    return any(left_out(arm) is not None for arm in variants_of(case))


def allows_error(case: Case) -> bool:
    """Whether one of its arms claims an error budget."""
    return any(map(is_bounded, variants_of(case)))


def compares_vae(case: Case) -> bool:
    """Whether it is one autoencoder's part of a comparison of both."""
    return case.kind == "paired" and (case.vae != "tae" or case.label == VAE_LABEL)


def is_of_limit(case: Case) -> bool:
    """Whether another section than that of the fixes tells it."""
    return leaves_out(case) or allows_error(case) or compares_vae(case)


def has_fixes(case: Case) -> bool:
    """Whether variants are among its arms, and the section of the fixes tells it."""
    return any(map(is_variant_arm, case.arms)) and not is_of_limit(case)


VAE_LABEL = "vae"  # of the TAE's part: its arms alone do not tell what it is for
