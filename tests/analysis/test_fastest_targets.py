"""harness.analysis.fastest_targets: met, missed, and what is not told."""

from pathlib import Path
from typing import Any

from harness.analysis.error_budget import budget_outputs, fastest_of
from harness.analysis.fastest_targets import speed_targets
from harness.store import RunFolder
from tests.report import made_limit

QUICK = {"lora-merged": (0.1, 0.1), "graph-chunk": (0.5, 0.5)}


def told(folder: Path, *, proofs: bool = True, **truth: Any) -> list[str]:
    run = RunFolder(made_limit.run(folder, name="fastest", **truth)).load()
    outputs = budget_outputs(run.processes) if proofs else []
    (found,) = fastest_of(run.processes)
    targets = speed_targets(found, outputs)
    assert [(one.kind, one.limit_ms) for one in targets] == [("must", 170.0), ("aim", 130.0)]
    return [one.met for one in targets]


def test_limits_are_met_or_missed_by_the_time_over_processes(tmp_path: Path) -> None:
    assert told(tmp_path / "slow") == ["missed", "missed"]
    assert told(tmp_path / "quick", left=QUICK) == ["met", "met"]
    between = {"lora-merged": (0.6, 0.6)}
    assert told(tmp_path / "between", left=between) == ["met", "missed"]


def test_nothing_is_told_of_too_few_processes_or_an_output_without_a_sound_proof(
    tmp_path: Path,
) -> None:
    assert told(tmp_path / "one", processes=1, left=QUICK) == ["too few processes"] * 2
    assert told(tmp_path / "none", left=QUICK, proofs=False) == ["output not proven"] * 2
    assert told(tmp_path / "bad", left=QUICK, fp8_error=0.3) == ["output not proven"] * 2
