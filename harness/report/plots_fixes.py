"""fixes.svg: the stack as a waterfall, wall and GPU-busy time from the baseline to the floor."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from harness.report.plots import (
    FAINT,
    LEGEND,
    bars_figure,
    beside,
    centred,
    name_rows,
    short,
    style,
)
from harness.report.svg import svg

BUSY, IDLE, WALL = "#2f6f9f", "#edb183", "#86b6d6"
GAINED = "#eef0f2"
FLOOR = "#4f9d69"
HEIGHT = 0.64


@dataclass(frozen=True)
class StackBar:
    """One arm of the stack, in ms; `busy_ms` is None on a CPU."""

    label: str
    wall_ms: float
    busy_ms: float | None
    fails: bool  # its output is worse


def fixes_figure(bars: Sequence[StackBar], floor_ms: float | None) -> bytes:
    """A row an arm: GPU-busy time, the rest of wall time, and what the step took off the last."""
    with style():
        figure, axes = bars_figure(height_in=1.35 + 0.42 * (len(bars) + (floor_ms is not None)))
        widest = max(bar.wall_ms for bar in bars)
        before_ms: float | None = None
        for row, bar in enumerate(bars):
            _bar(axes, row, bar, before_ms, widest)
            before_ms = bar.wall_ms
        labels = [bar.label + (" (output worse)" if bar.fails else "") for bar in bars]
        if floor_ms is not None:
            labels.append("Floor: arithmetic alone")
            axes.barh(len(bars), floor_ms, height=HEIGHT, color=FLOOR)
            beside(axes, floor_ms, len(bars), f"{short(floor_ms)} ms", widest)
            axes.axvline(floor_ms, color=FLOOR, linewidth=1, linestyle=(0, (3, 2)), zorder=4)
        name_rows(axes, labels)
        axes.set_xlim(0, widest * 1.18)
        axes.set_xlabel("Milliseconds a chunk (geometric mean over processes)")
        figure.legend(handles=_handles(bars, floor_ms), loc="outside upper left", ncols=5, **LEGEND)
        return svg(figure)


def _bar(axes: Axes, row: int, bar: StackBar, before_ms: float | None, widest: float) -> None:
    if before_ms is not None and before_ms > bar.wall_ms:
        axes.barh(
            row,
            before_ms - bar.wall_ms,
            left=bar.wall_ms,
            height=HEIGHT,
            color=GAINED,
            edgecolor=FAINT,
            linewidth=0.6,
            linestyle=(0, (2, 2)),
        )
    colour = BUSY if bar.busy_ms is not None else WALL
    busy_ms = min(bar.busy_ms if bar.busy_ms is not None else bar.wall_ms, bar.wall_ms)
    axes.barh(row, busy_ms, height=HEIGHT, color=colour)
    axes.barh(row, bar.wall_ms - busy_ms, left=busy_ms, height=HEIGHT, color=IDLE)
    if bar.busy_ms is not None and busy_ms > 0.08 * widest:
        centred(axes, busy_ms - 0.03 * widest, row, short(bar.busy_ms), dark=True)
    change = ""
    if before_ms is not None:
        sign = "−" if bar.wall_ms <= before_ms else "+"
        change = f" ({sign}{short(abs(before_ms - bar.wall_ms))})"
    end = max(bar.wall_ms, before_ms or 0.0)
    beside(axes, end, row, f"{short(bar.wall_ms)} ms{change}", widest)


def _handles(bars: Sequence[StackBar], floor_ms: float | None) -> list[Patch | Line2D]:
    known = any(bar.busy_ms is not None for bar in bars)
    handles: list[Patch | Line2D] = [Patch(color=BUSY if known else WALL, label="Wall time")]
    if known:
        handles = [
            Patch(color=BUSY, label="GPU busy"),
            Patch(color=IDLE, label="Rest of wall time"),
        ]
    handles.append(Patch(facecolor=GAINED, edgecolor=FAINT, linewidth=0.6, label="Step's gain"))
    if floor_ms is not None:
        line = Line2D([], [], color=FLOOR, linestyle=(0, (3, 2)), label="Floor")
        handles.append(line)
    return handles
