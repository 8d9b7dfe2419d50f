"""growth.svg and growth_map.svg: scales, names of limits, frames of what was measured."""

import re

import pytest

from harness.report.plots import LIMIT
from harness.report.plots_growth import (
    Curve,
    FpsMap,
    MapField,
    growth_figure,
    map_figure,
    plain_ticks,
)

LIMITS = [(16.0, 750.0), (24.0, 500.0), (30.0, 400.0)]


def figure(*wall_ms: float) -> str:
    labels = tuple(str(n) for n in range(len(wall_ms)))
    return growth_figure(
        [("Steps", [Curve("baseline", labels, wall_ms, wall_ms)])], LIMITS
    ).decode()


def lines(drawn: str) -> int:
    """Limits that are drawn, less the one of the legend."""
    return len(re.findall(rf"stroke: {LIMIT}", drawn)) - 1


def names(drawn: str) -> int:
    return len(re.findall(rf'<g style="fill: {LIMIT}"', drawn))


def ticks(drawn: str) -> int:
    """On the vertical axis, its first and last included where they show."""
    return len(re.findall(r'<g id="ytick_', drawn))


def test_the_figure_is_the_same_every_time() -> None:
    assert figure(60, 500, 900) == figure(60, 500, 900)


def test_an_axis_is_logarithmic_where_values_lie_far_apart() -> None:
    assert ticks(figure(61, 2605)) == len(plain_ticks(61 / 1.25, 2605 * 1.25))
    assert ticks(figure(100, 1000)) == 6  # from zero, by 200
    assert ticks(figure(100, 1001)) == len(plain_ticks(100 / 1.25, 1001 * 1.25)) == 4


def test_ticks_are_plain_numbers() -> None:
    assert plain_ticks(49, 3256) == [50, 100, 200, 500, 1000, 2000]
    assert plain_ticks(0.4, 2.1) == [0.5, 1, 2]


@pytest.mark.parametrize(
    ("wall_ms", "drawn"),
    [((300, 940), 3), ((300, 600), 2), ((100, 200), 0), ((60, 900), 3), ((560, 6000), 2)],
)
def test_limits_that_an_axis_reaches_are_drawn(wall_ms: tuple[float, ...], drawn: int) -> None:
    assert lines(figure(*wall_ms)) == drawn


def test_each_limit_has_its_name_and_near_ones_share_it() -> None:
    assert names(figure(61, 2605)) == names(figure(300, 940)) == 3
    assert names(figure(1, 100_000)) == 1


def test_a_map_frames_what_was_measured() -> None:
    def drawn(*measured: bool) -> str:
        fields = tuple(MapField(20.0, one) for one in measured)
        made = FpsMap("baseline", ("512x512",), tuple(range(1, len(fields) + 1)), (fields,))
        return map_figure([made], (16.0, 24.0, 30.0)).decode()

    def frames(text: str) -> int:
        return len(re.findall(r"fill: none; stroke: #1f2933", text))

    assert frames(drawn(True, False, False)) == frames(drawn(False, False, False)) + 1
