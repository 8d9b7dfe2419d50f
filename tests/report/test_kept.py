"""harness.report.kept: comparisons that lie beside the runs, in the index."""

from pathlib import Path

import pytest

from harness.errors import RecordError
from harness.report.compare import compare_runs
from harness.report.kept import DOCUMENT, KEPT, TEXT, kept_comparisons, kept_table
from harness.report.render import render_index
from tests.records import build


def test_the_index_lists_what_is_kept(tmp_path: Path) -> None:
    run = build.gpu_run(tmp_path).name
    assert "Comparisons" not in render_index(tmp_path)[-1].read_text()
    compare_runs(tmp_path, a=run, b=run, out=str(tmp_path / KEPT / "itself"))
    index = render_index(tmp_path)[-1].read_text()
    call = kept_comparisons(tmp_path)["itself"][0].call
    row = (
        f"| [itself](comparisons/itself/comparison.md) | {run} | {run} | the same again | {call} "
        "| GPU-busy time |"
    )
    assert row in index
    page = (tmp_path / KEPT / "itself" / TEXT).read_text()
    assert f"Altogether, by GPU-busy time: **{call}**" in page


def test_one_run_held_against_several_has_a_row_for_each(tmp_path: Path) -> None:
    run = build.gpu_run(tmp_path).name
    compare_runs(tmp_path, a=run, b=f"{run},{run}", out=str(tmp_path / KEPT / "several"))
    index = render_index(tmp_path)[-1].read_text()
    assert index.count("| [several](comparisons/several/comparison.md) |") == 2


def test_a_name_that_breaks_a_table_is_refused(tmp_path: Path) -> None:
    run = build.gpu_run(tmp_path).name
    compare_runs(tmp_path, a=run, b=run, out=str(tmp_path / KEPT / "a | b"))
    with pytest.raises(RecordError, match=r"a | b/ has a name that the index cannot link to"):
        render_index(tmp_path)


def test_without_any_there_is_no_table(tmp_path: Path) -> None:
    assert kept_table(kept_comparisons(tmp_path)) is None


@pytest.mark.parametrize("text", ["", "[]", '{"comparisons": []}', "[" * 100_000])
def test_what_is_no_comparison_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / KEPT / "broken" / DOCUMENT
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(
        RecordError, match=r"comparisons/broken/comparison.json is not a comparison"
    ):
        kept_comparisons(tmp_path)
