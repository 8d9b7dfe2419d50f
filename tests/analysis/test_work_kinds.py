"""Kinds of work by operator and range: every device millisecond is somewhere."""

import pytest

from harness.analysis.profile import main_slot
from harness.analysis.work_kinds import kind_times, place_of, unattributed_ms
from tests.analysis.profiled import with_chunk
from tests.records import stacks


@pytest.mark.parametrize(
    ("operator", "part", "place"),
    [
        ("aten::_scaled_mm", "base", "linears"),
        ("aten::_addmm_activation", "vace", "linears"),
        ("aten::cudnn_convolution", "vace/patch", "linears"),
        ("aten::addmm", "head", "linears"),
        ("aten::cudnn_convolution", "vae", None),
        ("aten::mm", "vae", None),
        ("aten::_scaled_dot_product_cudnn_attention", "base", "attention"),
        ("aten::_flash_attention_forward", "vace/cross_attention/attention", "attention"),
        ("flex_attention", "vace", "attention"),
        ("(no operator)", "base/attention", "attention"),
        ("triton_poi_fused__to_copy_3", "base/attention", "attention"),
        ("triton_tem_fused_0", "vace/attention", "attention"),
        ("triton_red_fused_native_layer_norm_0", "base", "elementwise and copies"),
        ("aten::copy_", "base/cache.write", "elementwise and copies"),
        ("(no operator)", "vace", "elementwise and copies"),
        ("aten::mul", "x0", "outside of blocks"),
        ("aten::mul", "", "outside of blocks"),
    ],
)
def test_what_launched_a_kernel_says_its_kind(operator: str, part: str, place: str | None) -> None:
    assert place_of(operator, part) == place


def test_all_device_time_is_in_a_kind() -> None:
    for case in stacks.cases():
        slot = main_slot(stacks.result(case).profile)
        assert slot is not None
        kinds = kind_times(slot)
        assert sum(kind.device_ms for kind in kinds) == pytest.approx(slot.chunk.busy_ms)
        assert unattributed_ms(slot, kinds) == pytest.approx(0.0, abs=1e-9)
        vae = {kind.place: kind.device_ms for kind in kinds if kind.place.startswith("VAE")}
        assert vae == pytest.approx({"VAE encode": 5.4, "VAE decode": 4.6})


def test_an_attention_without_an_operator_is_none_the_less_attention() -> None:
    case = stacks.cases()[1]
    bare = main_slot(stacks.result(case).profile)
    more = main_slot(stacks.result(case, (("(no operator)", "base/attention", 149, 30.0),)).profile)
    assert bare is not None and more is not None
    before, after = (
        {kind.place: kind.device_ms for kind in kind_times(slot)} for slot in (bare, more)
    )
    assert after["attention"] == pytest.approx(before["attention"] + 30.0)
    assert after["elementwise and copies"] == before["elementwise and copies"]


def test_time_that_no_operator_holds_is_told() -> None:
    made = stacks.result(stacks.cases()[0])
    slot = main_slot(with_chunk(made, unattributed_ms=1.5).profile)
    assert slot is not None
    assert unattributed_ms(slot, kind_times(slot)) == pytest.approx(1.5)
    fewer = [row for row in slot.chunk.operators if row.part != "x0"]
    slot = main_slot(with_chunk(made, operators=fewer).profile)
    assert slot is not None
    assert unattributed_ms(slot, kind_times(slot)) == pytest.approx(0.05)
