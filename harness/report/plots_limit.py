"""leave_out.svg: what each fix gains alone, and what it still brings when all others are in."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.report.plots import FAINT, INK, LEGEND, Percent, name_rows, style
from harness.report.svg import svg

ALONE, BRINGS = "#86b6d6", "#d9742b"
ROOM = 6.0  # percent beside the outermost dots; intervals are cut off there


@dataclass(frozen=True)
class GainPair:
    """Gains of a fix alone and in the stack; None where that is not known."""

    alone: Percent | None
    brings: Percent | None

    @property
    def known(self) -> list[float]:
        """Both values, as far as they are known."""
        return [one.value for one in (self.alone, self.brings) if one is not None]


@dataclass(frozen=True)
class GainRow:
    """A fix and its gains of wall time and of GPU-busy time."""

    label: str
    wall: GainPair
    busy: GainPair


def leave_out_figure(rows: Sequence[GainRow]) -> bytes:
    """A row a fix, a panel a measure; two dots each, joined where both are known."""
    panels = [("Wall time saved (%)", [one.wall for one in rows])]
    if any(one.busy.known for one in rows):
        panels.append(("GPU-busy time saved (%)", [one.busy for one in rows]))
    values = [value for _, pairs in panels for pair in pairs for value in pair.known]
    with style():
        figure = Figure(figsize=(9.2, 1.25 + 0.26 * len(rows)), layout="constrained")
        FigureCanvasSVG(figure)
        all_axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        name_rows(all_axes[0], [one.label for one in rows])
        for axes, (title, pairs) in zip(all_axes, panels, strict=True):
            axes.grid(axis="y", visible=False)
            axes.spines["left"].set_visible(False)
            for row, pair in enumerate(pairs):
                _dots(axes, row, pair)
            axes.axvline(0, color=INK, linewidth=0.8)
            axes.set_xlim(min(0, *values) - ROOM, max(0, *values) + ROOM)
            axes.set_xlabel(title)
        handles = [
            Line2D(
                [], [], color=ALONE, marker="o", label="Alone on the baseline, with what it needs"
            ),
            Line2D([], [], color=BRINGS, marker="o", label="Left out of the stack"),
            Line2D([], [], color=INK, linewidth=1.4, label="95 % interval, cut off at the edge"),
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=3, **LEGEND)
        return svg(figure)


def _dots(axes: Axes, row: int, pair: GainPair) -> None:
    if pair.alone is not None and pair.brings is not None:
        axes.plot(pair.known, [row, row], color=FAINT, linewidth=0.8, zorder=1)
    for dot, colour, shift in ((pair.alone, ALONE, -0.14), (pair.brings, BRINGS, 0.14)):
        if dot is None:
            continue
        place = row + shift
        if dot.low is not None and dot.high is not None:
            axes.plot([dot.low, dot.high], [place] * 2, color=colour, linewidth=1.4, zorder=2)
        axes.plot([dot.value], [place], "o", color=colour, markersize=4, zorder=3)
