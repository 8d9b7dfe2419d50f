import re

import pytest

from harness.analysis.experiment import Ratio
from harness.report.plots import LIMIT
from harness.report.plots_vae import (
    DECODE,
    ENCODE,
    REST,
    WHOLE,
    VaeBar,
    vae_figure,
)


def times(value: float, low: float | None, high: float | None) -> Ratio:
    return Ratio(value, low, high, processes=(3, 3), paired=False, error=None, freedom=None)


PLAIN = VaeBar("TAE, in the stack", 196.0, None, None, None)
TAE = VaeBar("TAE, as it is", 588.0, 12.9, 9.2, None)
WAN = VaeBar("WanVAE, as it is", 974.0, 176.0, 161.0, times(1.657, 1.301, 2.110))
LIMITS = [(16.0, 750.0), (24.0, 500.0), (30.0, 400.0)]


def bars(figure: bytes, colour: str) -> int:
    """Bars of a colour: in the legend they have an edge too, and outlined ones a thin one."""
    return len(re.findall(rf'style="fill: {colour}(?:; stroke: #7b8794; [^"]*)?"', figure.decode()))


def test_the_figure_is_the_same_every_time() -> None:
    assert vae_figure([[TAE, WAN], [PLAIN]], LIMITS) == vae_figure([[TAE, WAN], [PLAIN]], LIMITS)


def test_a_bar_shows_its_parts_or_is_plain_where_they_are_not_known() -> None:
    both = vae_figure([[TAE, WAN]], LIMITS)
    assert [bars(both, colour) for colour in (ENCODE, DECODE, REST, WHOLE)] == [2, 2, 2, 0]
    plain = vae_figure([[PLAIN]], LIMITS)
    assert [bars(plain, colour) for colour in (ENCODE, DECODE, REST)] == [0, 0, 0]
    half = vae_figure([[VaeBar("TAE", 196.0, 12.9, None, None)]], LIMITS)
    assert bars(half, ENCODE) == 0 and bars(half, WHOLE) == bars(plain, WHOLE) == 2  # its legend


def test_parts_longer_than_the_chunk_leave_no_rest_below_zero() -> None:
    figure = vae_figure([[VaeBar("TAE", 20.0, 12.9, 9.2, None)]], [])
    assert bars(figure, ENCODE) == bars(figure, DECODE) == 1
    assert "nan" not in figure.decode()


@pytest.mark.parametrize(
    ("wall_ms", "lines"), [(974.0, 4), (400.0, 3), (150.0, 0)], ids=["all", "two", "none"]
)
def test_limits_are_drawn_as_far_as_they_lie_on_the_axis(wall_ms: float, lines: int) -> None:
    figure = vae_figure([[VaeBar("TAE", wall_ms, 12.9, 9.2, None)]], LIMITS)
    assert figure.decode().count(f"stroke: {LIMIT}") == lines  # that of the legend included


@pytest.mark.parametrize(("wall_ms", "names"), [(974.0, 3), (1500.0, 2), (9000.0, 1)])
def test_limits_that_lie_near_share_a_name(wall_ms: float, names: int) -> None:
    figure = vae_figure([[VaeBar("TAE", wall_ms, 12.9, 9.2, None)]], LIMITS).decode()
    assert len(re.findall(rf'<g style="fill: {LIMIT}"', figure)) == names


def test_behind_a_bar_stands_its_time_and_the_ratio_with_its_interval() -> None:
    assert TAE.behind == "588 ms"
    assert WAN.behind == "974 ms, 1.66 × the TAE's (1.30 to 2.11)"
    one = VaeBar("WanVAE", 974.0, 176.0, 161.0, times(1.657, None, None))
    assert one.behind == "974 ms, 1.66 × the TAE's"
