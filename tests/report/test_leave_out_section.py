"""harness.report.sections.leave_out: what each fix still brings, beside its gain alone."""

from pathlib import Path

import pytest

from harness.analysis.leave_out import left_out_fixes, net_alone
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
    brings, beside = text.split("Does it save as much in the stack as alone?")[:2]
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
    # Alone the host hides a part of it; in the stack the GPU's time is the chunk's.
    assert row_of(wall, "`attention-cudnn`")[4] != "not measured by itself"
    # Factors, so the same fix saves fewer milliseconds of a shorter chunk.
    assert row_of(busy, "`ring-cache`")[4] == "less than alone"
    assert "`ring-cache` (less than alone, GPU-busy time)" in beside


def test_the_overview_says_which_fix_the_stack_could_least_do_without(report: str) -> None:
    (told,) = {line for line in report.splitlines() if line.startswith("- In `lossless`, with all")}
    assert "`compiled-blocks` brings most of wall time (14.0 %)" in told
    assert " and `compiled-blocks` brings most of GPU-busy time (14.0 %); no change of" in told
    # The graph takes no GPU time off, only wall time.
    wall, busy = told.split("; no change of ")[1:]
    assert wall.startswith("wall time by ") and "`graph-chunk`" not in wall
    assert busy.startswith("GPU-busy time by `graph-chunk`, ") and busy.endswith(
        "`gelu-epilogue` and `tae-channels-last`."
    )


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
    assert told.endswith("none seen by wall time, none seen by GPU-busy time.")
    sources = {source for cell in fastest.together.cells for source in cell.sources}
    assert any(source.startswith("../20261128-174746-fastest/cases/") for source in sources)


def test_more_time_with_a_fix_is_of_the_time_that_grows() -> None:
    told = leave_out_sentences(Material(RunFolder(RECORDED).load()))[0].__html__()
    assert "; more GPU-busy time with `graph-chunk`" in told and "more wall time" not in told


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
    assert told is not None and told.value_ms == pytest.approx(69.0, abs=0.05)


def test_without_the_fixes_alone_no_interaction_is_named(tmp_path: Path) -> None:
    made = made_limit.run(tmp_path, name="leave-one-out", processes=1)
    text = section(render_run(made).read_text(), NAME)
    assert "interactions are not known" in text
    assert "None of these was measured alone." in text and "too few processes" in text
    assert "### How cost grows" not in text
