"""harness.report.sections.leave_out: what each fix still brings, beside its gain alone."""

from pathlib import Path

import pytest

from harness.analysis.leave_out import left_out_fixes, net_alone
from harness.report.material import Material
from harness.report.render import render_run
from harness.report.sections.leave_out import alone_beside
from harness.store import RunFolder
from tests.report import made_fixes, made_limit
from tests.report.test_render import row_of, section

NAME = "Down to the limit"
RECORDED = Path(__file__).parents[2] / "reports" / "nvidia-h200" / "20261128-211928-leave-one-out"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """With the fixes alone in a run beside it."""
    reports = tmp_path_factory.mktemp("reports")
    made_fixes.run(reports)
    return render_run(made_limit.run(reports, name="leave-one-out")).read_text()


def test_one_fix_less_with_its_gain_alone_from_the_run_beside(report: str) -> None:
    text = section(report, NAME)
    assert "Gains alone are of run `20261126-080000-fixes`." in text
    brings, beside = text.split("Beside what each gains alone:")[:2]
    row = next(line for line in brings.splitlines() if line.startswith("| `once`: "))
    cells = [cell.strip() for cell in row.strip("|").split(" | ")]
    assert cells[1] == "graph-chunk" and cells[-1] == "faster"
    assert cells[4].startswith("13.7 % (") and cells[5].startswith("2.0 % (")
    alone = row_of(beside, "`once`")
    assert alone[1].startswith("3.0 % (") and alone[2].startswith("2.0 % (")
    assert alone[3] == "3.0 %" and alone[4][:2] in ("2.", "3.") and alone[5] == "none seen"
    assert alone[6] == "2.0 %" and alone[7][:2] in ("1.", "2.") and alone[8] == "none seen"
    # Alone the host hides a part of it; in the stack the GPU's time is the chunk's.
    attention = row_of(beside, "`attention-cudnn`")
    assert attention[5] == "more than alone: others bare it" and attention[8] == "none seen"


def test_the_overview_says_which_fix_the_stack_could_least_do_without(report: str) -> None:
    (told,) = {line for line in report.splitlines() if line.startswith("- In `lossless`, with all")}
    assert "`compiled-blocks` brings most of wall time (14.0 %)" in told
    assert " and `compiled-blocks` brings most of GPU-busy time (14.0 %); nothing" in told
    assert told.endswith("`gelu-epilogue`, `tae-channels-last`.") and "nothing any more: " in told


def test_the_run_with_most_fixes_alone_is_taken_and_others_add_to_it(tmp_path: Path) -> None:
    made_fixes.run(tmp_path, only="paired-inpainting-cache")
    made_fixes.run(tmp_path, only="paired-inpainting-needs", run_id="20261127-080000-fixes")
    made = made_limit.run(tmp_path, name="leave-one-out")
    made_limit.run(tmp_path, name="vae")  # newer, and no run of fixes alone
    text = section(render_run(made).read_text(), NAME)
    assert "Gains alone are of run `2026112" in text and "` and run `2026112" in text
    assert "`ring-cache`" in text.split("Beside what each gains alone:")[1]
    assert row_of(text.split("Beside what each gains alone:")[1], "`ring-cache`")[1] != "–"


def test_the_recorded_run_finds_the_recorded_fixes() -> None:
    run = RunFolder(RECORDED).load()
    alone = alone_beside(Material(run), left_out_fixes(run.processes)[0])
    assert alone.runs["attention-cudnn"].path.name == "20261127-162601-fixes"
    told = net_alone(alone.singles, "attention-cudnn", "busy")
    assert told is not None and 1 - told.ratio.value == pytest.approx(0.158, abs=5e-4)


def test_without_the_fixes_alone_no_interaction_is_named(tmp_path: Path) -> None:
    made = made_limit.run(tmp_path, name="leave-one-out", processes=1)
    text = section(render_run(made).read_text(), NAME)
    assert "interactions are not known" in text
    assert "not measured by itself" in text and "too few processes" in text
    assert "### How cost grows" not in text
