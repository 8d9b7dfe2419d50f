import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.analysis.experiment import (
    CONFIDENCE,
    MIN_EFFECT,
    Call,
    Ratio,
    location,
    paired_ratio,
    unpaired_ratio,
    verdict,
)

A = [401.2, 399.8, 403.1]
B = [412.5, 409.9, 415.0, 411.3, 413.7]
TIMES = st.floats(min_value=0.01, max_value=1e5)
SAMPLES = st.lists(TIMES, min_size=1, max_size=6)


def ratio_of(change: float, half_width: float, processes: int = 3) -> Ratio:
    """A ratio whose 95 % interval is exp(log(1 + change) +- half_width)."""
    freedom = 2 * processes - 2
    error = half_width / stats.t.ppf(0.975, freedom)
    return Ratio(1 + change, None, None, (processes, processes), False, error, freedom)


def close(interval: tuple[float | None, float | None], low: float, high: float) -> bool:
    return interval == (pytest.approx(low, rel=1e-9), pytest.approx(high, rel=1e-9))


def test_a_location_is_scipys_t_interval_of_the_logarithms() -> None:
    found = location(B, confidence=0.9)
    logs = np.log(B)
    low, high = stats.t.interval(0.9, len(B) - 1, loc=logs.mean(), scale=stats.sem(logs))
    assert close((found.low, found.high), math.exp(low), math.exp(high))
    assert found.value == pytest.approx(stats.gmean(B))
    assert found.processes == 5
    assert found.relative_half_width == pytest.approx(
        (math.exp(high) - math.exp(low)) / 2 / stats.gmean(B)
    )


def test_one_process_has_a_location_and_no_interval() -> None:
    found = location([400.0])
    assert (found.low, found.high, found.processes) == (None, None, 1)
    assert found.value == pytest.approx(400.0)
    assert found.relative_half_width is None


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_an_unpaired_ratio_is_scipys_pooled_t_interval(confidence: float) -> None:
    found = unpaired_ratio(A, B, confidence)
    oracle = stats.ttest_ind(np.log(B), np.log(A)).confidence_interval(confidence)
    assert close((found.low, found.high), math.exp(oracle.low), math.exp(oracle.high))
    assert found.interval(confidence) == pytest.approx((found.low, found.high))
    assert found.value == pytest.approx(stats.gmean(B) / stats.gmean(A))
    assert (found.processes, found.paired, found.freedom) == ((3, 5), False, 6)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_a_paired_ratio_is_scipys_interval_of_the_differences(confidence: float) -> None:
    found = paired_ratio(A, B[:3], confidence)
    oracle = stats.ttest_rel(np.log(B[:3]), np.log(A)).confidence_interval(confidence)
    assert close((found.low, found.high), math.exp(oracle.low), math.exp(oracle.high))
    assert (found.processes, found.paired, found.freedom) == ((3, 3), True, 2)


def test_a_ratio_of_one_process_each_has_no_interval() -> None:
    for found in (unpaired_ratio([400.0], [412.0]), paired_ratio([400.0], [412.0])):
        assert found.value == pytest.approx(1.03)
        assert (found.low, found.high, found.error, found.freedom) == (None,) * 4
        assert found.interval(CONFIDENCE) is None
        assert verdict(found).call == "undecided"
        assert verdict(found).reason == "fewer processes than a verdict needs"


def test_a_process_effect_cancels_in_pairs_only() -> None:
    effects = [0.9, 1.0, 1.12]
    a = [400.0 * effect for effect in effects]
    b = [value * (1.03 + 0.0005 * index) for index, value in enumerate(a)]
    assert verdict(paired_ratio(a, b)).call == "slower"
    assert verdict(unpaired_ratio(a, b)).call == "undecided"


@pytest.mark.parametrize("samples", [[], [1.0, 0.0], [1.0, -2.0], [math.nan], [math.inf]])
def test_what_is_no_time_is_refused(samples: list[float]) -> None:
    for refused in (
        lambda: location(samples),
        lambda: unpaired_ratio(samples, A),
        lambda: unpaired_ratio(A, samples),
        lambda: paired_ratio(samples, samples),
    ):
        with pytest.raises(ValueError, match=r"no process|nothing was timed"):
            refused()


def test_pairs_need_equal_counts() -> None:
    with pytest.raises(ValueError, match="3 processes of A cannot be paired with 5"):
        paired_ratio(A, B)


@pytest.mark.parametrize("samples", [[400.0], [400.0, 404.0], A, [400.0] * 3])
def test_a_sample_compared_with_itself_is_the_same(samples: list[float]) -> None:
    for ratio in (unpaired_ratio(samples, samples), paired_ratio(samples, list(samples))):
        assert (ratio.value, ratio.low, ratio.high) == (1.0, 1.0, 1.0)
        found = verdict(ratio, looks=2)
        assert (found.call, found.reason) == ("same", "the samples are the same")


def test_no_spread_at_all_is_judged_by_the_effect() -> None:
    for ratio in (unpaired_ratio, paired_ratio):
        assert verdict(ratio([400.0] * 3, [412.0] * 3)).call == "slower"
        assert verdict(ratio([400.0] * 3, [388.0] * 3)).call == "faster"
        assert verdict(ratio([400.0] * 3, [404.0] * 3)).call == "same"
    assert verdict(unpaired_ratio([400.0] * 3, [400.0] * 5)).call == "same"


