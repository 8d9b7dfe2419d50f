from pathlib import Path

import pytest

from harness.report.index import index_view
from harness.store import RunFolder
from tests.report import made_fixes


def row(path: Path) -> dict[str, str]:
    """The only run's row, by the heads of the table."""
    rows = index_view([RunFolder(path).load()]).rows
    assert rows is not None and len(rows.rows) == 1
    heads = [column.label.text for column in rows.columns]
    return dict(zip(heads, (one.__html__() for one in rows.rows[0]), strict=True))


@pytest.mark.parametrize(("worse", "shown"), [({}, True), ({"lossless": 5.0}, False)])
def test_the_stack_is_shown_where_its_output_is_proven(
    tmp_path: Path, worse: dict[str, float], shown: bool
) -> None:
    found = row(made_fixes.run(tmp_path, worse=worse))
    assert (found["Stack of fixes (FPS)"] != "–") == shown
    assert found["FPS"] != "–"


def test_processes_are_told_where_a_run_lacks_some_of_a_case(tmp_path: Path) -> None:
    made = made_fixes.run(tmp_path)
    assert "processes" not in row(made)["Cases"]
    gone = next((made / "cases").glob("paired-inpainting-stack.process-3.json"))
    gone.unlink()
    assert row(made)["Cases"].endswith(" processes")
