"""leave_out.svg: what each fix gains alone, and what it still brings when all others are in."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.lines import Line2D

from harness.report.plots import FAINT, INK, LEGEND, Percent, bars_figure, name_rows, style
from harness.report.svg import svg

ALONE, BRINGS = "#86b6d6", "#d9742b"


@dataclass(frozen=True)
class GainRow:
    """A fix and its gain of wall time: alone (None where that is not known), and in the stack."""

    label: str
    alone: Percent | None
    brings: Percent


def leave_out_figure(rows: Sequence[GainRow]) -> bytes:
    """A row a fix, two dots each, joined where both are known."""
    with style():
        figure, axes = bars_figure(height_in=1.25 + 0.3 * len(rows))
        for row, one in enumerate(rows):
            if one.alone is not None:
                ends = [one.alone.value, one.brings.value]
                axes.plot(ends, [row, row], color=FAINT, linewidth=0.8, zorder=1)
            for dot, colour, shift in ((one.alone, ALONE, -0.14), (one.brings, BRINGS, 0.14)):
                if dot is None:
                    continue
                if dot.low is not None and dot.high is not None:
                    place = [row + shift] * 2
                    axes.plot([dot.low, dot.high], place, color=colour, linewidth=1.4, zorder=2)
                axes.plot([dot.value], [row + shift], "o", color=colour, markersize=5, zorder=3)
        axes.axvline(0, color=INK, linewidth=0.8)
        name_rows(axes, [one.label for one in rows])
        axes.set_xlabel("Wall time saved (%), with the interval over processes")
        handles = [
            Line2D([], [], color=ALONE, marker="o", label="Alone, on the baseline"),
            Line2D([], [], color=BRINGS, marker="o", label="Left out of the stack"),
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=2, **LEGEND)
        return svg(figure)
