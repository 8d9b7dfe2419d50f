"""harness.analysis.left_out_together: savings one at a time against that of all at once."""

from pathlib import Path

import msgspec
import pytest

from harness.analysis.comparisons import TIMES, TimeMeasure, process_values
from harness.analysis.leave_out import left_out_fixes
from harness.analysis.left_out_together import (
    OneByOne,
    Together,
    one_by_one,
    times_together,
    together,
)
from harness.analysis.saved_time import saved
from harness.matrices_limit import LEFT_OUT_OF_FASTEST
from harness.run import Run
from harness.store import RunFolder
from harness.variants import resolve
from tests.report import made_limit

RECORDED = Path(__file__).parents[2] / "reports" / "nvidia-h200"
BOUNDED = "paired-inpainting-without-bounded-warm"


@pytest.fixture(scope="module")
def recorded() -> Run:
    return RunFolder(RECORDED / "20261128-211928-leave-one-out").load()


def of_fastest(run: Run) -> OneByOne:
    found = one_by_one([one for one in left_out_fixes(run.processes) if one.bundle == "fastest"])
    assert found is not None
    return found


@pytest.mark.parametrize("measure", TIMES)
def test_savings_are_added_up_process_by_process(recorded: Run, measure: TimeMeasure) -> None:
    found = of_fastest(recorded).added_up(measure)
    results = recorded.processes[BOUNDED]
    whole = process_values(results, measure, "fastest")
    sums = [
        sum(
            process_values(results, measure, f"fastest-without-{fix}")[number] - whole[number]
            for fix in LEFT_OUT_OF_FASTEST
        )
        for number in range(len(results))
    ]
    assert found is not None and found.processes == 3 and found.interval_ms is not None
    assert found.value_ms == pytest.approx(sum(sums) / 3)
    assert found.interval_ms[0] < min(sums) < max(sums) < found.interval_ms[1]


def test_all_at_once_is_the_stack_against_what_the_fixes_leave_of_it(recorded: Run) -> None:
    """Without its four fixes the fastest stack is the lossless one: GELU's epilogue is back."""
    found = of_fastest(recorded)
    assert {one.fix for one in found.left} == set(LEFT_OUT_OF_FASTEST)
    assert found.rest == {fix.name for fix in resolve("lossless")}
    assert not list(times_together(found, recorded.processes))
    stacks = RunFolder(RECORDED / "20261128-174746-fastest").load()
    (times,) = times_together(found, stacks.processes)
    assert (times.arm, times.against, len(times.results)) == ("fastest", "lossless", 3)


def test_another_size_is_another_comparison(recorded: Run) -> None:
    found = of_fastest(recorded)
    stacks = RunFolder(RECORDED / "20261128-174746-fastest").load().processes
    small = {
        case_id: [
            msgspec.structs.replace(one, case=msgspec.structs.replace(one.case, width_px=320))
            for one in results
        ]
        for case_id, results in stacks.items()
    }
    assert list(times_together(found, stacks)) and not list(times_together(found, small))


def test_fixes_of_several_cases_are_not_added_up(recorded: Run) -> None:
    lossless = [one for one in left_out_fixes(recorded.processes) if one.bundle == "lossless"]
    assert one_by_one(lossless) is None and one_by_one(lossless[:1]) is None


def test_an_arm_without_times_in_one_process_has_no_sum(tmp_path: Path) -> None:
    run = RunFolder(made_limit.run(tmp_path, name="leave-one-out")).load()
    results = run.processes[BOUNDED]
    assert of_fastest(run).added_up("busy") is not None
    lacking = [one for one in results[0].busy if one.arm != "fastest-without-fused-keys"]
    results[0].busy[:] = lacking
    assert of_fastest(run).added_up("busy") is None
    assert of_fastest(run).added_up("wall") is not None


@pytest.mark.parametrize(
    ("one_at_a_time", "at_once", "told"),
    [
        ((40.0, 41.0, 40.0), (40.0, 40.0, 41.0), "none seen"),
        ((10.0, 11.0, 10.0), (30.0, 30.0, 31.0), "they cover one another"),
        ((60.0, 61.0, 60.0), (40.0, 40.0, 41.0), "they bare one another"),
        ((-5.0, -6.0, -5.0), (30.0, 30.0, 31.0), "they cover one another"),
        ((10.0, 11.0), (30.0, 30.0), "too few processes"),
    ],
)
def test_what_both_savings_say(
    one_at_a_time: tuple[float, ...], at_once: tuple[float, ...], told: Together
) -> None:
    assert together(saved(one_at_a_time), saved(at_once)) == told
