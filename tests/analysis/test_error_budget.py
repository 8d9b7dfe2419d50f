"""harness.analysis.error_budget: within it, beyond it, drifting; what cannot be judged."""

from pathlib import Path

import msgspec

from harness.analysis.error_budget import BudgetOutput, arms_once, budget_outputs, fastest_of
from harness.analysis.output_errors import YARDSTICK, output_errors
from harness.matrices_limit import FASTEST_TRIED, TRIED
from harness.run import Run
from harness.store import RunFolder
from tests.report import made_limit


def stored(folder: Path, name: str = "fastest", **truth: float) -> Run:
    return RunFolder(made_limit.run(folder, name=name, **truth)).load()  # type: ignore[arg-type]


def proofs(run: Run, arm: str) -> list[BudgetOutput]:
    return [one for one in budget_outputs(run.processes) if one.arm == arm]


def test_an_error_within_the_budget_that_stays_there(tmp_path: Path) -> None:
    run = stored(tmp_path)
    (long,) = proofs(run, "fastest")
    (short,) = proofs(stored(tmp_path, "beyond"), FASTEST_TRIED)
    assert (short.call, short.drift_call) == ("within the budget", "too short to tell")
    assert (long.call, long.drift_call) == ("within the budget", "no drift")
    assert short.chunks == 18 and long.chunks == 66 and not (short.fails or long.fails)
    assert set(long.drift.values()) == {1.0}
    assert {one.bounded for one in proofs(run, "lossless")} == {False}
    (found,) = fastest_of(run.processes)
    assert found.step is not None and found.step.against == "lossless"


def test_cases_that_leave_a_fix_out_are_not_those_of_the_fastest_stack(tmp_path: Path) -> None:
    run = stored(tmp_path, "limit", processes=1)
    first, beyond = fastest_of(run.processes)
    assert [times.arm for times in first.arms] == ["base", "lossless", "fastest"]
    arms = ["base", "lossless", "fastest", TRIED, FASTEST_TRIED]
    assert [times.arm for times in arms_once([first, beyond])] == arms
    assert {times.case.label for times in arms_once([first, beyond])[:3]} == {"fastest"}


def test_an_error_beyond_the_budget_fails_though_it_does_not_grow(tmp_path: Path) -> None:
    for one in proofs(stored(tmp_path, fp8_error=0.2), "fastest"):
        assert one.call == "beyond the budget" and one.fails


def test_an_error_that_grows_drifts_though_it_is_within_the_budget(tmp_path: Path) -> None:
    (long,) = proofs(stored(tmp_path, drift=1.0, fp8_error=0.03), "fastest")
    assert long.call == "within the budget"
    assert long.drift_call == "drifts" and long.fails
    # The error at the middle of the last third over that at the middle of the stretch.
    assert all(1.2 < value < 1.22 for value in long.drift.values())


def test_what_lacks_cosines_chunks_or_the_yardstick_is_not_judged(tmp_path: Path) -> None:
    run = stored(tmp_path)
    key = next(name for name in run.processes if name.endswith("stretch60"))
    result = run.processes[key][0]
    older = [msgspec.structs.replace(e, keys_cosine=None) for e in result.output_errors]
    few = [e for e in result.output_errors if e.chunk < 7]
    alone = [e for e in result.output_errors if e.arm == "fastest"]

    def judged(errors: list[object]) -> BudgetOutput:
        changed = msgspec.structs.replace(result, output_errors=errors)
        return next(one for one in budget_outputs({key: [changed]}) if one.arm == "fastest")

    assert judged(list(older)).call == "not judged"
    assert judged(list(few)).call == "not judged"
    assert judged(list(alone)).drift_call == "too short to tell"


def test_an_arm_that_claims_no_error_is_judged_as_a_fix_and_not_by_the_budget(
    tmp_path: Path,
) -> None:
    run = stored(tmp_path, "beyond")
    tried = TRIED
    key, result = next(
        (key, results[0])
        for key, results in run.processes.items()
        if results[0].case.kind == "quality" and tried in results[0].case.arms
    )

    def judged(times: float, *, without: str | None = None) -> dict[str, BudgetOutput]:
        errors = [
            msgspec.structs.replace(e, values=e.values * times) if e.arm == tried else e
            for e in result.output_errors
            if e.arm != without
        ]
        changed = msgspec.structs.replace(result, output_errors=errors)
        return {one.arm: one for one in budget_outputs({key: [changed]})}

    good, bad = judged(1.2), judged(1.3)
    assert good[tried].verdict == "passes" and not good[tried].fails
    # Its cosines are within the budget of what allows an error, and it fails nevertheless.
    assert bad[tried].verdict == "fails" and bad[tried].fails
    assert bad[tried].call == "within the budget"
    assert good["base"].verdict == bad["base"].verdict == "noise floor"
    fp8 = bad[FASTEST_TRIED]
    assert fp8.no_worse is None and fp8.verdict == fp8.call
    # Neither its own cosines nor those of the others stand in for a proof that is not there.
    for absent in (YARDSTICK, tried):
        one = judged(1.0, without=absent)[tried]
        assert one.verdict == "not judged" and not one.fails


def test_the_proof_of_the_fixes_does_not_judge_it(tmp_path: Path) -> None:
    run = stored(tmp_path)
    result = next(r[0] for r in run.processes.values() if r[0].case.kind == "quality")
    # By the limit of what claims to be no worse it would fail: that is why it has a budget.
    calls = {one.arm: one.call for one in output_errors(result)}
    assert calls["fastest"] == "fails" and calls["lossless"] == "passes"
