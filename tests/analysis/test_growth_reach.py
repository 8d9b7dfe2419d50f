"""harness.analysis.growth_reach: upward from the own point, and what lies below it."""

from pathlib import Path

import pytest

from harness.analysis.growth import Axis, GrowthPoint, growth_axes
from harness.analysis.growth_reach import first_break, reach
from harness.report.material import Material
from harness.result import Result
from harness.store import RunFolder
from tests.report import made_limit
from tests.report.made_growth import OWN, at_fps, place

RATE = 24.0
ABOVE, BELOW = 30.0, 20.0
SIZES = (place("320x320"), OWN, place("832x480"), place("1024x1024"))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    path = made_limit.run(tmp_path_factory.mktemp("reports"), name="growth")
    return Material(RunFolder(path).load()).results


def baseline(results: list[Result], rates: dict[str, float]) -> list[Axis]:
    axes = growth_axes(at_fps(results, rates))
    return [axis for axis in axes if axis.variant == "baseline"]


def sizes(results: list[Result], *rates: float) -> Axis:
    return baseline(results, dict(zip(SIZES, rates, strict=True)))[0]


def ids(points: tuple[GrowthPoint | None, ...]) -> list[str | None]:
    return [point.result.case_id if point is not None else None for point in points]


def test_a_rate_holds_from_the_own_point_up_to_a_break(results: list[Result]) -> None:
    found = reach(sizes(results, 40, ABOVE, 25, BELOW), RATE)
    assert ids((found.last, found.first)) == [SIZES[2], SIZES[3]]
    assert found.own_holds and found.cheaper == found.besides == ()


def test_the_own_point_fails_and_a_cheaper_one_holds(results: list[Result]) -> None:
    found = reach(sizes(results, ABOVE, BELOW, 15, 10), RATE)
    assert not found.own_holds and found.cheaper == ()
    assert ids((found.last, found.first)) == [None, OWN]
    assert ids(found.besides) == [SIZES[0]]


def test_a_cheaper_point_that_fails_is_told(results: list[Result]) -> None:
    found = reach(sizes(results, BELOW, ABOVE, ABOVE, BELOW), RATE)
    assert ids((found.last, found.first)) == [SIZES[2], SIZES[3]]
    assert ids(found.cheaper) == [SIZES[0]]


def test_a_rate_that_holds_everywhere_has_no_break(results: list[Result]) -> None:
    found = reach(sizes(results, *[ABOVE] * 4), RATE)
    assert ids((found.last, found.first)) == [SIZES[3], None]
    assert found.cheaper == found.besides == ()


def test_a_rate_that_holds_again_beyond_its_break_is_told(results: list[Result]) -> None:
    found = reach(sizes(results, ABOVE, ABOVE, BELOW, ABOVE), RATE)
    assert ids((found.last, found.first)) == [OWN, SIZES[2]]
    assert ids(found.besides) == [SIZES[3]]


def test_the_first_break_has_the_least_arithmetic_above_the_own_point(
    results: list[Result],
) -> None:
    everywhere = {
        one.case_id: ABOVE for one in results if one.case.variant == "baseline" and one.chunks
    }
    assert first_break(baseline(results, everywhere), RATE).first is None
    late = {**everywhere, SIZES[3]: BELOW, place("steps8"): BELOW}
    met = first_break(baseline(results, late), RATE)
    assert met.first is not None and met.first[0].name == "steps"
    low = {**late, place("window3"): BELOW}
    met = first_break(baseline(results, low), RATE)
    assert [(axis.name, point.case.window) for axis, point in met.cheaper] == [("window", 3)]
    met = first_break(baseline(results, {**low, OWN: BELOW}), RATE)
    assert met.own is not None and met.own.result.case_id == OWN
    assert met.first is None and met.cheaper == ()


def test_the_recorded_baseline_lacks_a_rate_at_its_own_point() -> None:
    recorded = Path(__file__).parents[2] / "reports" / "nvidia-h200" / "20261128-181142-growth"
    axes = growth_axes(Material(RunFolder(recorded).load()).results)
    own = [axis for axis in axes if axis.variant == "baseline"]
    met = first_break(own, RATE)
    assert met.own is own[0].anchor
    met = first_break(own, 16.0)
    assert met.own is None and met.first is not None and met.first[1].case.width_px == 832
