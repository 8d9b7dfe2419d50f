"""harness.report.figures_limit: rows of the figure of one fix less, of the recorded run."""

from pathlib import Path

import pytest

from harness.report.figures_limit import saved_rows
from harness.report.material import Material
from harness.report.plots_limit import SavedRow
from harness.store import RunFolder

REPORTS = Path(__file__).parents[2] / "reports" / "nvidia-h200"


@pytest.fixture(scope="module")
def rows() -> list[SavedRow]:
    return saved_rows(Material(RunFolder(REPORTS / "20261128-211928-leave-one-out").load()))


def test_each_fix_has_its_savings_alone_and_in_the_stack(rows: list[SavedRow]) -> None:
    row = next(one for one in rows if one.label == "lossless: lora-merged")
    assert row.busy.alone is not None and row.busy.brings is not None
    assert row.busy.alone.value_ms == pytest.approx(46.18, abs=0.01)
    assert row.busy.brings.value_ms == pytest.approx(31.24, abs=0.01)
    assert row.busy.brings.low_ms == pytest.approx(27.69, abs=0.01)
    assert row.wall.brings is not None and row.wall.brings.high_ms == pytest.approx(32.29, abs=0.01)


def test_rows_go_by_stack_and_by_what_is_saved_there(rows: list[SavedRow]) -> None:
    stacks = [row.label.split(": ")[0] for row in rows]
    assert stacks == sorted(stacks, reverse=True) and len(rows) == 15 + 4
    for stack in ("lossless", "fastest"):
        saved = [row.busy.brings for row in rows if row.label.startswith(stack)]
        values = [dot.value_ms for dot in saved if dot is not None]
        assert values == sorted(values, reverse=True) and len(values) == len(saved)
    assert not any(", " in row.label for row in rows)


def test_a_run_that_leaves_nothing_out_has_no_row() -> None:
    assert saved_rows(Material(RunFolder(REPORTS / "20261128-175804-floors").load())) == []
