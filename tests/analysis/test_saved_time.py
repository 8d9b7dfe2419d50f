"""harness.analysis.saved_time: means of differences, and what is left of one without another."""

import math
from pathlib import Path

import pytest
from scipy.stats import ttest_1samp

from harness.analysis.comparisons import TIMES, TimeMeasure, process_values
from harness.analysis.fix_arms import arm_times
from harness.analysis.saved_time import Saved, apart, less, saved, saved_each, saved_of
from harness.store import RunFolder

RECORDED = Path(__file__).parents[2] / "reports/nvidia-h200/20261128-174746-fastest"


def test_the_interval_is_that_of_a_t_test() -> None:
    found = saved([4.0, 5.5, 5.0])
    interval = ttest_1samp([4.0, 5.5, 5.0], 0.0).confidence_interval(0.95)
    assert found.value_ms == pytest.approx(14.5 / 3) and found.processes == 3
    assert found.interval_ms == pytest.approx((interval.low, interval.high))


def test_fewer_processes_than_a_verdict_takes_have_no_interval() -> None:
    assert saved([4.0]).interval_ms is None and saved([4.0]).error_ms is None
    assert saved([4.0, 5.0]).interval_ms is None
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


def test_one_saving_without_another() -> None:
    whole, rest = saved([10.0, 11.0, 12.0, 11.0]), saved([3.0, 2.0, 4.0])
    left = less(whole, rest)
    assert left is not None and whole.error_ms and rest.error_ms
    assert left.value_ms == pytest.approx(8.0)
    assert left.error_ms == pytest.approx(math.hypot(whole.error_ms, rest.error_ms))
    assert (left.processes, left.freedom) == (3, 2)
    assert less(None, rest) is None and less(whole, None) is None
    few = less(whole, saved([3.0]))
    assert few is not None and few.error_ms is None and few.interval_ms is None


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (Saved(5.0, 3, 0.1, 2), Saved(5.2, 3, 0.1, 2), False),
        (Saved(5.0, 3, 0.1, 2), Saved(6.0, 3, 0.1, 2), True),
        (Saved(6.0, 3, 0.1, 2), Saved(5.0, 3, 0.1, 2), True),
        (Saved(5.0, 3, 0.0, 2), Saved(5.0, 3, 0.0, 2), False),
        (Saved(5.0, 2, 0.1, 1), Saved(9.0, 3, 0.1, 2), None),
    ],
)
def test_two_savings_are_told_apart_by_their_intervals(
    one: Saved, other: Saved, told: bool | None
) -> None:
    assert apart(one, other) is told
