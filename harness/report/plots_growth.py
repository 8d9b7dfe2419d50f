"""growth.svg: time of a chunk along each axis, measured and predicted, with the real-time lines.
growth_map.svg: frames a second over size and steps, measured where it was, else predicted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from harness.report.plots import FAINT, INK, LEGEND, short, shown, style
from harness.report.svg import svg

COLOURS = ("#2f6f9f", "#d9742b", "#4f9d69", "#8c6bb1")
CLASS_COLOURS = ("#f8d9dc", "#fbf3d4", "#d6ebdd", "#9fd0b0")


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
    panels: Sequence[tuple[str, Sequence[Curve]]], limits_ms: Sequence[tuple[str, float]]
) -> bytes:
    """A panel an axis; `limits_ms` names the longest chunk of each real-time rate."""
    with style():
        figure = Figure(figsize=(9.2, 3.4), layout="constrained")
        FigureCanvasSVG(figure)
        all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (title, curves) in zip(all_axes, panels, strict=True):
            _panel(axes, title, curves)
            for _, limit_ms in limits_ms:
                axes.axhline(limit_ms, color=FAINT, linewidth=0.8, linestyle=(0, (2, 2)))
        all_axes[0].set_ylabel("Milliseconds a chunk")
        names = list(dict.fromkeys(curve.variant for _, curves in panels for curve in curves))
        handles = [
            Line2D([], [], color=COLOURS[n % len(COLOURS)], marker="o", label=shown(name))
            for n, name in enumerate(names)
        ]
        handles.append(Line2D([], [], color=INK, linestyle=(0, (1, 1.5)), label="predicted"))
        text = "real time: " + ", ".join(name for name, _ in limits_ms)
        handles.append(Line2D([], [], color=FAINT, linestyle=(0, (2, 2)), label=text))
        figure.legend(handles=handles, loc="outside upper left", ncols=5, **LEGEND)
        return svg(figure)


def _panel(axes: Axes, title: str, curves: Sequence[Curve]) -> None:
    labels = list(dict.fromkeys(label for curve in curves for label in curve.labels))
    for number, curve in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        x = [labels.index(label) for label in curve.labels]
        axes.plot(x, curve.wall_ms, color=colour, marker="o", markersize=4, linewidth=1.2)
        axes.plot(x, curve.predicted_ms, color=colour, linewidth=1.0, linestyle=(0, (1, 1.5)))
    axes.set_xticks(range(len(labels)), labels, fontsize=7)
    axes.set_xlabel(title)
    axes.set_ylim(bottom=0)


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
        handles.append(Patch(facecolor="white", edgecolor=INK, label="measured"))
        figure.legend(handles=handles, loc="outside upper left", ncols=5, **LEGEND)
        return svg(figure)


def _fields(axes: Axes, one: FpsMap, rates: Sequence[float]) -> None:
    norm = BoundaryNorm([0, *rates, 1e9], len(CLASS_COLOURS))
    values = [[field.fps for field in row] for row in one.fields]
    axes.imshow(values, cmap=ListedColormap(CLASS_COLOURS), norm=norm, aspect="auto")
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
