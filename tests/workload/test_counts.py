"""A chunk's operators equal the specification's sums, at any depth."""

import json

import pytest

from harness.workload.count_sums import spec_counts
from harness.workload.counts import compare, main

SECTION_17 = {
    ("inpainting", 2): (1894, 2400, 210, 60, 114, 1888, 4240, 846, 2261, 3354),
    ("inpainting", 5): (1894, 2400, 210, 60, 114, 1888, 4240, 906, 2261, 3594),
    ("inpainting", 0): (1954, 2520, 210, 60, 149, 1890, 4364, 848, 2322, None),
    ("depth", 5): (1894, 2400, 210, 60, 114, 1897, 4240, 906, 2261, 3585),
    ("text", 5): (1230, 2400, 150, 0, 40, 1249, 3336, 845, 1539, None),
}
NAMES = (
    "aten::addmm", "aten::mm", "flash_attention", "flex_attention", "aten::convolution",
    "aten::cat", "aten::mul", "aten::item", "aten::_to_copy", "aten::copy_",
)  # fmt: skip


@pytest.mark.parametrize("case", SECTION_17)
def test_sums_give_the_published_table_at_full_depth(case: tuple[str, int]) -> None:
    sums = spec_counts(*case, blocks=30, vace_blocks=15)
    assert tuple(sums[name] for name in NAMES) == SECTION_17[case]
    assert sums["sageattn"] == 150


@pytest.mark.parametrize(
    ("mode", "chunk", "blocks", "vace_blocks"),
    [("inpainting", 0, 3, 2), ("inpainting", 2, 7, 3), ("inpainting", 5, 2, 1),
     ("depth", 0, 2, 1), ("depth", 5, 2, 1), ("text", 0, 2, 1), ("text", 5, 2, 1)],
)  # fmt: skip
def test_counted_operators_equal_the_sums(
    mode: str, chunk: int, blocks: int, vace_blocks: int
) -> None:
    rows = compare(mode, chunk, blocks=blocks, vace_blocks=vace_blocks)
    differing = {
        name: row
        for name, row in rows.items()
        if row["spec"] is not None and row["count"] != row["spec"]
    }
    assert differing == {}


def test_json_form(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--mode", "text", "--chunk", "0", "--blocks", "1", "--vace-blocks", "1", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert code == 0
    assert answer["operators"]["aten::mm"] == {"count": 84, "spec": 84, "published": 2400}
    assert answer["operators"]["flash_attention"]["published"] is None


def test_bad_depth_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--mode", "depth", "--chunk", "1", "--blocks", "2", "--vace-blocks", "2"])
    assert exit_.value.code == 2
    assert "2*vace_blocks" in capsys.readouterr().err
