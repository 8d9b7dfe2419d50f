"""trust.svg: every arm of a self-check against its base, and how fresh processes lie apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from harness.report.plots import FAINT, INK, LEGEND, Percent, name_rows, style
from harness.report.svg import svg

BAND = "#e4e7eb"
SERIES = {"busy": ("GPU-busy time", "#2f6f9f", -0.16), "wall": ("Wall time", "#d9742b", 0.16)}


@dataclass(frozen=True)
class ArmRow:
    """One arm: its name, the delay planted into it in percent, and what was measured."""

    label: str
    planted: float | None
    bars: dict[str, Percent]  # changes against the base, by the keys of SERIES


def trust_figure(
    arms: Sequence[ArmRow], processes: Mapping[str, Sequence[float]], band: float
) -> bytes:
    """A forest plot of the arms, the band of the minimum effect shaded; processes as dots.

    All numbers are in percent: of the base arm, and of the median process.
    """
    with style():
        figure = Figure(figsize=(9.2, 1.7 + 0.42 * len(arms)), layout="constrained")
        FigureCanvasSVG(figure)
        left, right = figure.subplots(1, 2, width_ratios=(5, 2))
        _forest(left, arms, band)
        _dots(right, processes)
        shown = [key for key in SERIES if processes.get(key)]
        handles: list[Patch | Line2D] = [
            Line2D([], [], color=SERIES[key][1], marker="o", markersize=5, label=SERIES[key][0])
            for key in shown
        ]
        if any(arm.planted for arm in arms):
            mark = Line2D([], [], color=INK, marker="|", linestyle="", label="Planted")
            handles.append(mark)
        handles.append(Patch(color=BAND, label="Too small to matter"))
        figure.legend(handles=handles, loc="outside upper left", ncols=4, **LEGEND)
        return svg(figure)


def _forest(axes: Axes, arms: Sequence[ArmRow], band: float) -> None:
    axes.axvspan(-band, band, color=BAND, linewidth=0, zorder=0)
    axes.axvline(0, color=FAINT, linewidth=0.8, zorder=1)
    for row, arm in enumerate(arms):
        for key, bar in arm.bars.items():
            _, colour, offset = SERIES[key]
            y = row + (offset if len(arm.bars) > 1 else 0)
            if bar.low is not None and bar.high is not None:
                axes.plot([bar.low, bar.high], [y, y], color=colour, linewidth=1.6, zorder=2)
            axes.plot([bar.value], [y], color=colour, marker="o", markersize=5, zorder=3)
        if arm.planted is not None:
            axes.plot([arm.planted] * 2, [row - 0.36, row + 0.36], color=INK, linewidth=1, zorder=2)
    name_rows(axes, [arm.label for arm in arms])
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.05)
    axes.set_xlabel("Time against the base arm (%), interval over processes")


def _dots(axes: Axes, processes: Mapping[str, Sequence[float]]) -> None:
    """One dot a process; in rows, so that equal ones stay visible side by side."""
    rows = [key for key in SERIES if processes.get(key)]
    for row, key in enumerate(rows):
        values = processes[key]
        step = 0.44 / max(len(values) - 1, 1)
        heights = [row - 0.22 + step * number for number in range(len(values))]
        axes.plot(values, heights, color=SERIES[key][1], marker="o", markersize=5, linestyle="")
    axes.axvline(0, color=FAINT, linewidth=0.8, zorder=1)
    name_rows(axes, [SERIES[key][0] for key in rows])
    axes.grid(axis="y", visible=False)
    widest = max((abs(value) for key in rows for value in processes[key]), default=1.0)
    axes.set_xlim(-1.15 * max(widest, 0.1), 1.15 * max(widest, 0.1))
    axes.set_xlabel("Processes, base arm (%)")
