"""frames.svg: one frame as every arm made it, its difference from the float32 run's below it."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray

from harness.report.plots import shown, style
from harness.report.svg import svg

WIDTH_IN = 9.2
COLUMNS = 7  # of a band: pictures of 128 pixels have about their own size
FEWEST_COLUMNS = 5  # fewer pictures are not drawn larger
NAME_CHARACTERS, NAME_LINES = 19, 4  # of a column's head
WORDS_IN = 0.75  # height of heads and values beside two rows of pictures
SLIMMEST, TALLEST = 0.3, 1.8  # height over width of a picture's place
COLOURS = "magma"
SHADES = 64  # of the key
DIFFERENCE = "Difference from it\n(% of the range)"


@dataclass(frozen=True)
class FrameColumn:
    """A picture [H, W, 3], and its difference [H, W] in percent of the range."""

    name: str
    picture: NDArray[np.uint8]
    difference_percent: NDArray[np.float64] | None  # none of the float32 run, which is the first


def frames_figure(columns: Sequence[FrameColumn]) -> bytes:
    """Bands of columns; one scale of colours for all differences."""
    differences = [one.difference_percent for one in columns if one.difference_percent is not None]
    most = max((float(values.max()) for values in differences), default=0.0) or 1.0
    across = min(max(len(columns), FEWEST_COLUMNS), COLUMNS)
    bands = -(-len(columns) // across)
    height, width = columns[0].picture.shape[:2]
    place_in = WIDTH_IN / across * min(max(height / width, SLIMMEST), TALLEST)
    with style():
        figure = Figure((WIDTH_IN, bands * (2 * place_in + WORDS_IN)), layout="constrained")
        FigureCanvasSVG(figure)
        grid = figure.subplots(2 * bands, across, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for number, column in enumerate(columns):
            band, place = divmod(number, across)
            above, below = grid[2 * band, place], grid[2 * band + 1, place]
            above.imshow(column.picture, interpolation="none")
            above.set_title(_head(column.name), fontsize=7)
            if column.difference_percent is None:
                _key(below, most)
            else:
                _difference(below, column.difference_percent, most)
        return svg(figure)


def _difference(axes: Axes, percent: NDArray[np.float64], most: float) -> None:
    axes.imshow(percent, cmap=COLOURS, vmin=0, vmax=most, interpolation="none")
    axes.set_title(f"largest {percent.max():.2g} %", fontsize=7)


def _key(axes: Axes, most: float) -> None:
    """The scale of the differences, in the place below the float32 run's frame."""
    bar = axes.inset_axes((0.06, 0.42, 0.88, 0.12))
    shades = np.linspace(0, most, SHADES)[None]
    extent = (0, most, 0, 1)
    bar.imshow(shades, cmap=COLOURS, extent=extent, aspect="auto", interpolation="none")
    bar.set_title(DIFFERENCE, fontsize=7)
    bar.set_yticks([])
    bar.set_xticks([0, most], ["0", f"{most:.2g}"], fontsize=7)
    bar.grid(visible=False)


def _head(name: str) -> str:
    """A name in short lines, broken where its parts meet."""
    apart = shown(name).replace("+", "+ ")
    lines = textwrap.wrap(apart, NAME_CHARACTERS, max_lines=NAME_LINES, placeholder=" ...")
    return "\n".join(lines).replace("+ ", "+")
