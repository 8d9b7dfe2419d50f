"""stacks.svg: whole stacks beside the baseline, with the processes they rest on and the targets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from harness.report.cells import decimals
from harness.report.plots import INK, LEGEND, LIMIT, bars_figure, beside, name_rows, style
from harness.report.plots_fixes import BUSY, WALL
from harness.report.svg import svg

BAR, INSIDE = 0.46, 0.26  # heights of wall and GPU-busy time, of a row
LIFT = 0.14  # of the bar above its row's middle
BELOW = 0.26  # of the interval below it
LABEL = 0.42  # of a row, for the words of one target
WIDEST_INTERVAL = 1.5  # of the longest time: what is beyond ends in an arrow


@dataclass(frozen=True)
class StackArm:
    """One arm of the case; `each_ms` is its wall time in each process, `busy_ms` None on a CPU."""

    label: str
    wall_ms: float
    low_ms: float | None
    high_ms: float | None
    each_ms: tuple[float, ...]
    busy_ms: float | None
    fps: float
    fails: bool  # its speed means nothing


@dataclass(frozen=True)
class TargetLine:
    """A limit of a chunk's time, with whose it is, and how it came out."""

    kind: str
    limit_ms: float
    verdict: str


def stacks_figure(arms: Sequence[StackArm], targets: Sequence[TargetLine]) -> bytes:
    """A row an arm, its time and FPS at the right end; the targets' words above the rows."""
    with style():
        words = LABEL * len(targets)
        figure, axes = bars_figure(height_in=1.1 + 0.5 * (len(arms) + words))
        end = _end(arms, targets)
        for row, arm in enumerate(arms):
            _bar(axes, row, arm)
            _interval(axes, row + BELOW, arm, end)
            beside(axes, 1.01 * end, row, f"{decimals(arm.wall_ms)} ms, {arm.fps:.1f} FPS", end)
        name_rows(axes, [arm.label + (" (output fails)" if arm.fails else "") for arm in arms])
        bottom, top = axes.get_ylim()
        axes.set_ylim(bottom, top - words)
        _targets(axes, targets, (bottom, top), end)
        axes.set_xlim(0, end * 1.24)
        axes.set_xlabel("Milliseconds a chunk (geometric mean over processes)")
        figure.legend(handles=_handles(arms), loc="outside upper left", ncols=5, **LEGEND)
        return svg(figure)


def _end(arms: Sequence[StackArm], targets: Sequence[TargetLine]) -> float:
    """Where the drawing ends and the values begin: intervals count as far as they are shown."""
    times_ms = [time for arm in arms for time in (arm.wall_ms, *arm.each_ms)]
    longest = max([*times_ms, *(target.limit_ms for target in targets)])
    highs = (arm.high_ms for arm in arms if arm.high_ms is not None)
    return max([longest, *(min(high, WIDEST_INTERVAL * longest) for high in highs)])


def _bar(axes: Axes, row: int, arm: StackArm) -> None:
    axes.barh(row - LIFT, arm.wall_ms, height=BAR, color=WALL)
    if arm.busy_ms is not None:
        axes.barh(row - LIFT, arm.busy_ms, height=INSIDE, color=BUSY)


def _interval(axes: Axes, place: float, arm: StackArm, end: float) -> None:
    """A line with a dot a process; an arrow where it goes on beyond the drawing."""
    if arm.low_ms is not None and arm.high_ms is not None:
        ends = (arm.low_ms, min(arm.high_ms, end))
        axes.plot(ends, (place, place), color=INK, linewidth=1.2)
        if arm.high_ms > end:
            axes.plot(end, place, color=INK, marker=">", markersize=4)
    dots: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 4}
    axes.plot(arm.each_ms, [place] * len(arm.each_ms), color=INK, markerfacecolor="white", **dots)


def _targets(
    axes: Axes, targets: Sequence[TargetLine], ends: tuple[float, float], end: float
) -> None:
    """Lines with their words above the rows, on the side with more room.

    In that direction words run over the lines to come, which are the shorter ones.
    """
    leftwards = any(target.limit_ms > end / 2 for target in targets)
    gap, side = (-0.008 * end, "right") if leftwards else (0.008 * end, "left")
    bottom, top = ends
    ordered = sorted(targets, key=lambda target: target.limit_ms, reverse=leftwards)
    for below, target in enumerate(reversed(ordered)):
        x, place = target.limit_ms, top - LABEL * (below + 0.5)
        axes.plot((x, x), (bottom, place), color=LIMIT, linewidth=1.2, linestyle=(0, (3, 2)))
        text = f"{target.kind}: at most {decimals(target.limit_ms)} ms, {target.verdict}"
        axes.text(x + gap, place, text, ha=side, va="center", fontsize=8, color=LIMIT)


def _handles(arms: Sequence[StackArm]) -> list[Patch | Line2D]:
    handles: list[Patch | Line2D] = [Patch(color=WALL, label="Wall time")]
    if any(arm.busy_ms is not None for arm in arms):
        handles.append(Patch(color=BUSY, label="GPU busy"))
    dots: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 4}
    handles.append(
        Line2D([], [], color=INK, markerfacecolor="white", label="Wall time in one process", **dots)
    )
    if any(arm.high_ms is not None for arm in arms):
        handles.append(Line2D([], [], color=INK, label="95 % interval over processes"))
    return handles
