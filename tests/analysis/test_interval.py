import random
import statistics

import pytest

from harness.analysis.interval import (
    iqr,
    median,
    median_interval,
    quantile,
    relative_half_width,
)


def test_quantiles_agree_with_the_standard_library() -> None:
    values = [random.Random(3).uniform(1, 9) for _ in range(31)]
    cuts = statistics.quantiles(values, n=4, method="inclusive")
    assert [quantile(values, part) for part in (0.25, 0.5, 0.75)] == pytest.approx(cuts)
    assert iqr(values) == pytest.approx(cuts[2] - cuts[0])
    assert median([4.0, 1.0, 3.0, 2.0]) == 2.5


def test_quantile_refuses_no_values_and_a_fraction_outside() -> None:
    with pytest.raises(ValueError, match="no values"):
        median([])
    with pytest.raises(ValueError, match="not between"):
        quantile([1.0], 1.5)


@pytest.mark.parametrize(("count", "rank"), [(6, 1), (10, 2), (20, 6), (50, 18), (100, 40)])
def test_ranks_are_those_of_the_published_tables(count: int, rank: int) -> None:
    interval = median_interval([float(value) for value in range(1, count + 1)])
    assert interval is not None
    assert (interval.low, interval.high) == (rank, count + 1 - rank)
    assert interval.coverage >= 0.95


def test_too_few_values_have_no_interval() -> None:
    assert median_interval([1.0, 2.0, 3.0, 4.0, 5.0]) is None
    assert median_interval([]) is None
    assert relative_half_width([1.0] * 5) is None


def test_coverage_holds_for_a_skewed_distribution() -> None:
    generator = random.Random(7)
    true_median = 0.6931471805599453  # of the exponential distribution
    hits = 0
    for _ in range(1000):
        interval = median_interval([generator.expovariate(1.0) for _ in range(25)])
        assert interval is not None
        hits += interval.low <= true_median <= interval.high
    assert 0.94 <= hits / 1000 <= 0.98  # exact coverage is 0.957


def test_relative_half_width_is_of_the_median() -> None:
    assert relative_half_width([100.0] * 10) == 0.0
    assert relative_half_width([99.0, 101.0] * 20) == pytest.approx(0.01)
    assert relative_half_width([0.0] * 10) is None
