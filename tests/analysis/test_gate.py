import pytest

from harness.analysis.experiment import Ratio, unpaired_ratio
from harness.analysis.gate import GateCall, non_inferiority, parse_margin, with_cycles
from harness.errors import UsageError

A = [100.0, 100.1, 99.9]


def ratio(factor: float, noise: float = 0.0) -> Ratio:
    """B is `factor` slower; its first process is `noise` slower still, its last one faster."""
    b = [100.07 * factor * (1 + noise), 100.0 * factor, 99.95 * factor * (1 - noise)]
    return unpaired_ratio(A, b)


@pytest.mark.parametrize(
    ("given", "margin"), [("3%", 0.03), ("0.03", 0.03), (" 2.5 % ", 0.025), (".1", 0.1)]
)
def test_a_margin_is_a_percentage_or_a_share(given: str, margin: float) -> None:
    assert parse_margin(given) == pytest.approx(margin)


@pytest.mark.parametrize(
    "given", ["3", "100%", "0", "0%", "-3%", "nan", "inf", "", "3%%", "x", "٣%"]
)
def test_what_is_no_margin_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match=r"--max-regression.*write e\.g\. 3% or 0\.03"):
        parse_margin(given)


@pytest.mark.parametrize(
    ("factor", "noise", "margin", "call"),
    [
        (1.0, 0.0, 0.03, "passed"),
        (0.9, 0.0, 0.03, "passed"),  # better is no regression
        (1.01, 0.0, 0.03, "passed"),  # slower, but shown to keep within the margin
        (1.05, 0.0, 0.03, "regressed"),
        (1.05, 0.0, 0.10, "passed"),
        (1.029, 0.0, 0.03, "undecided"),  # below the margin, but not shown to be
        (1.0, 0.04, 0.03, "undecided"),  # wide
        (1.05, 0.04, 0.03, "undecided"),  # the interval does not exclude no change
    ],
)
def test_the_call(factor: float, noise: float, margin: float, call: GateCall) -> None:
    assert non_inferiority(ratio(factor, noise), margin).call == call


def test_the_bound_is_one_sided_and_below_the_interval_that_is_reported() -> None:
    found = ratio(1.01)
    bound = non_inferiority(found, 0.03).bound
    assert bound is not None and found.high is not None
    assert found.value < bound < found.high


def test_the_margin_is_not_met_by_a_bound_on_it() -> None:
    found = ratio(1.01)
    bound = non_inferiority(found, 0.03).bound
    assert bound is not None
    assert non_inferiority(found, bound - 1).call == "undecided"
    assert non_inferiority(found, bound - 1 + 1e-9).call == "passed"


def test_the_same_samples_pass_from_one_process_on() -> None:
    assert non_inferiority(unpaired_ratio([5.0], [5.0]), 0.01).call == "passed"


@pytest.mark.parametrize(("a", "b"), [([100.0], [90.0]), (A, [90.0, 90.1]), ([100.0, 99.0], A)])
def test_few_processes_neither_pass_nor_fail(a: list[float], b: list[float]) -> None:
    found = non_inferiority(unpaired_ratio(a, b), 0.03)
    assert (found.call, found.reason) == ("undecided", "fewer processes than a verdict needs")


@pytest.mark.parametrize(
    ("time", "cycles", "call"),
    [
        (1.05, 1.05, "regressed"),
        (1.05, 1.0, "undecided"),  # a slower clock
        (1.0, 1.05, "undecided"),  # a faster clock hides it
        (1.0, 1.0, "passed"),
        (1.0, 1.029, "passed"),
    ],
)
def test_cycles_must_not_contradict(time: float, cycles: float, call: GateCall) -> None:
    verdict = with_cycles(non_inferiority(ratio(time), 0.03), non_inferiority(ratio(cycles), 0.03))
    assert verdict.call == call
    assert ("clock" in verdict.reason) == (call == "undecided")


def test_unknown_cycles_change_nothing() -> None:
    verdict = non_inferiority(ratio(1.05), 0.03)
    assert with_cycles(verdict, None) is verdict
