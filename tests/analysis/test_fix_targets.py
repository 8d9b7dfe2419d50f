from pathlib import Path

import pytest

from harness.analysis.fix_targets import targets
from harness.analysis.fixes import Fixes, measured_fixes
from harness.run import Run
from harness.store import RunFolder
from tests.report import made_fixes


def run_of(path: Path) -> Run:
    return RunFolder(path).load()


def found(run: Run) -> Fixes:
    fixes = measured_fixes(run.processes)
    assert fixes is not None
    return fixes


def test_targets_of_the_stack(tmp_path: Path) -> None:
    fixes = found(run_of(made_fixes.run(tmp_path / "plain")))
    wall, speed, idle = targets(fixes)
    assert (wall.must_met, wall.aim_met) == ("missed", "missed")
    assert (speed.must_met, idle.must_met) == ("met", "met")
    assert speed.value == pytest.approx(1 / (1 - fixes.steps[-1].times.gain))
    quicker = found(run_of(made_fixes.run(tmp_path / "quick", times={"ring-cache": (0.6, 0.6)})))
    assert [targets(quicker)[0].aim_met, targets(quicker)[0].must_met] == ["missed", "met"]


def test_one_process_meets_no_target(tmp_path: Path) -> None:
    fixes = found(run_of(made_fixes.run(tmp_path, processes=1)))
    assert {target.must_met for target in targets(fixes)} == {"too few processes"}


def test_no_target_is_met_without_a_proof(tmp_path: Path) -> None:
    run = run_of(made_fixes.run(tmp_path))
    paired = {name: one for name, one in run.processes.items() if name.startswith("paired")}
    fixes = measured_fixes(paired)
    assert fixes is not None and fixes.final is not None and fixes.final.output is None
    assert {target.must_met for target in targets(fixes)} == {"output not proven"}


def test_no_target_is_met_with_an_output_that_is_worse(tmp_path: Path) -> None:
    fixes = found(run_of(made_fixes.run(tmp_path, worse={"lossless": 5.0})))
    assert {target.must_met for target in targets(fixes)} == {"output not proven"}


def test_targets_are_of_the_stack_alone(tmp_path: Path) -> None:
    run = run_of(made_fixes.run(tmp_path))
    depth = measured_fixes({"depth": run.processes["paired-depth-lossless"]})
    assert depth is not None
    assert {target.must_met for target in targets(depth)} == {"not measured"}
