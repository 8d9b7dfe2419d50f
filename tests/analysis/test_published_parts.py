"""Differences from the specification's counts, part by part."""

import pytest

from harness.analysis.published import DIFFERENCES, OPERATORS
from harness.analysis.published_parts import CASTS, COPIES, KNOWN, PARTS, part_differences
from harness.profiled import OperatorPart, ProfiledChunk
from tests.analysis.profiled import eager, steady, with_chunk


def specified(**more: int) -> ProfiledChunk:
    """A chunk with the specification's counts, `more` of an operator in the cached attention."""
    rows = [
        OperatorPart(operator=operator, part=part, calls=calls, device_ms=1.0)
        for operator, parts in PARTS.items()
        for part, calls in parts.items()
    ]
    rows += [
        OperatorPart(operator=f"aten::{name}", part="base/attention", calls=calls, device_ms=1.0)
        for name, calls in more.items()
    ]
    return steady(with_chunk(eager(), operators=rows))


def test_parts_add_up_to_the_counts_that_the_specification_states() -> None:
    stated = {item.name: item.steady_inpainting for item in OPERATORS}
    assert sum(CASTS.values()) == stated["aten::_to_copy"]
    assert sum(COPIES.values()) == stated["aten::copy_"]


def test_equal_counts_have_no_difference() -> None:
    assert part_differences(specified(), backend="sage") == []


def test_the_casts_of_v_are_found_in_the_cached_attention_and_explained() -> None:
    found = part_differences(specified(_to_copy=150, copy_=150), backend="sage")
    assert [(item.operator, item.part, item.specified, item.ours) for item in found] == [
        ("aten::_to_copy", "base/attention", 0, 150),
        ("aten::copy_", "base/attention", 150, 300),
    ]
    assert all(item.reason in DIFFERENCES for item in found)


@pytest.mark.parametrize("place", KNOWN)
def test_another_backend_has_no_such_reason(place: tuple[str, str]) -> None:
    found = part_differences(specified(_to_copy=150, copy_=150), backend="sdpa")
    assert {(item.operator, item.part): item.reason for item in found}[place] is None
