"""harness.variants: what a name stands for."""

import pytest

from harness.errors import UsageError
from harness.variants import BASELINE, FIXES, STACKS, STEPS, WRONG, is_variant, needs_gpu, resolve


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


@pytest.mark.parametrize("variant", ["", "ring", "ring-cache+", "ring-cache+ring-cache", "a+b"])
def test_what_is_no_variant_is_refused_in_one_line(variant: str) -> None:
    assert not is_variant(variant)
    with pytest.raises(UsageError) as refused:
        resolve(variant)
    assert "\n" not in refused.value.line
