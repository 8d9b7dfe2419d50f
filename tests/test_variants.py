"""harness.variants: what a name stands for."""

import pytest

from harness.errors import UsageError
from harness.matrices_limit import LEFT_OUT, LEFT_OUT_OF_FASTEST
from harness.variants import (
    BASELINE,
    FIXES,
    STACKS,
    STEPS,
    WITHOUT,
    WRONG,
    is_bounded,
    is_variant,
    left_out,
    names_bundle,
    needs_gpu,
    resolve,
    vae_of,
)


def names(variant: str) -> list[str]:
    return [fix.name for fix in resolve(variant)]


def test_the_baseline_changes_nothing() -> None:
    assert resolve(BASELINE) == ()


def test_a_fix_brings_what_it_needs_in_the_order_of_application() -> None:
    assert names("fused-qkv") == ["lora-merged", "fused-qkv"]
    assert names("compiled-blocks") == ["rope-real", "hint-list", "compiled-blocks"]
    assert names("once+lora-merged") == names("lora-merged+once") == ["lora-merged", "once"]


def test_a_fix_takes_the_place_of_lesser_ones() -> None:
    assert names("host-index+batched-update") == ["host-index", "batched-update"]
    assert names("host-index+batched-update+ring-cache") == ["ring-cache"]
    assert "graph-forward" not in names("graph-forward+graph-chunk")


def test_every_fix_stands_after_what_it_needs() -> None:
    order = list(FIXES)
    for fix in FIXES.values():
        assert all(order.index(need) < order.index(fix.name) for need in fix.needs)


def test_the_stack_grows_step_by_step_to_lossless_and_holds_nothing_wrong() -> None:
    assert len(STACKS) == len(STEPS) and list(STACKS)[-1] == "lossless"
    grown: set[str] = set()
    for stack in STACKS:
        assert grown < set(names(stack))
        grown = set(names(stack))
    assert not grown & set(WRONG)
    assert needs_gpu("lossless") and not needs_gpu("ring-cache")


def test_a_bundle_without_a_fix_lacks_it_and_what_needs_it() -> None:
    assert left_out("lossless") is None
    assert left_out("lossless-without-ring-cache") == ("lossless", ("ring-cache", "graph-chunk"))
    assert left_out("lossless-without-fused-qkv+whole-waves") is None
    lacking = {"rope-real", "compiled-blocks", "graph-chunk"}
    assert set(names("lossless")) - set(names("lossless-without-rope-real")) == lacking
    assert set(names("lossless-without-rope-real")) < set(names("lossless"))
    for name in ("lossless-without-host-index", "ring-cache-without-once", "lossless-without-"):
        assert not is_variant(name)


def test_every_fix_of_the_stack_is_left_out_once() -> None:
    left = [fix for fixes in LEFT_OUT.values() for fix in fixes if WITHOUT not in fix]
    assert sorted(left) == sorted(STACKS["lossless"])


def test_what_the_fastest_stack_has_beyond_the_lossless_one_is_left_out_too() -> None:
    assert set(LEFT_OUT_OF_FASTEST) == set(names("fastest")) - set(names("lossless"))
    assert all(left_out(f"fastest{WITHOUT}{fix}") for fix in LEFT_OUT_OF_FASTEST)


def test_what_goes_with_a_fix_is_left_out_without_it_too() -> None:
    arms = [f"lossless{WITHOUT}{fixes}" for group in LEFT_OUT.values() for fixes in group]
    sets = [set(lacking[1]) for arm in arms if (lacking := left_out(arm)) is not None]
    for fix in STACKS["lossless"]:
        lacking = left_out(f"lossless{WITHOUT}{fix}")
        assert lacking is not None
        rest = set(lacking[1]) - {fix}
        assert not rest or rest in sets, fix


def test_the_bundles_suit_their_autoencoder() -> None:
    assert vae_of("lossless") == "tae" and vae_of("lossless-wanvae") == "wanvae"
    assert vae_of("ring-cache") is None
    assert "graph-loop" in names("lossless-wanvae") and "graph-chunk" not in names(
        "lossless-wanvae"
    )


def test_the_fastest_has_fp8_in_the_place_of_the_epilogue_and_claims_a_budget() -> None:
    assert set(names("lossless")) ^ set(names("fastest")) == {
        "gelu-epilogue",
        "fp8-linears",
        "fp8-attention",
        "fused-keys",
        "whole-waves",
    }
    assert is_bounded("fastest") and not is_bounded("lossless")


@pytest.mark.parametrize("variant", ["", "ring", "ring-cache+", "ring-cache+ring-cache", "a+b"])
def test_what_is_no_variant_is_refused_in_one_line(variant: str) -> None:
    assert not is_variant(variant)
    with pytest.raises(UsageError) as refused:
        resolve(variant)
    assert "\n" not in refused.value.line


@pytest.mark.parametrize(
    ("variant", "told"),
    [
        ("lossless", True),
        ("lossless-without-once", True),
        ("whole-waves+lossless-without-fused-qkv", True),
        ("once", False),
        ("once+hint-list", False),
        ("baseline", False),
    ],
)
def test_a_variant_that_is_made_of_a_bundle(variant: str, told: bool) -> None:
    assert names_bundle(variant) is told
