from harness.measure.stop import StopRule

QUIET = [100.0, 100.1, 99.9, 100.0, 100.2]
NOISY = [80.0, 120.0, 90.0, 110.0, 100.0]


def reasons(blocks: list[list[float]], *, planned: int = 9, elapsed_s: float = 1.0) -> list[object]:
    """What the rule says after each block."""
    rule = StopRule(planned, budget_s=60.0)
    samples: list[float] = []
    said = []
    for block in blocks:
        samples = [*samples, *block]
        said.append(rule.reason([samples], elapsed_s))
    return said


def test_a_narrow_interval_stops_after_three_blocks_and_not_before() -> None:
    first, second, third = reasons([QUIET] * 3)
    assert first is None
    assert second is None
    assert "below 1%" in str(third)


def test_a_wide_interval_goes_on_to_the_plan() -> None:
    said = reasons([NOISY] * 4, planned=4)
    assert said[:3] == [None] * 3
    assert said[3] == "all 4 planned blocks"


def test_the_budget_stops_after_two_blocks_and_not_before() -> None:
    first, second = reasons([NOISY] * 2, elapsed_s=61.0)
    assert first is None
    assert "budget of 60 s" in str(second)


def test_an_interval_that_narrows_no_more_stops() -> None:
    growing = [[value * factor for value in NOISY] for factor in (1, 1.1, 1.2, 1.4, 1.7, 2.0)]
    assert any("narrows no more" in str(reason) for reason in reasons(growing))


def test_the_widest_of_several_series_decides() -> None:
    rule = StopRule(9, budget_s=60.0)
    said = [rule.reason([QUIET * n, NOISY * n], 1.0) for n in (1, 2, 3)]
    assert said == [None, None, None]


def test_a_series_too_short_for_an_interval_does_not_stop() -> None:
    rule = StopRule(9, budget_s=60.0)
    assert [rule.reason([[100.0] * n], 1.0) for n in (1, 2, 3, 4)] == [None] * 4
