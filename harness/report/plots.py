"""Figures as SVG, the same bytes every time: fixed ids, no date, text drawn as paths.

stages.svg       the chunk by stage, one bar a mode
components.svg   isolated components: milliseconds they take of a chunk
gpu_state.svg    clock, power and temperature over the run, phases shaded, cases in a row

`plots_trust` and `plots_profile` draw more, with the style and the helpers of this file.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from harness.report.markdown import one_line
from harness.report.svg import svg

INK = "#1f2933"
FAINT = "#7b8794"
LIMIT = "#b03a48"  # of lines that mark one
GRID = "#e4e7eb"
Groups = Mapping[str, tuple[str, str]]  # key -> label and colour
STAGE_COLOURS: Groups = {
    "encode": ("VAE encode", "#8c6bb1"),
    "hints": ("VACE hints", "#d9742b"),
    "denoise": ("Denoise steps without hints", "#2f6f9f"),
    "clean": ("Clean-cache pass", "#86b6d6"),
    "decode": ("VAE decode", "#4f9d69"),
    "other": ("Rest", "#b8c0c8"),
}
LIGHT = (STAGE_COLOURS["clean"][1], STAGE_COLOURS["other"][1])  # written on in ink
PHASE_COLOURS = {
    "load": "#eef0f2",
    "compile": "#f6dcc6",
    "warmup": "#fbf3d4",
    "steady": "#d6ebdd",
    "components": "#d3dfc0",
    "busy": "#f8d9dc",
    "memory": "#e6ddf0",
    "count": "#d8e6f3",
    "profile": "#cfe0dd",
    "quality": "#e3eac9",
}
GPU_PANELS = (
    ("sm_clock_mhz", 1.0, "SM clock (MHz)", "#2f6f9f"),
    ("power_mw", 1e3, "Power (W)", "#d9742b"),
    ("temperature_c", 1.0, "Temperature (°C)", "#b03a48"),
)
LONGEST_LABEL = 120  # characters
BUCKETS = 300  # of the time axis; each draws its median, and its range as a band
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "text.parse_math": False,  # a dollar in a name is a dollar
    "svg.hashsalt": "vace-bench",
    "path.simplify": True,
}


@dataclass(frozen=True)
class Percent:
    """A share in percent, with its interval where there is one."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class CaseTrack:
    """GPU samples of one case for the run's figure; times are seconds since the case began."""

    label: str
    length_s: float
    phases: tuple[tuple[str, float, float], ...]
    t_s: tuple[float, ...]
    fields: dict[str, tuple[float | None, ...]]


def own_colours(stages: Iterable[str]) -> Groups:
    """Colours for stages of the user's own pipeline, which are named as they are."""
    colours = itertools.cycle(colour for _, colour in STAGE_COLOURS.values())
    return {stage: (stage, colour) for stage, colour in zip(stages, colours, strict=False)}


def stage_figure(
    bars: Sequence[tuple[str, dict[str, float]]], groups: Groups = STAGE_COLOURS
) -> bytes:
    """One stacked bar a mode: milliseconds of each group of stages."""
    with style():
        figure, axes = bars_figure(height_in=1.35 + 0.5 * len(bars))
        widest = max(sum(parts.values()) for _, parts in bars)
        for row, (_, parts) in enumerate(bars):
            left = 0.0
            for group, (_, colour) in groups.items():
                value = parts.get(group, 0.0)
                axes.barh(row, value, left=left, height=0.62, color=colour, edgecolor="white")
                if value > 0.07 * widest:
                    dark = colour not in LIGHT
                    centred(axes, left + value / 2, row, short(value), dark=dark)
                left += value
            beside(axes, left, row, f"{short(left)} ms", widest)
        name_rows(axes, [label for label, _ in bars])
        axes.set_xlim(0, widest * 1.12)
        axes.set_xlabel("Milliseconds a chunk (medians of its parts, which sum to nearly its own)")
        shown = [g for g in groups if any(parts.get(g) for _, parts in bars)]
        handles = [Patch(color=groups[g][1], label=groups[g][0]) for g in shown]
        figure.legend(handles=handles, loc="outside upper left", ncols=6, **LEGEND)
        return svg(figure)


def component_figure(bars: Sequence[tuple[str, float, int]]) -> bytes:
    """One bar a component: median times calls, labelled with both."""
    with style():
        figure, axes = bars_figure(height_in=0.9 + 0.42 * len(bars))
        widest = max(median_ms * calls for _, median_ms, calls in bars)
        for row, (_, median_ms, calls) in enumerate(bars):
            axes.barh(row, median_ms * calls, height=0.62, color="#2f6f9f")
            text = f"{calls} × {short(median_ms)} = {short(median_ms * calls)} ms"
            beside(axes, median_ms * calls, row, text, widest)
        name_rows(axes, [label for label, _, _ in bars])
        axes.set_xlim(0, widest * 1.35)
        axes.set_xlabel("Milliseconds a chunk (calls × isolated median)")
        return svg(figure)


