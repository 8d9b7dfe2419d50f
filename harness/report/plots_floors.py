"""floors.svg: measured time of each kind of work with its floor inside, stacks below each other."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.patches import Patch

from harness.report.plots import LEGEND, bars_figure, beside, name_rows, short, shown, style
from harness.report.svg import svg

STACK_COLOURS = ("#86b6d6", "#edb183", "#a9cdb4", "#c9b8da")
FLOOR = "#1f4e70"


@dataclass(frozen=True)
class FloorBar:
    """One kind of work in one stack, in ms; no floor where none is known."""

    stack: int
    measured_ms: float
    floor_ms: float | None


def floors_figure(stacks: Sequence[str], rows: Sequence[tuple[str, Sequence[FloorBar]]]) -> bytes:
    """A row a kind of work, a bar a stack in it, and the ratio of both times behind the bar."""
    step = 0.8 / len(stacks)
    colours = list(itertools.islice(itertools.cycle(STACK_COLOURS), len(stacks)))
    with style():
        figure, axes = bars_figure(
            height_in=1.25 + 0.2 * len(stacks) + len(rows) * (0.16 + 0.24 * len(stacks))
        )
        widest = max(max(bar.measured_ms, bar.floor_ms or 0.0) for _, bars in rows for bar in bars)
        for row, (_, bars) in enumerate(rows):
            for bar in bars:
                place = row - 0.4 + step * (bar.stack + 0.5)
                colour = colours[bar.stack]
                axes.barh(place, bar.measured_ms, height=0.9 * step, color=colour)
                text = f"{short(bar.measured_ms)} ms"
                if bar.floor_ms:
                    axes.barh(place, bar.floor_ms, height=0.4 * step, color=FLOOR)
                    text += f", {bar.measured_ms / bar.floor_ms:.2f} × floor"
                end = max(bar.measured_ms, bar.floor_ms or 0.0)
                beside(axes, end, place, text, widest)
        name_rows(axes, [name for name, _ in rows])
        axes.set_xlim(0, widest * 1.3)
        axes.set_xlabel("Milliseconds of GPU time a chunk")
        handles = [
            Patch(color=colour, label=shown(stack))
            for stack, colour in zip(stacks, colours, strict=True)
        ]
        handles.append(Patch(color=FLOOR, label="Floor"))
        figure.legend(handles=handles, loc="outside upper left", ncols=1, **LEGEND)
        return svg(figure)
