"""Floors of the stacks: each kind at its own rate, none where a rate is missing."""

import msgspec
import pytest

from harness.analysis.least_work import least_work
from harness.analysis.roofline import roofline
from harness.analysis.roofline_stack import KindFloor, StackRoofline, stack_roofline
from harness.result import Result
from tests.analysis.profiled import eager
from tests.records import build, stacks

LOSSLESS, FASTEST = stacks.cases()


def found(result: Result) -> StackRoofline:
    lines = stack_roofline(result)
    assert lines is not None
    return lines


def kinds(result: Result) -> dict[str, KindFloor]:
    return {kind.name: kind for kind in found(result).kinds}


def test_attention_is_held_against_its_own_kernels_rates() -> None:
    attention = kinds(stacks.result(LOSSLESS))["attention"]
    work = {work.name: work for work in least_work(LOSSLESS, 31)}
    floor_ms = 1e3 * (
        work["self-attention"].flops / 6e14
        + work["cross-attention"].flops / 4.5e14
        + work["VACE self-attention"].flops / 5.5e14
    )
    assert attention.floor_ms == pytest.approx(floor_ms)
    assert attention.device_ms == pytest.approx(71.2)
    assert attention.ratio == pytest.approx(71.2 / floor_ms) and attention.bound == "arithmetic"
    assert attention.gap_ms == pytest.approx(71.2 - floor_ms)


def test_fp8_linears_take_the_rate_of_fp8() -> None:
    plain, fp8 = (kinds(stacks.result(case))["linears"] for case in (LOSSLESS, FASTEST))
    assert plain.floor_ms is not None and fp8.floor_ms is not None
    assert fp8.floor_ms / plain.floor_ms == pytest.approx(7.4e14 / 13e14, rel=0.01)


def test_without_the_rate_of_fp8_there_is_no_floor_and_no_sum() -> None:
    made = stacks.result(FASTEST)
    ceilings = msgspec.structs.replace(made.ceilings, fp8_matmul_flops_per_s=None)
    lines = found(build.change(made, ceilings=ceilings))
    linears = next(kind for kind in lines.kinds if kind.name == "linears")
    assert linears.missing == ("fp8",)
    assert linears.floor_ms is linears.ratio is linears.gap_ms is linears.bound is None
    assert lines.floor_ms is None


def test_elementwise_work_is_bound_by_memory() -> None:
    rest = kinds(stacks.result(LOSSLESS))["elementwise and copies"]
    assert rest.bound == "memory" and rest.device_ms == pytest.approx(25.1)
    assert rest.floor_ms == pytest.approx(1e3 * rest.moved_bytes / 4.1e12)


def test_what_the_cost_model_does_not_count_has_a_time_and_no_floor() -> None:
    outside = kinds(stacks.result(LOSSLESS))["outside of blocks"]
    assert outside.device_ms == pytest.approx(0.06)
    assert outside.floor_ms is None and outside.missing == ()
    assert found(stacks.result(LOSSLESS)).floor_ms is not None


def test_a_variant_has_this_roofline_and_the_baseline_the_other() -> None:
    assert stack_roofline(eager()) is None and roofline(eager()) is not None
    assert roofline(stacks.result(LOSSLESS)) is None
    assert stack_roofline(build.change(stacks.result(LOSSLESS), profile=None)) is None
    assert stack_roofline(build.change(stacks.result(LOSSLESS), ceilings=None)) is None
