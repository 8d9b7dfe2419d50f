"""harness.report.sections.leave_out: what each fix still brings, beside its gain alone."""

from pathlib import Path

import pytest

from harness.analysis.interactions import net_alone
from harness.analysis.leave_out import left_out_fixes
from harness.report.material import Material
from harness.report.render import render_run
from harness.report.sections.interactions import alone_beside
from harness.report.sections.leave_out import (
    leave_out_section,
    leave_out_sentences,
)
from harness.store import RunFolder
from tests.report import made_fixes, made_limit
from tests.report.made_fixes import BASE_MS
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
    brings, beside = text.split("Told apart: ")[:2]
    row = next(line for line in brings.splitlines() if line.startswith("| `once`: "))
    cells = [cell.strip() for cell in row.strip("|").split(" | ")]
    assert cells[1] == "graph-chunk" and cells[-1] == "faster"
    assert cells[4].startswith("13.7 % (") and cells[5].startswith("2.0 % (")
    busy, wall = beside.split("| Fix, by wall time |")
    for part, share in ((busy, 0.02), (wall, 0.03)):
        alone = row_of(part, "`once`")
        assert alone[1] == alone[2] and " to " in alone[3]
        saved_ms = BASE_MS[0 if part is wall else 1] * share
        assert float(alone[1].split(" (")[0]) == pytest.approx(saved_ms, abs=2.5)
    # Factors, so the same fix saves fewer milliseconds of a shorter chunk.
    assert row_of(busy, "`ring-cache`")[5] == "less than alone"
    assert "`ring-cache` (less than alone, GPU-busy time)" in beside


def test_the_overview_says_which_fix_the_stack_could_least_do_without(report: str) -> None:
    (told,) = {line for line in report.splitlines() if line.startswith("- In `lossless`, with all")}
    assert "`compiled-blocks` brings most of wall time (14.0 %)" in told
    assert " and `compiled-blocks` brings most of GPU-busy time (14.0 %); same by wall" in told
    # The graph takes no GPU time off, only wall time.
    wall, busy = told.split("; same by ")[1:]
    assert wall.startswith("wall time: ") and "`graph-chunk`" not in wall
    assert busy.startswith("GPU-busy time: `graph-chunk`, ") and busy.endswith(
        "`gelu-epilogue` and `tae-channels-last`."
    )
    # Those that take others along are not among them.
    assert "`once`" not in told


def test_the_recorded_fastest_stack_has_its_fixes_one_at_a_time_and_all_at_once() -> None:
    bundles = leave_out_section(Material(RunFolder(RECORDED).load()))
    assert bundles is not None
    lossless, fastest = bundles.bundles
    # Its fixes are left out in several cases, and some take others along.
    assert lossless.together is None and len(lossless.interactions) == 2
    assert not fastest.interactions and fastest.together is not None
    told = fastest.together.__html__()
    assert "`fp8-attention`, `fp8-linears`, `whole-waves` and `fused-keys` save, added up" in told
    assert "against `lossless` in run `20261128-174746-fastest`, they save 44.28 (" in told
    assert told.endswith(": undecided by wall time, undecided by GPU-busy time.")
    sources = {source for cell in fastest.together.cells for source in cell.sources}
    assert any(source.startswith("../20261128-174746-fastest/cases/") for source in sources)


def test_a_longer_time_at_a_lower_clock_is_no_cost() -> None:
    """With its graph the recorded stack takes longer, in as many cycles."""
    material = Material(RunFolder(RECORDED).load())
    assert "slower by" not in leave_out_sentences(material)[0].__html__()
    section = leave_out_section(material)
    assert section is not None and section.bundles[0].brings is not None
    rows = [[cell.__html__() for cell in row] for row in section.bundles[0].brings.rows]
    row = next(row for row in rows if row[0].startswith("`graph-chunk`: "))
    assert row[5].startswith("-2.0 % (") and row[6].startswith("0.08 % (") and row[7] == "undecided"


def test_a_run_beside_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    made_fixes.run(tmp_path)
    stacks = made_limit.run(tmp_path, name="fastest")
    record = stacks / "cases" / "paired-inpainting-fastest.json"
    made = made_limit.run(tmp_path, name="leave-one-out")
    text = section(render_run(made).read_text(), NAME)
    assert "All at once, against `lossless` in run `20261128-080000-fastest`" in text
    record.write_bytes(record.read_bytes()[:1000])
    text = section(render_run(made).read_text(), NAME)
    assert "All at once" not in text
    assert text.count("Run `20261128-080000-fastest` beside this one is left out") == 1


def test_a_runs_own_times_at_once_come_before_those_beside_it(tmp_path: Path) -> None:
    made_limit.run(tmp_path, name="fastest")
    text = section(render_run(made_limit.run(tmp_path, name="limit")).read_text(), NAME)
    assert "All at once, against `lossless` in this run" in text
    few = made_limit.run(tmp_path / "few", name="limit", processes=2)
    assert "All at once" not in section(render_run(few).read_text(), NAME)


def test_the_run_with_most_fixes_alone_is_taken_and_others_add_to_it(tmp_path: Path) -> None:
    made_fixes.run(tmp_path, only="paired-inpainting-cache")
    made_fixes.run(tmp_path, only="paired-inpainting-needs", run_id="20261127-080000-fixes")
    made = made_limit.run(tmp_path, name="leave-one-out")
    made_limit.run(tmp_path, name="vae")  # newer, and no run of fixes alone
    text = section(render_run(made).read_text(), NAME)
    assert "Gains alone are of run `2026112" in text and "` and run `2026112" in text
    assert "`ring-cache`" in text.split("| Fix, by GPU-busy time |")[1]
    assert row_of(text.split("| Fix, by GPU-busy time |")[1], "`ring-cache`")[1] != "–"


def test_the_recorded_run_finds_the_recorded_fixes() -> None:
    run = RunFolder(RECORDED).load()
    alone = alone_beside(Material(run), left_out_fixes(run.processes)[0])
    assert alone.runs["attention-cudnn"].path.name == "20261127-162601-fixes"
    told = net_alone(alone.singles, "attention-cudnn", "busy")
    assert told is not None and told.value == pytest.approx(69.0, abs=0.05)


def test_without_the_fixes_alone_no_interaction_is_named(tmp_path: Path) -> None:
    made = made_limit.run(tmp_path, name="leave-one-out", processes=1)
    text = section(render_run(made).read_text(), NAME)
    assert "interactions are not known" in text
    assert "None of these was measured alone." in text and "too few processes" in text
    assert "### How cost grows" not in text
