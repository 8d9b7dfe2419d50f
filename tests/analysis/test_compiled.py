import pytest

from harness.analysis.compiled import verdict
from harness.analysis.stats import Spread


def timed(median: float, iqr: float = 0.5) -> Spread:
    half = iqr / 2
    return Spread(50, median, median - half, median + half, median - iqr, median + iqr)


@pytest.mark.parametrize(
    ("compiled_ms", "call"),
    [
        (100.0, "no measurable difference"),
        (98.1, "no measurable difference"),
        (101.9, "no measurable difference"),
        (97.0, "faster"),
        (103.0, "slower"),
    ],
)
def test_call_by_minimum_effect(compiled_ms: float, call: str) -> None:
    assert verdict(timed(100.0), timed(compiled_ms)).call == call


def test_a_change_within_the_spread_is_undecided() -> None:
    found = verdict(timed(100.0, iqr=6.0), timed(96.0))
    assert (found.call, found.reason) == ("undecided", "within the spread of one process")


def test_ratio_and_change() -> None:
    found = verdict(timed(100.0), timed(90.0))
    assert found.ratio == pytest.approx(0.9)
    assert found.change == pytest.approx(-0.1)
    assert "one process each" in found.reason


def test_nothing_timed_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing was timed"):
        verdict(timed(0.0), timed(1.0))


@pytest.mark.parametrize("wide", ["eager", "compiled"])
def test_a_spread_that_could_hide_a_difference_leaves_it_undecided(wide: str) -> None:
    spreads = {"eager": 0.5, "compiled": 0.5} | {wide: 6.0}
    found = verdict(timed(100.0, iqr=spreads["eager"]), timed(98.1, iqr=spreads["compiled"]))
    assert (found.call, found.reason) == ("undecided", "within the spread of one process")
