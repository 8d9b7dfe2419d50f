"""power.svg: power and SM clock of every arm while it was timed, beside what the GPU allows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from harness.report.plots import INK, LEGEND, LIMIT, name_rows, style
from harness.report.svg import svg

FREE, HELD = "#86b6d6", "#d9742b"
LEAST_SPAN_MHZ = 100.0  # of the axis of clocks, which does not begin at zero
ROOM = 0.3  # of the axis of clocks, for the text beside its lowest mark


@dataclass(frozen=True)
class PowerRow:
    """One arm; `last_mhz` is the clock in the last chunks of its blocks."""

    label: str
    watts: float | None
    clock_mhz: float
    last_mhz: float | None
    held: bool


def power_figure(
    rows: Sequence[PowerRow], limit_watts: float | None, highest_mhz: float | None
) -> bytes:
    """A row an arm: power as a bar on the left, clocks as marks on the right."""
    with style():
        figure = Figure(figsize=(9.2, 1.35 + 0.3 * len(rows)), layout="constrained")
        FigureCanvasSVG(figure)
        left, right = figure.subplots(1, 2, sharey=True)
        _powers(left, rows, limit_watts)
        _clocks(right, rows, highest_mhz)
        for axes in (left, right):
            name_rows(axes, [row.label for row in rows])
            axes.grid(axis="y", visible=False)
        right.tick_params(labelleft=False)
        figure.legend(handles=_handles(rows), loc="outside upper left", ncols=5, **LEGEND)
        return svg(figure)


def _powers(axes: Axes, rows: Sequence[PowerRow], limit_watts: float | None) -> None:
    widest = max([limit_watts or 1.0, *(row.watts or 0.0 for row in rows)])
    for place, row in enumerate(rows):
        if row.watts is not None:
            axes.barh(place, row.watts, height=0.62, color=_colour(row))
            _left_of(axes, row.watts, place, f"{row.watts:,.0f} W", "white" if row.held else INK)
    _bound(axes, limit_watts)
    axes.set_xlim(0, 1.06 * widest)
    axes.set_xlabel("Power (W), median of the timed chunks")


def _clocks(axes: Axes, rows: Sequence[PowerRow], highest_mhz: float | None) -> None:
    seen = [value for row in rows for value in (row.clock_mhz, row.last_mhz) if value is not None]
    top = max([*seen, *([] if highest_mhz is None else [highest_mhz])])
    low = min([*seen, top - LEAST_SPAN_MHZ])
    span = top - low
    for place, row in enumerate(rows):
        if row.last_mhz is not None:
            ends = (row.clock_mhz, row.last_mhz)
            axes.plot(ends, (place, place), color=_colour(row), linewidth=1.4)
            axes.plot(row.last_mhz, place, marker="|", color=INK, markersize=9, linestyle="none")
        axes.plot(row.clock_mhz, place, marker="o", color=_colour(row), markersize=6)
        start = min(row.clock_mhz, row.last_mhz or row.clock_mhz)
        _left_of(axes, start, place, f"{row.clock_mhz:,.0f} MHz", INK)
    _bound(axes, highest_mhz)
    axes.set_xlim(low - ROOM * span, top + 0.06 * span)
    axes.set_xlabel("SM clock (MHz), likewise; the axis does not begin at zero")


def _left_of(axes: Axes, x: float, place: int, text: str, colour: str) -> None:
    """Text to the left of a mark, where no bound crosses it."""
    options: dict[str, Any] = {"ha": "right", "va": "center", "fontsize": 8, "color": colour}
    axes.annotate(text, (x, place), xytext=(-7, 0), textcoords="offset points", **options)


def _bound(axes: Axes, value: float | None) -> None:
    if value is not None:
        axes.axvline(value, color=LIMIT, linewidth=1, linestyle=(0, (3, 2)), zorder=1)


def _colour(row: PowerRow) -> str:
    return HELD if row.held else FREE


def _handles(rows: Sequence[PowerRow]) -> list[Patch | Line2D]:
    kinds = {row.held: "Held by the power cap" if row.held else "Not held" for row in rows}
    handles: list[Patch | Line2D] = [
        Patch(color=HELD if held else FREE, label=label) for held, label in sorted(kinds.items())
    ]
    handles.append(
        Line2D([], [], color=INK, linestyle="none", marker="|", markersize=9, label="End of blocks")
    )
    dashes = Line2D([], [], color=LIMIT, linestyle=(0, (3, 2)), label="What the GPU allows")
    return [*handles, dashes]
