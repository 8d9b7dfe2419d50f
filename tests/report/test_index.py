from pathlib import Path

import msgspec
import pytest

from harness.analysis.output_errors import LEAST_CHUNKS
from harness.report.gpu_page import gpu_view
from harness.report.index import eager_inpainting, index_view
from harness.report.material import Material
from harness.report.render import render_index
from harness.result import Result, decode, encode
from harness.store import RunFolder, result_name
from harness.variants import BASELINE
from tests.records import build
from tests.report import made_fixes, made_limit


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


@pytest.mark.parametrize(("drift", "shown"), [(0.0, True), (5.0, False)])
def test_the_fastest_stack_is_shown_within_its_budget(
    tmp_path: Path, drift: float, shown: bool
) -> None:
    found = row(made_limit.run(tmp_path, name="fastest", drift=drift))
    assert (found["Fastest stack (FPS)"] != "–") == shown
    unproven = made_limit.run(tmp_path / "unproven", name="fastest")
    for proof in (unproven / "cases").glob("quality-*"):
        proof.unlink()
    assert row(unproven)["Fastest stack (FPS)"] == "–"


def test_a_proof_too_short_to_be_judged_shows_no_stack(tmp_path: Path) -> None:
    made = made_limit.run(tmp_path, name="fastest")
    for path in (made / "cases").glob("quality-*"):
        proof = decode(path.read_bytes(), name=path.name)
        assert isinstance(proof, Result)
        short = [error for error in proof.output_errors if error.chunk < LEAST_CHUNKS - 1]
        path.write_bytes(encode(msgspec.structs.replace(proof, output_errors=short)))
    assert row(made)["Fastest stack (FPS)"] == "–"


def test_a_variant_does_not_stand_for_baselines_that_have_not_finished(tmp_path: Path) -> None:
    made = made_limit.run(tmp_path, name="growth")
    assert row(made)["FPS"] != "–"
    for result in RunFolder(made).load().finished:
        if result.case.variant == BASELINE:
            (made / "cases" / result_name(result.case_id, result.process)).unlink()
    loaded = RunFolder(made).load()
    found = eager_inpainting(Material(loaded))
    assert found is not None and found.case.variant != BASELINE
    assert row(made)["FPS"] == "–"
    assert index_view([loaded]).figure is None and gpu_view([loaded, loaded]).figure is None


def test_processes_are_told_where_a_run_lacks_some_of_a_case(tmp_path: Path) -> None:
    made = made_fixes.run(tmp_path)
    assert "processes" not in row(made)["Cases"]
    gone = next((made / "cases").glob("paired-inpainting-stack.process-3.json"))
    gone.unlink()
    assert row(made)["Cases"].endswith(" processes")


def test_the_index_lists_all_runs_measurements_first(tmp_path: Path) -> None:
    build.cpu_run(tmp_path)
    cases = build.gpu_cases()
    build.gpu_run(tmp_path)
    newer = build.manifest(cases, run_id="20261124-080000-full", runtime="local")
    build.store(tmp_path, newer, [build.result(cases[2])])
    index = render_index(tmp_path)[-1].read_text()
    rows = [row for row in index.splitlines() if "report.md" in row]
    assert [row.split("(")[2].split("/")[1] for row in rows] == [
        "20261124-080000-full",
        "20261123-080000-full",
        "20261123-070000-quick",
    ]
    assert "| local | 0 of 11; 1 of 21 processes | 493.3 | 24.32 | – | – | – |" in rows[0]
    assert "| container | 11 of 11 | 492.9 | 24.34 | – | – | 0.990 | measurement |" in rows[1]
    assert "| [CPU](cpu/README.md) |" in rows[2]
    assert "functional check" in rows[2]


def test_the_index_without_runs(tmp_path: Path) -> None:
    assert "No run yet" in render_index(tmp_path)[-1].read_text()
