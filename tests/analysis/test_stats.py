import pytest

from harness.analysis.stats import spread


def test_spread_of_known_values() -> None:
    found = spread([5.0, 1.0, 2.0, 4.0, 3.0])
    assert found is not None
    assert (found.n, found.median, found.q1, found.q3) == (5, 3.0, 2.0, 4.0)
    assert (found.minimum, found.maximum, found.iqr) == (1.0, 5.0, 2.0)
    assert found.relative_iqr == pytest.approx(2 / 3)


def test_one_value_has_no_spread() -> None:
    found = spread([7.0])
    assert found is not None
    assert (found.median, found.iqr) == (7.0, 0.0)


def test_nothing_has_no_spread() -> None:
    assert spread([]) is None


def test_median_of_zero_divides_nothing() -> None:
    found = spread([0.0, 0.0])
    assert found is not None
    assert found.relative_iqr == 0.0
