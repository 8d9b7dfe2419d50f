"""vae.svg: a chunk with each autoencoder, encode and decode inside, beside the real-time limits."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from harness.analysis.experiment import Ratio
from harness.report.plots import (
    FAINT,
    INK,
    LEGEND,
    LIMIT,
    STAGE_COLOURS,
    bars_figure,
    centred,
    short,
    style,
)
from harness.report.svg import svg

ENCODE, DECODE, REST = (STAGE_COLOURS[stage][1] for stage in ("encode", "decode", "other"))
WHOLE = "#e4e7eb"
HEIGHT = 0.74
BETWEEN = 0.45  # rows between two forms
ROOM = 1.5  # of the longest bar: what stands behind it has to find place
WRITTEN = 0.04  # of the axis, from which on a part has room for its number
APART = 0.065  # of the axis, from which on two limits have room for a name each


@dataclass(frozen=True)
class VaeBar:
    """One autoencoder in one form, in ms a chunk; parts are None where they are not known."""

    label: str
    wall_ms: float
    encode_ms: float | None
    decode_ms: float | None
    over_tae: Ratio | None  # None for the TAE itself

    @property
    def parts(self) -> tuple[float, float] | None:
        """Encode and decode; None unless both are known."""
        if self.encode_ms is None or self.decode_ms is None:
            return None
        return self.encode_ms, self.decode_ms

    @property
    def behind(self) -> str:
        """What stands behind the bar."""
        text = f"{short(self.wall_ms)} ms"
        if self.over_tae is None:
            return text
        text += f", {self.over_tae.value:.2f} × the TAE's"
        if self.over_tae.low is None or self.over_tae.high is None:
            return text
        return f"{text} ({self.over_tae.low:.2f} to {self.over_tae.high:.2f})"


def vae_figure(forms: Sequence[Sequence[VaeBar]], limits: Sequence[tuple[float, float]]) -> bytes:
    """Forms below each other, a bar an autoencoder; `limits` are frames a second and ms a chunk."""
    bars = [bar for form in forms for bar in form]
    rows = [
        place + BETWEEN * number
        for number, form in enumerate(forms)
        for place in range(sum(map(len, forms[:number])), sum(map(len, forms[: number + 1])))
    ]
    with style():
        figure, axes = bars_figure(height_in=1.6 + 0.32 * (rows[-1] + 1))
        width = ROOM * max(bar.wall_ms for bar in bars)
        inside = [limit for limit in limits if limit[1] < width]
        _limits(axes, inside, width)
        for row, bar in zip(rows, bars, strict=True):
            _bar(axes, row, bar, width)
        axes.set_yticks(rows, [bar.label for bar in bars])
        axes.set_ylim(rows[-1] + 0.6, -0.6)
        axes.spines["left"].set_visible(False)
        axes.set_xlim(0, width)
        axes.set_xlabel(
            "Milliseconds of wall time a chunk; in brackets the ratio's interval over processes"
        )
        handles = _handles(bars, limited=bool(inside))
        figure.legend(handles=handles, loc="outside upper left", ncols=3, **LEGEND)
        return svg(figure)


def _bar(axes: Axes, row: float, bar: VaeBar, width: float) -> None:
    left = 0.0
    for part_ms, colour in zip(bar.parts or (), (ENCODE, DECODE), strict=False):
        axes.barh(row, part_ms, left=left, height=HEIGHT, color=colour)
        if part_ms > WRITTEN * width:
            centred(axes, left + part_ms / 2, row, short(part_ms), dark=True)
        left += part_ms
    rest_ms = max(bar.wall_ms - left, 0.0)  # parts are on another clock
    if bar.parts is not None:
        axes.barh(row, rest_ms, left=left, height=HEIGHT, color=REST)
    else:
        axes.barh(row, rest_ms, height=HEIGHT, facecolor=WHOLE, edgecolor=FAINT, linewidth=0.5)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}  # no limit crosses the words
    axes.text(
        max(left, bar.wall_ms) + 0.008 * width,
        row,
        bar.behind,
        ha="left",
        va="center",
        fontsize=8,
        color=INK,
        bbox=box,
        zorder=4,
    )


def _limits(axes: Axes, limits: Sequence[tuple[float, float]], width: float) -> None:
    """A line a limit; those that lie too near to one another share a name."""
    named: list[list[tuple[float, float]]] = []
    for fps, limit_ms in sorted(limits, key=lambda limit: limit[1]):
        axes.axvline(limit_ms, color=LIMIT, linewidth=0.8, linestyle=(0, (3, 2)), zorder=3)
        if named and limit_ms - named[-1][-1][1] < APART * width:
            named[-1].append((fps, limit_ms))
        else:
            named.append([(fps, limit_ms)])
    for group in named:
        axes.text(
            sum(limit_ms for _, limit_ms in group) / len(group),
            1.01,
            ", ".join(f"{fps:g}" for fps, _ in group) + " FPS",
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=8,
            color=LIMIT,
        )


def _handles(bars: Sequence[VaeBar], *, limited: bool) -> list[Patch | Line2D]:
    handles: list[Patch | Line2D] = []
    if any(bar.parts for bar in bars):
        handles = [
            Patch(color=ENCODE, label="Encode, on the device's clock"),
            Patch(color=DECODE, label="Decode, on the device's clock"),
            Patch(color=REST, label="Rest of the chunk"),
        ]
    if not all(bar.parts for bar in bars):
        label = "Whole chunk, its parts not known"
        handles.append(Patch(facecolor=WHOLE, edgecolor=FAINT, linewidth=0.5, label=label))
    if limited:
        label = "Longest chunk for real time"
        handles.append(Line2D([], [], color=LIMIT, linestyle=(0, (3, 2)), label=label))
    return handles
