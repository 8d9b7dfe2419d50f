"""harness.analysis.saved_time: means of differences, and what is left of one without another."""

import math
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from scipy.stats import ttest_1samp

from harness.analysis.comparisons import TIMES, TimeMeasure, process_values
from harness.analysis.fix_arms import arm_times
from harness.analysis.saved_time import difference, saved, saved_beyond, saved_each, saved_of
from harness.store import RunFolder

RECORDED = Path(__file__).parents[2] / "reports/nvidia-h200/20261128-174746-fastest"


def test_the_interval_is_that_of_a_t_test() -> None:
    found = saved([4.0, 5.5, 5.0])
    interval = ttest_1samp([4.0, 5.5, 5.0], 0.0).confidence_interval(0.95)
    assert found.value == pytest.approx(14.5 / 3) and found.processes == 3
    assert found.interval == pytest.approx((interval.low, interval.high))


def test_fewer_processes_than_a_verdict_takes_have_no_interval() -> None:
    assert saved([4.0]).interval is None and saved([4.0]).error is None
    assert saved([4.0, 5.0]).interval is None
    with pytest.raises(ValueError, match="no process"):
        saved([])


@pytest.mark.parametrize("measure", TIMES)
def test_savings_are_paired_in_each_process(measure: TimeMeasure) -> None:
    results = RunFolder(RECORDED).load().processes["paired-inpainting-fastest"]
    times = arm_times(results, "fastest", "lossless")
    assert times is not None
    slow, quick = (process_values(results, measure, arm) for arm in ("lossless", "fastest"))
    each = [before - after for before, after in zip(slow, quick, strict=True)]
    assert saved_each(times, measure) == pytest.approx(each) and saved_of(times, measure) == saved(
        each
    )


def test_no_saving_of_a_time_that_was_not_measured() -> None:
    results = RunFolder(RECORDED).load().processes["paired-inpainting-fastest"]
    times = arm_times(results, "fastest", "lossless")
    assert times is not None
    for result in results:
        result.busy.clear()
    assert saved_of(times, "busy") is None and saved_of(times, "wall") is not None


def test_the_difference_of_savings_of_other_processes() -> None:
    whole, rest = saved([10.0, 11.0, 12.0, 11.0]), saved([3.0, 2.0, 4.0])
    left = difference(whole, rest)
    assert whole.error and rest.error and left.value == pytest.approx(8.0)
    assert left.error == pytest.approx(math.hypot(whole.error, rest.error))
    assert (left.processes, left.freedom) == (3, 2)
    few = difference(whole, saved([3.0]))
    assert few.error is None and few.interval is None


@pytest.mark.parametrize("measure", TIMES)
def test_in_the_same_processes_the_arm_of_both_cancels(measure: TimeMeasure) -> None:
    results = RunFolder(RECORDED).load().processes["paired-inpainting-fastest"]
    fastest, lossless = (arm_times(results, arm) for arm in ("fastest", "lossless"))
    assert fastest is not None and lossless is not None
    # Both against the baseline, which wanders with the host.
    step = arm_times(results, "fastest", "lossless")
    assert step is not None
    paired, direct = saved_beyond(fastest, lossless, measure), saved_of(step, measure)
    assert paired is not None and direct is not None and paired.error is not None
    assert (paired.value, paired.error) == pytest.approx((direct.value, direct.error))
    apart = replace(lossless, results=tuple(map(msgspec.structs.replace, lossless.results)))
    loose = saved_beyond(fastest, apart, measure)
    assert loose is not None
    assert loose.value == pytest.approx(paired.value)
    wholes = [saved_of(one, measure) for one in (fastest, lossless)]
    errors = [one.error for one in wholes if one is not None and one.error is not None]
    assert loose.error == pytest.approx(math.hypot(*errors))


def test_savings_without_the_rest_of_them_are_not_known() -> None:
    results = RunFolder(RECORDED).load().processes["paired-inpainting-fastest"]
    times = arm_times(results, "fastest")
    assert times is not None
    nothing = replace(times, arm="lossless-without-once")
    assert saved_beyond(times, nothing, "wall") is None
