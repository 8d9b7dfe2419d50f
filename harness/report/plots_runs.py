"""Figures over several runs, in the style of `plots`.

gpus.svg    one bar a GPU: frames per second of its measurement with most processes
trend.svg   one column a run of one GPU: wall and GPU-busy time of a chunk
"""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from harness.analysis.experiment import Location
from harness.report.plots import INK, LEGEND, bars_figure, beside, name_rows, style
from harness.report.svg import svg

BUSY, WALL, RATE = "#2f6f9f", "#d9742b", "#86b6d6"
KINDS = {False: ("Eager, as it is", RATE), True: ("Stack of fixes", BUSY)}
HEADROOM = 1.15  # above the highest point
MOST_UPRIGHT = 8  # labels that fit side by side below the axis


@dataclass(frozen=True)
class RunPoint:
    """A run on the axis of time, in ms; `busy` is None where it was not measured."""

    label: str
    wall: Location
    busy: Location | None


@dataclass(frozen=True)
class GpuBar:
    """Frames per second of a GPU; `changed` where it is of a stack of fixes."""

    label: str
    fps: Location
    changed: bool = False


def gpus_figure(bars: Sequence[GpuBar]) -> bytes:
    """A bar each, with the interval over processes, in the order given."""
    with style():
        figure, axes = bars_figure(height_in=1.1 + 0.45 * len(bars))
        widest = max(bar.fps.high or bar.fps.value for bar in bars)
        for row, bar in enumerate(bars):
            fps = bar.fps
            axes.barh(row, fps.value, height=0.6, color=KINDS[bar.changed][1])
            if fps.low is not None and fps.high is not None:
                axes.plot((fps.low, fps.high), (row, row), color=INK, linewidth=1.2)
            beside(axes, max(fps.value, fps.high or 0.0), row, f"{fps.value:.1f} FPS", widest)
        name_rows(axes, [bar.label for bar in bars])
        axes.set_xlim(0, widest * HEADROOM)
        kinds = {bar.changed: KINDS[bar.changed] for bar in bars}
        handles = [Patch(color=colour, label=label) for label, colour in kinds.values()]
        figure.legend(handles=handles, loc="outside upper left", ncols=2, **LEGEND)
        axes.set_xlabel("Frames per second, inpainting (interval over processes, if several)")
        return svg(figure)


def trend_figure(points: Sequence[RunPoint]) -> bytes:
    """Both times of each run, the oldest on the left."""
    with style():
        crowded = len(points) > MOST_UPRIGHT
        figure = Figure(figsize=(9.2, 4.0 if crowded else 3.4), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        _times(axes, [(i, point.wall) for i, point in enumerate(points)], WALL, "Wall time")
        busy = [(i, point.busy) for i, point in enumerate(points) if point.busy is not None]
        if busy:
            _times(axes, busy, BUSY, "GPU busy")
        # Labels of two lines run into one another at any slant.
        axes.set_xticks(
            range(len(points)),
            [point.label for point in points],
            rotation=90 if crowded else 0,
        )
        axes.set_xlim(-0.5, len(points) - 0.5)
        axes.set_ylim(0, max(one.wall.high or one.wall.value for one in points) * HEADROOM)
        axes.set_ylabel("Milliseconds a chunk")
        axes.grid(axis="x", visible=False)
        figure.legend(loc="outside upper left", ncols=2, **LEGEND)
        return svg(figure)


def _times(axes: Axes, times: Sequence[tuple[int, Location]], colour: str, label: str) -> None:
    """Dots with their intervals; runs are no series, so nothing joins them but a thin line."""
    x, y = [i for i, _ in times], [time.value for _, time in times]
    axes.plot(x, y, color=colour, linewidth=0.7, linestyle=(0, (2, 2)), zorder=2)
    axes.plot(x, y, color=colour, linestyle="none", marker="o", markersize=5, label=label, zorder=3)
    for i, time in times:
        if time.low is not None and time.high is not None:
            axes.plot((i, i), (time.low, time.high), color=colour, linewidth=1.4, zorder=3)
