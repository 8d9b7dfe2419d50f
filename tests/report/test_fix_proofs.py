"""Proofs of fixes that lie in another run of the GPU: taken, named, and able to strike out."""

import re
from pathlib import Path

import pytest

from harness.analysis.fixes import Fixes
from harness.report.beside import find_fixes, fixes_of_run
from harness.report.cells import Cell
from harness.report.figures import draw
from harness.report.index import index_view
from harness.report.lint import cells_of
from harness.report.material import Material
from harness.report.render import render_run
from harness.report.sections.fix_output import output_groups
from harness.report.sections.fixes import fix_sentences
from harness.store import RunFolder
from tests.report import made_fixes
from tests.report.test_fix_sections import NAME, row_line
from tests.report.test_render import section

ALONE = "quality-inpainting-alone*"
OLDER, NEWER = "20261125-080000-fixes", "20261127-080000-fixes"


def row_of_ring(path: Path) -> str:
    text = section(render_run(path).read_text(), NAME)
    return next(row for row in text.splitlines() if "`ring-cache`: ring-buffer" in row)


def fixes_in(path: Path) -> Fixes:
    fixes = fixes_of_run(Material(RunFolder(path).load()))
    assert fixes is not None
    return fixes


def test_a_proof_beside_is_taken_and_its_run_named(tmp_path: Path) -> None:
    path = made_fixes.run(tmp_path, only="paired-inpainting-*", processes=1)
    assert "not examined in this run" in row_of_ring(path)
    made_fixes.run(tmp_path, only=ALONE, run_id=NEWER)
    text = section(render_run(path).read_text(), NAME)
    assert re.search(rf"\| as the base \(1\.6\d; run `{NEWER}`\) \|", row_of_ring(path))
    assert f"arms alone, in run `{NEWER}`.**" in text
    assert "not examined in this run" in row_line(text, "one CUDA graph")  # proven nowhere
    sources = {
        source
        for group in output_groups(fixes_in(path).outputs)
        for cell in cells_of(group)
        if isinstance(cell, Cell)
        for source in cell.sources
    }
    assert sources
    assert all(NEWER in source for source in sources)


def test_a_proof_that_fails_beside_strikes_the_time_out_everywhere(tmp_path: Path) -> None:
    path = made_fixes.run(tmp_path, only="paired-inpainting-*", processes=3)
    stack = "quality-inpainting-stack"
    worse = {"ring-cache": 5.0, "lossless": 5.0}
    made_fixes.run(tmp_path, only=f"{ALONE},{stack}", run_id=NEWER, worse=worse)
    text = section(render_run(path).read_text(), NAME)
    row = row_of_ring(path)
    assert row.startswith("| – |") and "| ~~439.7~~ |" in row and "fails (8." in row
    assert "~~226.9~~" in row_line(text, "one CUDA graph")
    assert "The output of `lossless` is worse" in text and "1 struck out" in text
    material = Material(RunFolder(path).load())
    told = "".join(cell.text for one in fix_sentences(material) for cell in one.cells)
    assert "The output of lossless is worse" in told
    assert b"output worse" in draw(material, None)["fixes.svg"]
    case = fixes_in(path).singles[0].times.case
    other = RunFolder(path.parent / NEWER).load()
    found = find_fixes(Material(other), case)  # as a run of the limit sees it
    ((_, fixes),) = found
    assert [fix.name for fix in fixes.singles if fix.struck] == ["ring-cache"]


@pytest.mark.parametrize("worse", [1.0, 5.0])
def test_the_index_shows_a_stack_by_its_proof_beside(tmp_path: Path, worse: float) -> None:
    path = made_fixes.run(tmp_path, only="paired-inpainting-*", processes=1)
    made_fixes.run(
        tmp_path, only="quality-inpainting-stack", run_id=NEWER, worse={"lossless": worse}
    )
    figure = index_view([RunFolder(path).load()]).figure
    assert figure is not None
    assert (b"lossless" in figure) == (worse == 1.0)


def test_the_newest_proof_wins(tmp_path: Path) -> None:
    path = made_fixes.run(tmp_path, only="paired-inpainting-cache", processes=1)
    made_fixes.run(tmp_path, only=ALONE, run_id=OLDER, worse={"ring-cache": 5.0})
    assert "ring-cache" in {fix.name for fix in fixes_in(path).singles if fix.struck}
    made_fixes.run(tmp_path, only=ALONE, run_id=NEWER)
    fixes = fixes_in(path)
    assert not any(fix.struck for fix in fixes.singles)
    assert {one.run for one in fixes.outputs} == {NEWER}


def test_the_own_proof_wins(tmp_path: Path) -> None:
    path = made_fixes.run(tmp_path, only=f"paired-inpainting-cache,{ALONE}", processes=1)
    made_fixes.run(tmp_path, only=ALONE, run_id=NEWER, worse={"ring-cache": 5.0})
    fixes = fixes_in(path)
    assert not any(fix.struck for fix in fixes.singles)
    assert {one.run for one in fixes.outputs} == {""}


def test_a_proof_of_other_fixes_is_not_taken(tmp_path: Path) -> None:
    path = made_fixes.run(tmp_path, only="paired-inpainting-cache", processes=1)
    made_fixes.run(tmp_path, only="quality-text-stack", run_id=NEWER)
    assert fixes_in(path).outputs == ()
    assert "not examined in this run" in row_of_ring(path)


def test_a_proof_beside_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = made_fixes.run(tmp_path, only="paired-inpainting-*", processes=1)
    broken = made_fixes.run(tmp_path, only=ALONE, run_id=NEWER)
    (broken / "run.json").write_text("{")
    text = section(render_run(path).read_text(), NAME)
    assert f"Run `{NEWER}` beside this one is left out: " in text and "is damaged" in text
    assert text.count(f"`{NEWER}`") == 1 and "not examined in this run" in row_of_ring(path)
