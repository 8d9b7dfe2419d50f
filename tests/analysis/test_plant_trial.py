"""Judging a planted run: plants found at their cost, and those that are not."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from harness.analysis.plant_trial import NAMES, trials
from harness.expansion import Settings, expand
from harness.matrices import load_matrix
from harness.report.plant_trial import main, page
from harness.store import RunFolder
from tests.analysis.plants import PLANTS
from tests.report.test_changed import EAGER, planted_run

ROOT = Path(__file__).parents[2]
EAGER_PLANTS = [name for name in PLANTS if name != "graph-break"]


def test_every_plant_is_named_and_its_cost_is_right(tmp_path: Path) -> None:
    run = planted_run(tmp_path, *EAGER_PLANTS, "sdpa", processes=3)
    found = trials(RunFolder(run).load())
    assert [trial.plant for trial in found] == ["", *EAGER_PLANTS, "attention"]
    assert [trial.case_id for trial in found if not trial.passed] == []
    assert {
        trial.measure for trial in found if trial.plant in ("casts", "clones", "attention")
    } == {"busy"}
    assert all(trial.low_ms is not None for trial in found if trial.plant)


def test_a_wrong_name_and_a_wrong_cost_are_told(tmp_path: Path) -> None:
    run = RunFolder(planted_run(tmp_path, "items", "clones")).load()
    twin, items, clones = trials(run)
    assert twin.passed and items.passed and clones.passed
    assert not replace(items, plant="pause").named
    assert not replace(twin, plant="items").passed
    assert not replace(items, difference_ms=2 * items.difference_ms).cost_right
    wide = replace(items, difference_ms=2 * items.difference_ms, low_ms=0.0, high_ms=900.0)
    assert wide.cost_right


def test_the_table_and_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = planted_run(tmp_path, "casts", "pause")
    assert main([str(run)]) == 0
    text = capsys.readouterr().out
    assert "| Case | Top changed cause |" in text
    assert f"| `{EAGER}-plant-casts` | GPU work by aten::" in text
    assert "3 of 3 as they should be." in text
    assert main([str(tmp_path / "nowhere")]) == 2
    assert main([]) == 2
    assert page(trials(RunFolder(run).load())) == text


def test_a_run_without_plants_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = planted_run(tmp_path)
    assert main([str(run)]) == 2
    assert "has no planted case" in capsys.readouterr().err


def test_the_matrix_holds_every_plant_beside_its_twin() -> None:
    matrix = load_matrix(str(ROOT / "docs" / "planted.toml"))
    cases = expand(matrix, Settings(preset="full", device="cuda"))
    assert {case.plant for case in cases} | {"attention"} == {"", *NAMES}
    ids = {case.id for case in cases}
    for case in cases:
        twin = msgspec.structs.replace(case, plant="", attention="default")
        assert twin.id in ids and case.profile
