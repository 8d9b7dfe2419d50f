"""Tables of a profiled chunk: they add up, name their parts, and never gain more than there is."""

import msgspec
import pytest

from harness.analysis.profile import (
    by_group,
    by_operator,
    by_stage,
    distortion,
    host_time,
    main_slot,
    named_parts,
    slots,
)
from harness.profiled import OperatorPart
from tests.analysis.profiled import eager, with_chunk, with_wall
from tests.records import build


def test_every_grouping_adds_up_to_the_busy_time() -> None:
    slot = main_slot(eager().profile)
    assert slot is not None
    for portions in (by_group(slot), by_stage(slot)):
        assert sum(item.device_ms for item in portions) == pytest.approx(slot.chunk.busy_ms)
        assert sum(item.share for item in portions) == pytest.approx(1.0)
    assert sum(use.device_ms for use in by_operator(slot)) == pytest.approx(slot.chunk.busy_ms)
    assert sum(item.idle_ms for item in by_group(slot)) == pytest.approx(
        sum(gap.idle_ms for gap in slot.chunk.gaps if gap.part)
    )


def test_an_operator_is_described_by_its_parts_largest_first() -> None:
    rows = [
        OperatorPart(operator="aten::mm", part="base/ffn/lora", calls=10, device_ms=3.0),
        OperatorPart(operator="aten::mm", part="base/qkv/lora", calls=30, device_ms=6.0),
        OperatorPart(operator="aten::mm", part="head", calls=1, device_ms=1.0),
        OperatorPart(operator="aten::item", part="base/cache.index", calls=9, device_ms=0.0),
        OperatorPart(operator="aten::item", part="", calls=1, device_ms=0.0),
    ]
    slot = main_slot(with_chunk(eager(), operators=rows).profile)
    assert slot is not None
    products, reads = by_operator(slot)
    named, rest = named_parts(products)
    assert [(where.part, where.share) for where in named] == [
        ("base/qkv/lora", 0.6), ("base/ffn/lora", 0.3), ("head", 0.1),
    ]  # fmt: skip
    assert rest == pytest.approx(0.0)
    assert [where.share for where in reads.where] == [0.9, 0.1]


def test_host_time_and_distortion() -> None:
    result = eager()
    slot = main_slot(result.profile)
    assert slot is not None and result.profile is not None
    spent = host_time(slot)
    assert spent.total_ms == pytest.approx(sum(part.host_ms for part in slot.chunk.parts))
    assert spent.operator_ms is not None and spent.python_ms is not None
    assert 0 < spent.sync_ms < spent.launch_ms < spent.operator_ms
    assert spent.mixed_ms is None and spent.other_ms < 0.02 * spent.total_ms
    old = [
        msgspec.structs.replace(part, operator_ms=None, python_ms=None) for part in slot.chunk.parts
    ]
    mixed = main_slot(with_chunk(result, parts=old).profile)
    assert mixed is not None
    assert (host_time(mixed).operator_ms, host_time(mixed).python_ms) == (None, None)
    assert host_time(mixed).total_ms == pytest.approx(spent.total_ms)
    assert distortion(result.profile) == pytest.approx(1.18, abs=0.01)
    wall = result.profile.wall_median_ms
    assert distortion(with_wall(result, 0.0).profile) is None  # type: ignore[arg-type]
    assert wall is not None


def test_kinds_of_chunks_and_a_cpu_without_device_time() -> None:
    profile = eager().profile
    assert profile is not None
    assert [slot.chunk.chunk for kind in ("first", "filling") for slot in slots(profile, kind)] == [
        0,
        2,
    ]
    on_cpu = build.result(build.cpu_cases()[-1])
    slot = main_slot(on_cpu.profile)
    assert slot is not None
    assert sum(item.share for item in by_group(slot)) == pytest.approx(1.0)
    assert by_group(slot)[0].device_ms == 0.0
    assert main_slot(None) is None
