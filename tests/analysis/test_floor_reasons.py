"""Reasons above a floor: each rule fires on its evidence and is quiet without it."""

import msgspec
import pytest

from harness.analysis.floor_reasons import above_limit, longest, power_cap, reasons
from harness.analysis.roofline_stack import KindFloor, StackRoofline, stack_roofline
from harness.record_parts import ChunkState
from harness.result import Result
from tests.analysis.profiled import with_chunk, words
from tests.records import stacks

LOSSLESS, FASTEST = stacks.cases()
Row = tuple[str, str, int, float]


def kind_of(result: Result, name: str) -> tuple[StackRoofline, KindFloor]:
    found = stack_roofline(result)
    assert found is not None
    return found, next(kind for kind in found.kinds if kind.name == name)


def told(name: str, *extra: Row, without: str = "") -> str:
    made = stacks.result(LOSSLESS, extra)
    if without:
        chunk = made.profile.chunks[0] if made.profile else None
        assert chunk is not None
        made = with_chunk(made, operators=[o for o in chunk.operators if o.operator != without])
    return "; ".join(words(one) for one in reasons(*kind_of(made, name)))


def test_a_reason_is_due_above_the_limit_alone() -> None:
    assert not above_limit(kind_of(stacks.result(LOSSLESS), "attention")[1])
    assert above_limit(kind_of(stacks.result(LOSSLESS), "elementwise and copies")[1])
    assert not above_limit(kind_of(stacks.result(LOSSLESS), "outside of blocks")[1])


def test_short_kernels() -> None:
    many = ("triton_poi_fused_9", "base", 9000, 9.0)
    assert "too short to fill the GPU" in told("elementwise and copies", many)
    assert "too short" not in told("elementwise and copies")


def test_unfused_operators() -> None:
    assert "not fused" in told("elementwise and copies")
    assert "not fused" not in told("elementwise and copies", without="aten::copy_")


def test_small_products() -> None:
    assert "TFLOP each" in told("linears")
    few = stacks.result(LOSSLESS)
    assert few.profile is not None
    fewer = [
        row if row.part not in ("base", "vace") else type(row)(row.operator, row.part, 10, 30.0)
        for row in few.profile.chunks[0].operators
    ]
    rare = reasons(*kind_of(with_chunk(few, operators=fewer), "linears"))
    assert not any("TFLOP each" in words(one) for one in rare)


def test_convolutions_of_the_autoencoder() -> None:
    text = told("VAE encode")
    assert "convolutions take <0.55> of the autoencoder's time and reach <" in text
    assert text.endswith("the floor does not count it")
    assert "reach" not in told("VAE encode", without="aten::cudnn_convolution")
    assert "convolutions" not in told("linears")


def test_traffic_at_its_least() -> None:
    assert "of the measured copy rate" in told("elementwise and copies")
    assert "copy rate" not in told("linears") and "copy rate" not in told("VAE decode")


def test_without_evidence_nothing_is_said() -> None:
    slow = ("aten::_cudnn_attention_forward", "base/attention", 149, 90.0)
    assert told("attention", slow) == ""
    found, kind = kind_of(stacks.result(LOSSLESS, (slow,)), "attention")
    assert above_limit(kind)
    most = longest(found, kind)
    assert most is not None
    operator, share = most
    assert operator == "aten::_cudnn_attention_forward"
    assert words(share).startswith(f"<{90 / (71.2 + 90):.4g}> in <149> calls of <604")


def test_every_number_of_a_reason_has_its_source() -> None:
    for case in (LOSSLESS, FASTEST):
        found = stack_roofline(stacks.result(case))
        assert found is not None
        numbers = [
            part
            for kind in found.kinds
            for one in reasons(found, kind)
            for part in one
            if not isinstance(part, str)
        ]
        assert numbers and all(number.paths for number in numbers)


def test_without_operators_the_autoencoder_is_all_that_has_a_kind() -> None:
    bare = with_chunk(stacks.result(LOSSLESS), operators=[])
    found, kind = kind_of(bare, "VAE encode")
    assert [one.name for one in found.kinds] == ["VAE encode", "VAE decode"]
    assert found.unattributed_ms == pytest.approx(187.45)
    assert longest(found, kind) is None and reasons(found, kind) == ()
    assert found.at("/operators/*/calls") == (f"{found.slot.path}/operators",)


def test_the_power_cap_is_told_of_the_whole_where_the_record_shows_it() -> None:
    made = stacks.result(LOSSLESS)
    calm = stack_roofline(made)
    assert calm is not None and power_cap(calm) is None
    state = ChunkState(sm_clock_mhz=1500.0, power_mw=690e3)
    chunks = [
        msgspec.structs.replace(chunk, state=state, flags=["power capped"]) for chunk in made.chunks
    ]
    held = stack_roofline(msgspec.structs.replace(made, chunks=chunks))
    assert held is not None
    told = power_cap(held)
    assert told is not None
    assert "steady chunks: median SM clock <1500>" in words(told)
    assert all(part.paths for part in told if not isinstance(part, str))
