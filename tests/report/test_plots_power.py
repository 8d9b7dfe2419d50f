import re

import pytest

from harness.report.plots import LIMIT
from harness.report.plots_power import FREE, HELD, PowerRow, power_figure

ROWS = [
    PowerRow("base", 412.0, 1980.0, 1980.0, False),
    PowerRow("stack-6", None, 1954.0, None, True),
    PowerRow("lossless (Depth, $512x512)", 711.0, 1879.0, 1838.0, True),
]


def bars(figure: bytes, colour: str) -> int:
    """Bars of a colour: marks and the legend have an edge too."""
    return len(re.findall(rf'style="fill: {colour}"', figure.decode()))


def test_the_figure_is_the_same_every_time() -> None:
    assert power_figure(ROWS, 700.0, 1980.0) == power_figure(ROWS, 700.0, 1980.0)


def test_bars_say_which_arms_are_held_and_unknown_power_has_none() -> None:
    figure = power_figure(ROWS, 700.0, 1980.0)
    assert (bars(figure, FREE), bars(figure, HELD)) == (1, 1)
    assert "nan" not in figure.decode()


@pytest.mark.parametrize(
    ("watts", "clock_mhz", "lines"), [(700.0, 1980.0, 3), (None, 1980.0, 2), (None, None, 1)]
)
def test_bounds_are_drawn_where_they_are_known(
    watts: float | None, clock_mhz: float | None, lines: int
) -> None:
    figure = power_figure(ROWS, watts, clock_mhz).decode()
    assert figure.count(f"stroke: {LIMIT}") == lines  # that of the legend included
