"""harness.analysis.left_out_together: savings one at a time against that of all at once."""

from pathlib import Path

import msgspec
import pytest
from scipy.stats import ttest_1samp

from harness.analysis.comparisons import TIMES, TimeMeasure, process_values
from harness.analysis.leave_out import left_out_fixes
from harness.analysis.left_out_together import (
    OneByOne,
    Together,
    measures_bundle,
    one_by_one,
    times_together,
    together,
    together_of,
)
from harness.analysis.saved_time import saved
from harness.matrices_limit import LEFT_OUT_OF_FASTEST
from harness.run import Run
from harness.store import RunFolder
from harness.variants import resolve
from tests.analysis.clocks import clocks_of
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
    assert found is not None and found.processes == 3 and found.interval is not None
    assert found.value == pytest.approx(sum(sums) / 3)
    interval = ttest_1samp(sums, 0.0).confidence_interval(0.95)
    assert found.interval == pytest.approx((interval.low, interval.high))


def test_all_at_once_is_the_stack_against_what_the_fixes_leave_of_it(recorded: Run) -> None:
    """Without its four fixes the fastest stack is the lossless one: GELU's epilogue is back."""
    found = of_fastest(recorded)
    assert {one.fix for one in found.left} == set(LEFT_OUT_OF_FASTEST)
    assert found.rest == {fix.name for fix in resolve("lossless")}
    assert not list(times_together(found, recorded.processes))
    stacks = RunFolder(RECORDED / "20261128-174746-fastest").load()
    (times,) = times_together(found, stacks.processes)
    assert (times.arm, times.against, len(times.results)) == ("fastest", "lossless", 3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width_px", 320),
        ("height_px", 480),
        ("mode", "depth"),
        ("steps", 8),
        ("window", 24),
        ("weights", "checkpoint"),
        ("attention", "sdpa"),
        ("variant", "once"),
        ("compiled", True),
        ("plant", "sync"),
        ("seed", 1),
        ("dtype", "float16"),
        ("vae", "wanvae"),
        ("kind", "quality"),
        ("arms", ("base", "lossless")),
    ],
)
def test_another_workload_is_another_comparison(recorded: Run, field: str, value: object) -> None:
    found = of_fastest(recorded)
    assert not measures_bundle(msgspec.structs.replace(found.case, **{field: value}), found)


def test_how_a_case_is_measured_makes_no_other_comparison(recorded: Run) -> None:
    found = of_fastest(recorded)
    how = {"processes": 5, "blocks": 9, "chunks_per_block": 3, "label": "", "warm_cache": False}
    arms = ("base", "fastest")
    assert measures_bundle(msgspec.structs.replace(found.case, arms=arms, **how), found)


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
        ((40.0, 40.1, 40.0), (40.0, 40.0, 40.1), "same"),
        ((40.0, 45.0, 40.0), (40.0, 40.0, 41.0), "undecided"),
        ((41.0, 41.1, 41.0), (40.0, 40.0, 40.1), "same"),  # told apart, and of no interest
        ((10.0, 11.0, 10.0), (30.0, 30.0, 31.0), "less one at a time"),
        ((60.0, 61.0, 60.0), (40.0, 40.0, 41.0), "more one at a time"),
        ((10.0, 11.0), (30.0, 30.0), "too few processes"),
    ],
)
def test_what_both_savings_say(
    one_at_a_time: tuple[float, ...], at_once: tuple[float, ...], told: Together
) -> None:
    assert together(saved(one_at_a_time), saved(at_once), 3.0) == told


def test_cycles_that_say_another_thing_leave_it_open(tmp_path: Path) -> None:
    run = RunFolder(made_limit.run(tmp_path, name="limit")).load()
    found = of_fastest(run)
    (whole, *_) = times_together(found, run.processes)
    assert together_of(found, whole, "busy") in ("same", "less one at a time")
    for result in whole.results:
        clocks_of(result, {"fastest": 500})
    assert together_of(found, whole, "busy") == "undecided"
