"""leave_out.svg: what each fix saves by itself, alone and when all others are in."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.report.plots import FAINT, INK, LEGEND, name_rows, style
from harness.report.svg import svg

ALONE, BRINGS = "#86b6d6", "#d9742b"
INTERVAL = "95 % interval from three processes on, cut off at the edge"
ROOM = 0.08  # of the dots' range, beside the outermost; intervals are cut off there


@dataclass(frozen=True)
class Dot:
    """Milliseconds saved, with the ends of their interval where there is one."""

    value_ms: float
    low_ms: float | None
    high_ms: float | None


@dataclass(frozen=True)
class SavedPair:
    """What a fix saves by itself, alone and in the stack; None where that is not known."""

    alone: Dot | None
    brings: Dot | None

    @property
    def known(self) -> list[float]:
        """Both values, as far as they are known."""
        return [one.value_ms for one in (self.alone, self.brings) if one is not None]


@dataclass(frozen=True)
class SavedRow:
    """A fix and what it saves of wall time and of GPU-busy time."""

    label: str
    wall: SavedPair
    busy: SavedPair


def leave_out_figure(rows: Sequence[SavedRow]) -> bytes:
    """A row a fix, a panel a measure; two dots each, joined where both are known."""
    panels = [("GPU-busy time saved (ms)", [one.busy for one in rows])]
    panels = panels if any(one.busy.known for one in rows) else []
    panels.append(("Wall time saved (ms)", [one.wall for one in rows]))
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
            values = [0.0, *(value for pair in pairs for value in pair.known)]
            room = ROOM * (max(values) - min(values)) or 1.0
            axes.set_xlim(min(values) - room, max(values) + room)
            axes.set_xlabel(title)
        handles = [
            Line2D([], [], color=ALONE, marker="o", label="By itself, alone on the baseline"),
            Line2D([], [], color=BRINGS, marker="o", label="By itself, in the stack"),
            Line2D([], [], color=INK, linewidth=1.4, label=INTERVAL),
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=3, **LEGEND)
        return svg(figure)


def _dots(axes: Axes, row: int, pair: SavedPair) -> None:
    if pair.alone is not None and pair.brings is not None:
        axes.plot(pair.known, [row, row], color=FAINT, linewidth=0.8, zorder=1)
    for dot, colour, shift in ((pair.alone, ALONE, -0.14), (pair.brings, BRINGS, 0.14)):
        if dot is None:
            continue
        place = row + shift
        if dot.low_ms is not None and dot.high_ms is not None:
            axes.plot([dot.low_ms, dot.high_ms], [place] * 2, color=colour, linewidth=1.4, zorder=2)
        axes.plot([dot.value_ms], [place], "o", color=colour, markersize=4, zorder=3)
