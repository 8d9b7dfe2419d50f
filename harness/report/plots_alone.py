"""alone.svg: what each fix alone saves of wall and of GPU-busy time, and what was predicted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from harness.report.plots import FAINT, INK, LEGEND, Percent, bars_figure, name_rows, style
from harness.report.svg import svg

BUSY, WALL = "#2f6f9f", "#d9742b"
LIFT = 0.17  # of a row, between its two marks
ROOM = 6.0  # percent, on both sides of what is shown whole


@dataclass(frozen=True)
class AloneRow:
    """One fix: what it saves, below zero where it costs.

    `each` is what it saves of wall time in each process, `predicted` the largest ceiling of its
    rules; both in percent of wall time.
    """

    label: str
    wall: Percent
    each: tuple[float, ...]
    busy: Percent | None
    predicted: float | None
    fails: bool  # its output is worse


def alone_figure(rows: Sequence[AloneRow]) -> bytes:
    """A row a fix. Intervals of wall time that are wider than the axis end at its edge."""
    with style():
        figure, axes = bars_figure(height_in=1.35 + 0.32 * len(rows))
        low, high = _span(rows)
        for place, row in enumerate(rows):
            heights = [place - LIFT] * len(row.each)
            axes.plot(row.each, heights, color=WALL, linestyle="none", marker="|", markersize=7)
            _mark(axes, place - LIFT, row.wall, (low, high), WALL, hollow=True)
            if row.busy is not None:
                _mark(axes, place + LIFT, row.busy, (low, high), BUSY, hollow=False)
            if row.predicted is not None:
                ends = (place - 0.36, place + 0.36)
                axes.plot((row.predicted,) * 2, ends, color=INK, linewidth=1.6)
        name_rows(axes, [row.label + (" (output worse)" if row.fails else "") for row in rows])
        axes.axvline(0, color=FAINT, linewidth=1, zorder=1)
        axes.set_xlim(low, high)
        axes.set_xlabel("Share of the baseline's time that is saved (%), 95 % intervals")
        figure.legend(handles=_handles(rows), loc="outside upper left", ncols=5, **LEGEND)
        return svg(figure)


def _span(rows: Sequence[AloneRow]) -> tuple[float, float]:
    """The axis: every value of a process or of all, every ceiling, intervals of GPU-busy time."""
    inside = [0.0]
    for row in rows:
        inside += [row.wall.value, *row.each, *([] if row.predicted is None else [row.predicted])]
        known = () if row.busy is None else (row.busy.value, row.busy.low, row.busy.high)
        inside += [value for value in known if value is not None]
    return min(inside) - ROOM, max(inside) + ROOM


def _mark(
    axes: Axes, place: float, gain: Percent, span: tuple[float, float], colour: str, *, hollow: bool
) -> None:
    low, high = span
    if gain.low is not None and gain.high is not None:
        ends = (max(gain.low, low), min(gain.high, high))
        axes.plot(ends, (place, place), color=colour, linewidth=1.2)
        for end, known, arrow in ((low, gain.low, "<"), (high, gain.high, ">")):
            if not low <= known <= high:
                options: dict[str, Any] = {"color": colour, "markersize": 4, "clip_on": False}
                axes.plot(end, place, marker=arrow, **options)
    face = "white" if hollow else colour
    axes.plot(gain.value, place, marker="o", color=colour, markerfacecolor=face, markersize=5)


def _handles(rows: Sequence[AloneRow]) -> list[Line2D]:
    dots: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 5}
    found = [Line2D([], [], color=WALL, markerfacecolor="white", label="Wall time", **dots)]
    tick: dict[str, Any] = {"linestyle": "none", "marker": "|"}
    if any(len(row.each) > 1 for row in rows):
        found.append(Line2D([], [], color=WALL, markersize=7, label="in one process", **tick))
    if any(row.busy is not None for row in rows):
        found.append(Line2D([], [], color=BUSY, label="GPU-busy time", **dots))
    if any(row.predicted is not None for row in rows):
        found.append(
            Line2D(
                *([], []),
                color=INK,
                markersize=9,
                markeredgewidth=1.6,
                label="Predicted of wall time, at most",
                **tick,
            )
        )
    return found