@pytest.mark.parametrize(
    ("change", "half_width", "call", "reason"),
    [
        (0.03, 0.01, "slower", "excludes no change"),
        (-0.03, 0.01, "faster", "excludes no change"),
        (0.0, 0.015, "same", "within the minimum effect"),
        (0.01, 0.005, "same", "within the minimum effect"),  # real, and too small to matter
        (0.015, 0.012, "undecided", "may be below the minimum effect"),
        (-0.015, 0.012, "undecided", "may be below the minimum effect"),
        (0.03, 0.05, "undecided", "may be noise"),
        (0.005, 0.04, "undecided", "wider than the minimum effect"),
    ],
)
def test_verdicts(change: float, half_width: float, call: Call, reason: str) -> None:
    found = verdict(ratio_of(change, half_width))
    assert found.call == call
    assert reason in found.reason
    assert not re.search(r"\d", found.reason)


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("looks", [1, 2])
def test_equivalence_is_two_one_sided_tests_at_alpha_over_looks(side: int, looks: int) -> None:
    """Against the p values of both tests, just inside and just outside of their limit."""
    centre, freedom, band = side * 0.006, 4, math.log1p(MIN_EFFECT)
    limit = (band - abs(centre)) / stats.t.ppf(1 - (1 - CONFIDENCE) / looks, freedom)
    for error, call in ((limit * 0.999, "same"), (limit * 1.001, "undecided")):
        p_low = stats.t.sf((centre + band) / error, freedom)
        p_high = stats.t.cdf((centre - band) / error, freedom)
        assert (max(p_low, p_high) < (1 - CONFIDENCE) / looks) == (call == "same")
        ratio = Ratio(math.exp(centre), None, None, (3, 3), False, error, freedom)
        assert verdict(ratio, looks=looks).call == call


def test_each_look_gets_its_part_of_the_risk() -> None:
    freedom, change = 4, math.log(1.03)
    for looks in (1, 2, 3):
        limit = change / stats.t.isf((1 - CONFIDENCE) / looks / 2, freedom)
        for error, call in ((limit * 0.999, "slower"), (limit * 1.001, "undecided")):
            ratio = Ratio(1.03, None, None, (3, 3), False, error, freedom)
            found = verdict(ratio, looks=looks)
            assert (found.call, found.looks) == (call, looks)


def test_too_few_processes_of_either_variant_are_undecided() -> None:
    assert verdict(unpaired_ratio([400.0, 400.1], [480.0, 480.1, 480.2])).call == "undecided"
    assert verdict(unpaired_ratio([400.0, 400.1, 400.2], [480.0, 480.1, 480.2])).call == "slower"


def test_a_plan_that_cannot_work_is_refused() -> None:
    with pytest.raises(ValueError, match="minimum effect"):
        verdict(ratio_of(0.0, 0.01), min_effect=0.0)
    with pytest.raises(ValueError, match="looks"):
        verdict(ratio_of(0.0, 0.01), looks=0)


@given(SAMPLES, SAMPLES, st.floats(min_value=0.1, max_value=10))
def test_swapping_inverts_and_a_common_factor_cancels(
    a: list[float], b: list[float], factor: float
) -> None:
    ratio, swapped = unpaired_ratio(a, b), unpaired_ratio(b, a)
    scaled = unpaired_ratio([factor * value for value in a], [factor * value for value in b])
    assert ratio.value * swapped.value == pytest.approx(1)
    assert scaled.value == pytest.approx(ratio.value)
    if ratio.low is not None and ratio.high is not None:
        assert swapped.interval(CONFIDENCE) == pytest.approx((1 / ratio.high, 1 / ratio.low))
        assert ratio.low <= ratio.value * (1 + 1e-12) and ratio.value <= ratio.high * (1 + 1e-12)


@given(st.lists(st.tuples(TIMES, TIMES), min_size=1, max_size=6), st.integers(1, 3))
def test_a_verdict_turns_with_the_order_of_the_variants(
    pairs: list[tuple[float, float]], looks: int
) -> None:
    a, b = (list(arm) for arm in zip(*pairs, strict=True))
    turned = {"slower": "faster", "faster": "slower"}
    for ratio in (unpaired_ratio, paired_ratio):
        call, other = (verdict(ratio(*arms), looks=looks).call for arms in ((a, b), (b, a)))
        assert other == turned.get(call, call)


@pytest.mark.parametrize(
    ("times", "pooled", "welch", "width"), [(1, 0.951, 0.966, 1.16), (3, 0.925, 0.948, 1.29)]
)
def test_pooled_against_welch_is_as_the_docstring_says(
    times: int, pooled: float, welch: float, width: float
) -> None:
    """100,000 experiments of 3 + 3 processes; B's spread is `times` that of A's. Error 0.0008."""
    a, b = np.random.default_rng(11).standard_normal((2, 100_000, 3))
    intervals = [
        stats.ttest_ind(times * b, a, axis=1, equal_var=equal).confidence_interval(CONFIDENCE)
        for equal in (True, False)
    ]
    covered = [float(np.mean((found.low < 0) & (found.high > 0))) for found in intervals]
    assert covered == pytest.approx([pooled, welch], abs=0.003)
    narrow, wide = (found.high - found.low for found in intervals)
    assert float(np.mean(wide / narrow)) == pytest.approx(width, abs=0.01)
