"""timeline.svg: a profiled chunk along its time: stages, GPU, and what the host does meanwhile."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from harness.profiled import Timeline
from harness.report.plots import INK, LEGEND, STAGE_COLOURS, style
from harness.report.svg import svg

HOST_COLOURS = {
    "launch": ("Launch calls", "#d9742b"),
    "operator": ("Operators", "#edb183"),
    "python": ("Python", "#c79a3a"),
    "sync": ("Waiting for the GPU", "#b03a48"),
    "copy": ("Copy calls", "#dc8d95"),
}
BUSY, IDLE = "#2f6f9f", "#e4e7eb"
LEAST_LABEL = 0.06  # of the chunk, for a stage that is named in its stretch
SHORT = {"encode": "encode", "hints": "hints", "denoise": "step", "clean": "clean"}


def timeline_figure(line: Timeline) -> bytes:
    """Three panels over the profiled milliseconds of a chunk."""
    edges = np.arange(len(line.busy) + 1) * line.bin_ms
    with style():
        figure = Figure(figsize=(9.2, 3.4), layout="constrained")
        FigureCanvasSVG(figure)
        stages, gpu, host = figure.subplots(3, 1, sharex=True, height_ratios=(0.45, 1, 1.6))
        _stages(stages, line, edges[-1])
        gpu.stairs([1.0] * len(line.busy), edges, fill=True, color=IDLE)
        gpu.stairs(line.busy, edges, fill=True, color=BUSY)
        bottom = np.zeros(len(line.busy))
        shown = [cause for cause in HOST_COLOURS if any(line.host.get(cause, ()))]
        for cause in shown:
            top = bottom + np.array(line.host[cause])
            colour = HOST_COLOURS[cause][1]
            host.stairs(top, edges, baseline=bottom, fill=True, color=colour)
            bottom = top
        for axes, label in ((gpu, "GPU busy"), (host, "Host")):
            axes.set_ylim(0, 1)
            axes.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
            axes.set_ylabel(label)
        host.set_xlim(0, edges[-1])
        host.set_xlabel("Milliseconds of the profiled chunk, which takes longer than others")
        handles = [Patch(color=BUSY, label="GPU busy")]
        handles += [Patch(color=HOST_COLOURS[c][1], label=HOST_COLOURS[c][0]) for c in shown]
        figure.legend(handles=handles, loc="outside upper left", ncols=6, **LEGEND)
        return svg(figure)


def _stages(axes: Axes, line: Timeline, length_ms: float) -> None:
    """A strip of stages; the long ones are named."""
    for mark in line.stages:
        kind, _, step = mark.stage.partition(".")
        colour = STAGE_COLOURS.get(kind, STAGE_COLOURS["other"])[1]
        width = mark.end_ms - mark.start_ms
        axes.barh(0, width, left=mark.start_ms, height=1, color=colour, edgecolor="white", lw=0.4)
        if width > LEAST_LABEL * length_ms:
            words = f"{SHORT.get(kind, kind)} {int(step) + 1 if step else ''}".strip()
            ink = INK if kind == "clean" else "white"
            middle = mark.start_ms + width / 2
            axes.text(middle, 0, words, ha="center", va="center", fontsize=7, color=ink)
    axes.set_ylim(-0.5, 0.5)
    axes.set_yticks([0], ["Stage"])
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(axis="x", length=0)
