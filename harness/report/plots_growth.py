"""growth.svg: time of a chunk along each axis, measured and predicted, with the real-time lines.
growth_map.svg: frames a second over size and steps, measured where it was, else predicted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from harness.report.plots import FAINT, INK, LEGEND, LIMIT, short, shown, style
from harness.report.svg import svg

COLOURS = ("#2f6f9f", "#d9742b", "#4f9d69", "#8c6bb1")
CLASS_COLOURS = ("#f8d9dc", "#fbf3d4", "#d6ebdd", "#9fd0b0")
PREDICTED = (0, (1, 1.5))  # dashes of the line
REAL_TIME = (0, (3, 2))
WIDE = 10.0  # largest value over the smallest, beyond which an axis is logarithmic
ROOM = 1.08  # of the largest value, the end of an axis from zero
LOG_ROOM = 1.25  # of the largest and the smallest value, the ends of a logarithmic axis
APART = 0.04  # of the axis, from which on two limits have room for a name each


@dataclass(frozen=True)
class Curve:
    """One variant on one axis: label of each point, and milliseconds a chunk."""

    variant: str
    labels: tuple[str, ...]
    wall_ms: tuple[float, ...]
    predicted_ms: tuple[float, ...]


@dataclass(frozen=True)
class MapField:
    """Frames a second at one size and number of steps."""

    fps: float
    measured: bool


@dataclass(frozen=True)
class FpsMap:
    """One variant: a row a size, a column a number of steps."""

    variant: str
    sizes: tuple[str, ...]
    steps: tuple[int, ...]
    fields: tuple[tuple[MapField, ...], ...]


def growth_figure(
    panels: Sequence[tuple[str, Sequence[Curve]]], limits_ms: Sequence[tuple[float, float]]
) -> bytes:
    """A panel an axis; `limits_ms` are frames a second and the longest chunk that gives them."""
    with style():
        figure = Figure(figsize=(9.2, 3.4), layout="constrained")
        FigureCanvasSVG(figure)
        all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (title, curves) in zip(all_axes, panels, strict=True):
            _panel(axes, title, curves)
            _limits(axes, limits_ms)
        names = list(dict.fromkeys(curve.variant for _, curves in panels for curve in curves))
        handles = [
            Line2D([], [], color=COLOURS[n % len(COLOURS)], marker="o", label=shown(name))
            for n, name in enumerate(names)
        ]
        handles.append(Line2D([], [], color=INK, linestyle=PREDICTED, label="predicted"))
        label = "longest chunk for real time"
        handles.append(Line2D([], [], color=LIMIT, linestyle=REAL_TIME, label=label))
        figure.legend(handles=handles, loc="outside upper left", ncols=5, **LEGEND)
        return svg(figure)


def _panel(axes: Axes, title: str, curves: Sequence[Curve]) -> None:
    labels = list(dict.fromkeys(label for curve in curves for label in curve.labels))
    for number, curve in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        x = [labels.index(label) for label in curve.labels]
        axes.plot(x, curve.wall_ms, color=colour, marker="o", markersize=4, linewidth=1.2)
        axes.plot(x, curve.predicted_ms, color=colour, linewidth=1.0, linestyle=PREDICTED)
    axes.set_xticks(range(len(labels)), labels, fontsize=7)
    axes.set_xlabel(title)
    _scale(axes, [ms for curve in curves for ms in (*curve.wall_ms, *curve.predicted_ms)])


def _scale(axes: Axes, values_ms: Sequence[float]) -> None:
    """From zero, or logarithmic where values lie far apart."""
    low_ms, high_ms = min(values_ms), max(values_ms)
    if high_ms <= WIDE * low_ms:
        axes.set_ylim(0, ROOM * high_ms)
        axes.set_ylabel("Wall time of a chunk (ms)")
        return
    axes.set_yscale("log")
    axes.set_ylim(low_ms / LOG_ROOM, LOG_ROOM * high_ms)
    axes.yaxis.set_major_locator(FixedLocator(plain_ticks(low_ms / LOG_ROOM, LOG_ROOM * high_ms)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel("Wall time of a chunk (ms), logarithmic")


def plain_ticks(low: float, high: float) -> list[float]:
    """One, two and five times the powers of ten from `low` to `high`."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = (float(f"{step}e{power}") for power in powers for step in (1, 2, 5))
    return [tick for tick in ticks if low <= tick <= high]


def _limits(axes: Axes, limits_ms: Sequence[tuple[float, float]]) -> None:
    """A line a limit that the axis reaches, named to its right; near ones share a name."""
    to_height = axes.transData - axes.transAxes
    named: list[list[tuple[float, float]]] = []
    for fps, limit_ms in sorted(limits_ms, key=lambda limit: limit[1]):
        height = float(to_height.transform((0.0, limit_ms))[1])
        if not 0 < height < 1:
            continue
        axes.axhline(limit_ms, color=LIMIT, linewidth=0.8, linestyle=REAL_TIME)
        if named and height - named[-1][-1][1] < APART:
            named[-1].append((fps, height))
        else:
            named.append([(fps, height)])
    for group in named:
        axes.text(
            1.01,
            sum(height for _, height in group) / len(group),
            ", ".join(f"{fps:g}" for fps, _ in sorted(group)) + " FPS",
            transform=axes.transAxes,
            va="center",
            fontsize=7,
            color=LIMIT,
        )


def map_figure(maps: Sequence[FpsMap], rates: Sequence[float]) -> bytes:
    """A panel a variant; colours by the highest of the rates that holds."""
    with style():
        figure = Figure(figsize=(9.2, 0.9 + 0.34 * len(maps[0].sizes)), layout="constrained")
        FigureCanvasSVG(figure)
        for axes, one in zip(figure.subplots(1, len(maps), squeeze=False)[0], maps, strict=True):
            _fields(axes, one, rates)
        labels = [f"below {rates[0]:g} FPS", *(f"{rate:g} FPS" for rate in rates)]
        handles = [
            Patch(facecolor=colour, edgecolor=FAINT, linewidth=0.5, label=label)
            for colour, label in zip(CLASS_COLOURS, labels, strict=True)
        ]
        handles.append(
            Patch(facecolor="white", edgecolor=INK, label="measured, all others predicted")
        )
        figure.legend(handles=handles, loc="outside upper left", ncols=5, **LEGEND)
        return svg(figure)


def _fields(axes: Axes, one: FpsMap, rates: Sequence[float]) -> None:
    norm = BoundaryNorm([0, *rates, 1e9], len(CLASS_COLOURS))
    values = [[field.fps for field in row] for row in one.fields]
    edges = ([n - 0.5 for n in range(len(of) + 1)] for of in (one.steps, one.sizes))
    axes.pcolormesh(*edges, values, cmap=ListedColormap(CLASS_COLOURS), norm=norm)
    axes.invert_yaxis()  # the first size on top
    for y, row in enumerate(one.fields):
        for x, field in enumerate(row):
            axes.text(x, y, short(field.fps), ha="center", va="center", fontsize=7, color=INK)
            if field.measured:
                box = Rectangle((x - 0.47, y - 0.45), 0.94, 0.9, fill=False, edgecolor=INK)
                axes.add_patch(box)
    axes.set_xticks(range(len(one.steps)), [str(count) for count in one.steps])
    axes.set_yticks(range(len(one.sizes)), one.sizes)
    axes.set_xlabel(f"Denoising steps ({shown(one.variant)})")
    axes.grid(visible=False)
