import re

import pytest

from harness.report.plots_fixes import FLOOR, GAINED, IDLE, StackBar, fixes_figure

BARS = [
    StackBar("Baseline", 550.0, 435.0, False),
    StackBar("ring cache", 440.0, 360.0, False),
    StackBar("a step that costs", 450.0, 361.0, True),
]


def filled(figure: bytes, colour: str) -> int:
    """Patches of a colour, the legend's one included."""
    return len(re.findall(rf'style="fill: {colour}', figure.decode()))


def test_the_figure_is_the_same_every_time() -> None:
    assert fixes_figure(BARS, 132.0) == fixes_figure(BARS, 132.0)


def test_a_gain_is_drawn_for_faster_steps_alone() -> None:
    assert filled(fixes_figure(BARS, 132.0), GAINED) == 1 + 1
    assert filled(fixes_figure(BARS[:1], None), GAINED) == 1


@pytest.mark.parametrize(("floor_ms", "patches"), [(132.0, 1), (None, 0)])
def test_a_floor_is_drawn_where_it_is_known(floor_ms: float | None, patches: int) -> None:
    assert filled(fixes_figure(BARS, floor_ms), FLOOR) == patches


def test_without_busy_time_the_bar_is_wall_time_alone() -> None:
    bars = [StackBar(bar.label, bar.wall_ms, None, bar.fails) for bar in BARS]
    figure = fixes_figure(bars, None)
    assert "nan" not in figure.decode()
    assert filled(fixes_figure(BARS, None), IDLE) == len(BARS) + 1
    # Rests of no width stay; the legend no longer names them.
    assert filled(figure, IDLE) == len(BARS)
