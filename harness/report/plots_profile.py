"""Figures of the profile, in the style of `plots`.

profile_parts.svg   GPU time of a chunk by kind of work, one bar a kind, split by part
idle.svg            one bar a mode: GPU busy, then idle by what the host did meanwhile
"""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from harness.report.plots import (
    LEGEND,
    bars_figure,
    beside,
    centred,
    name_rows,
    short,
    style,
)
from harness.report.svg import svg

FAMILY_COLOURS = {
    "base": ("Base blocks", "#2f6f9f"),
    "LoRA": ("LoRA", "#7a5195"),
    "RoPE": ("RoPE", "#b03a48"),
    "norms": ("Modulation and norms", "#c79a3a"),
    "copies": ("KV cache", "#5b8c85"),
    "VACE": ("VACE branch", "#d9742b"),
    "VAE": ("VAE", "#4f9d69"),
    "own": ("Parts of the pipeline", "#2f6f9f"),
    "other": ("Rest", "#9aa5b1"),
}
IDLE_COLOURS = {
    "busy": ("GPU busy", "#2f6f9f"),
    "launch": ("inside launch calls", "#d9742b"),
    "operator": ("inside operators", "#edb183"),
    "python": ("in Python", "#c79a3a"),
    "sync": ("waiting for the GPU", "#b03a48"),
    "copy": ("inside copy calls", "#dc8d95"),
    "queue": ("work queued", "#b8c0c8"),
}

Segments = Sequence[tuple[str, float]]


def parts_figure(bars: Sequence[tuple[str, str, Segments]]) -> bytes:
    """Bars of (kind of work, family, its parts with their ms), longest first."""
    with style():
        figure, axes = bars_figure(height_in=1.25 + 0.36 * len(bars))
        widest = max(sum(value for _, value in parts) for _, _, parts in bars)
        total = sum(value for _, _, parts in bars for _, value in parts)
        for row, (_, family, parts) in enumerate(bars):
            left = 0.0
            for part, value in _large(parts, widest):
                _segment(axes, left, row, value, FAMILY_COLOURS[family][1], widest)
                name = part.replace("cross_attention", "cross")
                if value > 0.0092 * widest * (len(name) + 1):
                    axes.text(left + value / 2, row, name, color="white", **SMALL)
                left += value
            beside(axes, left, row, f"{short(left)} ms, {100 * left / total:.1f} %", widest)
        name_rows(axes, [label for label, _, _ in bars])
        axes.set_xlim(0, widest * 1.18)
        axes.set_xlabel("Milliseconds of GPU time a chunk, split by part")
        seen = {family for _, family, _ in bars}
        shown = [family for family in FAMILY_COLOURS if family in seen]
        handles = [Patch(color=FAMILY_COLOURS[f][1], label=FAMILY_COLOURS[f][0]) for f in shown]
        figure.legend(handles=handles, loc="outside upper left", ncols=8, **LEGEND)
        return svg(figure)


def idle_figure(bars: Sequence[tuple[str, dict[str, float]]]) -> bytes:
    """Bars of (mode, ms busy and idle by cause), modes below each other."""
    with style():
        figure, axes = bars_figure(height_in=1.5 + 0.5 * len(bars))
        widest = max(sum(parts.values()) for _, parts in bars)
        for row, (_, parts) in enumerate(bars):
            left = 0.0
            for cause, (_, colour) in IDLE_COLOURS.items():
                value = parts.get(cause, 0.0)
                _segment(axes, left, row, value, colour, widest)
                if value > 0.045 * widest:
                    centred(axes, left + value / 2, row, short(value), dark=cause in DARK)
                left += value
            beside(axes, left, row, f"{short(left)} ms", widest)
        name_rows(axes, [label for label, _ in bars])
        axes.set_xlim(0, widest * 1.12)
        axes.set_xlabel("Milliseconds a chunk: GPU busy, then idle by what the host did")
        shown = [cause for cause in IDLE_COLOURS if any(parts.get(cause) for _, parts in bars)]
        handles = [Patch(color=IDLE_COLOURS[c][1], label=IDLE_COLOURS[c][0]) for c in shown]
        figure.legend(handles=handles, loc="outside upper left", ncols=7, **LEGEND)
        return svg(figure)


SMALL: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 6.5}
LEAST_SEGMENT = 0.012  # of the longest bar; what is smaller is drawn as one


def _large(parts: Segments, widest: float) -> Segments:
    """The parts with the small ones as a last, nameless one."""
    large = [(part, value) for part, value in parts if value >= LEAST_SEGMENT * widest]
    rest = sum(value for _, value in parts) - sum(value for _, value in large)
    return [*large, ("", rest)] if rest > 0 else large


DARK = ("busy", "launch", "sync")


def _segment(axes: Axes, left: float, row: int, value: float, colour: str, widest: float) -> None:
    """A piece of a bar; a thin one has no edge, which would cover it."""
    thin = value <= 0.01 * widest
    edge, width = (colour, 0.0) if thin else ("white", 0.8)
    axes.barh(row, value, left=left, height=0.66, color=colour, edgecolor=edge, linewidth=width)