def gpu_figure(tracks: Sequence[CaseTrack]) -> bytes:
    """Clock, power and temperature over the run, cases one after the other on one axis."""
    with style():
        columns = _key_columns(tracks)
        more_rows = max(0, math.ceil(len(tracks) / columns) - KEY_ROWS)
        height_in = 6.0 + KEY_ROW_IN * more_rows  # a long key takes nothing from the panels
        figure = Figure(figsize=(9.2, height_in), layout="constrained")
        FigureCanvasSVG(figure)
        panels = figure.subplots(len(GPU_PANELS), 1, sharex=True)
        run_s = sum(track.length_s for track in tracks)
        start_s = 0.0
        for number, track in enumerate(tracks, start=1):
            for axes, panel in zip(panels, GPU_PANELS, strict=True):
                _shade(axes, track, start_s)
                _trace(axes, track, panel, start_s, run_s / BUCKETS)
                if number > 1:
                    axes.axvline(start_s, color=FAINT, linewidth=0.8, linestyle=(0, (2, 2)))
            _number(panels[0], start_s + track.length_s / 2, str(number))
            start_s += track.length_s
        for axes, (_, _, label, _) in zip(panels, GPU_PANELS, strict=True):
            axes.set_ylabel(label)
            axes.grid(axis="x", visible=False)
            axes.set_xlim(0, run_s)
            axes.margins(y=0.08)
        panels[-1].set_xlabel("Seconds of measuring (time between cases left out)")
        _gpu_legends(figure, tracks, columns)
        return svg(figure)


def _gpu_legends(figure: Figure, tracks: Sequence[CaseTrack], columns: int) -> None:
    seen = {name for track in tracks for name, _, _ in track.phases}
    phases = [
        Patch(facecolor=colour, edgecolor=FAINT, linewidth=0.5, label=name)
        for name, colour in PHASE_COLOURS.items()
        if name in seen
    ]
    figure.legend(handles=phases, loc="outside upper left", ncols=len(PHASE_COLOURS), **LEGEND)
    names = [Patch(alpha=0, label=name) for name in _key_names(tracks)]
    options = {**LEGEND, "handlelength": 0.0, "handletextpad": 0.0}
    figure.legend(handles=names, loc="outside lower left", ncols=columns, **options)


def _key_names(tracks: Sequence[CaseTrack]) -> list[str]:
    return [f"{number}  {shown(track.label)}" for number, track in enumerate(tracks, start=1)]


def _key_columns(tracks: Sequence[CaseTrack]) -> int:
    longest = max(map(len, _key_names(tracks)), default=0)
    return 2 if len(tracks) > 1 and longest <= HALF_WIDTH_CHARACTERS else 1


HALF_WIDTH_CHARACTERS = 60  # of a name in the key, where two stand side by side
KEY_ROWS, KEY_ROW_IN = 8, 0.18  # rows that the figure has room for, and the height of a further one

LEGEND: dict[str, Any] = {
    "frameon": False,
    "fontsize": 8,
    "handlelength": 1.0,
    "handleheight": 1.0,
    "columnspacing": 1.4,
}


def style() -> AbstractContextManager[None]:
    """Our settings over matplotlib's defaults, whatever the user's own settings are."""
    defaults = {
        key: value
        for key, value in matplotlib.rcParamsDefault.items()
        if not key.startswith(("backend", "interactive", "toolbar", "webagg", "date.epoch"))
    }
    context: AbstractContextManager[None] = matplotlib.rc_context({**defaults, **STYLE})
    return context


def bars_figure(*, height_in: float) -> tuple[Figure, Axes]:
    """An empty figure for rows of bars."""
    figure = Figure(figsize=(9.2, height_in), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    axes.grid(axis="y", visible=False)
    return figure, axes


def name_rows(axes: Axes, labels: list[str]) -> None:
    """One row a label, the first on top."""
    axes.set_yticks(range(len(labels)), [shown(label) for label in labels])
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.spines["left"].set_visible(False)


def shown(label: str) -> str:
    """A name from a record as a label: one line, and not longer than a figure is wide."""
    flat = one_line(label)
    return flat if len(flat) <= LONGEST_LABEL else f"{flat[:LONGEST_LABEL]} ..."


def centred(axes: Axes, x: float, row: float, text: str, *, dark: bool) -> None:
    """Text inside a bar; `dark` says how the bar is."""
    colour = "white" if dark else INK
    axes.text(x, row, text, ha="center", va="center", fontsize=8, color=colour)


def beside(axes: Axes, x: float, row: float, text: str, widest: float) -> None:
    """Text to the right of a bar."""
    axes.text(x + 0.008 * widest, row, text, ha="left", va="center", fontsize=8, color=INK)


def _number(axes: Axes, x: float, text: str) -> None:
    """A case's number above the uppermost panel."""
    place = axes.get_xaxis_transform()
    axes.text(x, 1.02, text, transform=place, ha="center", va="bottom", fontsize=8, color=INK)


def short(value: float) -> str:
    """A number with about three digits."""
    places = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{places}f}"


def _shade(axes: Axes, track: CaseTrack, start_s: float) -> None:
    for name, first_s, last_s in track.phases:
        colour = PHASE_COLOURS.get(name, "white")
        axes.axvspan(start_s + first_s, start_s + last_s, color=colour, linewidth=0, zorder=0)


def _trace(
    axes: Axes, track: CaseTrack, panel: tuple[str, float, str, str], start_s: float, width_s: float
) -> None:
    """Median and range of each bucket of time, so that a long run stays a small file."""
    field, divisor, _, colour = panel
    column = track.fields.get(field)
    if column is None:
        return
    buckets: dict[int, list[float]] = {}
    for t_s, value in zip(track.t_s, column, strict=True):
        if value is not None and 0 <= t_s <= track.length_s:
            buckets.setdefault(int(t_s / width_s), []).append(value / divisor)
    if not buckets:
        return
    x = [start_s + min((bucket + 0.5) * width_s, track.length_s) for bucket in sorted(buckets)]
    rows = [buckets[bucket] for bucket in sorted(buckets)]
    low, high = [min(row) for row in rows], [max(row) for row in rows]
    axes.fill_between(x, low, high, color=colour, alpha=0.25, linewidth=0, zorder=2)
    axes.plot(x, [float(np.median(row)) for row in rows], color=colour, linewidth=1.1, zorder=3)
