"""Floors of a roofline: the slower of arithmetic and memory, beside what was measured."""

import msgspec
import pytest

from harness.analysis.roofline import roofline
from harness.cost import chunk_flops
from harness.cost_bytes import chunk_bytes
from tests.analysis.profiled import eager, steady
from tests.records import build
from tests.test_cost import config


def test_a_floor_is_the_longer_of_both_times() -> None:
    result = eager()
    found = roofline(result)
    assert found is not None and result.ceilings is not None
    floors = {floor.name: floor for floor in found.floors}
    moved = chunk_bytes(config(), "inpainting", 31)
    flops = chunk_flops(config(), "inpainting", chunk=31)
    rope, attention = floors["RoPE"], floors["self-attention"]
    assert (rope.bound, rope.floor_ms) == ("memory", pytest.approx(1e3 * moved["RoPE"] / 4.1e12))
    assert attention.bound == "arithmetic"
    assert attention.floor_ms == pytest.approx(1e3 * flops["self-attention"] / 3.4e14)
    assert rope.device_ms == pytest.approx(
        sum(part.device_ms for part in steady(result).parts if part.part.endswith("/rope"))
    )
    assert rope.share == pytest.approx(rope.floor_ms / rope.device_ms)
    assert found.floor_ms == pytest.approx(sum(floor.floor_ms for floor in found.floors))
    above = [floor.above_ms for floor in found.floors]
    assert above == sorted(above, reverse=True)


def test_covered_and_uncovered_time_is_all_time() -> None:
    result = eager()
    found = roofline(result)
    assert found is not None
    covered_ms = sum(floor.device_ms or 0.0 for floor in found.floors)
    assert covered_ms + found.uncovered_ms == pytest.approx(steady(result).busy_ms)


def test_without_rates_or_profile_there_is_none() -> None:
    result = eager()
    unknown = msgspec.structs.replace(result.ceilings, copy_bytes_per_s=None)
    assert roofline(build.change(result, ceilings=unknown)) is None
    assert roofline(build.change(result, ceilings=None)) is None
    assert roofline(build.change(result, profile=None)) is None
    assert roofline(build.result(build.cpu_cases()[-1])) is None
