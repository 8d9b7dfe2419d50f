"""The figure of frames side by side: the bytes of a record handed to the plot."""

import numpy as np
from numpy.typing import NDArray

from harness.analysis.output_errors import YARDSTICK
from harness.analysis.shown_frames import shown_frames
from harness.record_parts import FrameSample
from harness.report.material import Material
from harness.report.plots_frames import FrameColumn, frames_figure

REFERENCE = "float32, exact attention"


def frames_svg(material: Material) -> bytes | None:
    """None where no proof of the run has frames."""
    found = shown_frames(material.run.processes)
    if found is None:
        return None
    exact = _pixels(found.reference.sample, found.reference.sample.rgb)
    arms = [_column(one.sample, exact) for one in found.arms]
    return frames_figure([FrameColumn(REFERENCE, exact, None), *arms])


def _column(sample: FrameSample, exact: NDArray[np.uint8]) -> FrameColumn:
    """An arm's picture is the float32 run's and what it adds to it, modulo 256."""
    picture = exact + _pixels(sample, sample.rgb)
    shades = _pixels(sample, sample.difference or "")[..., 0]
    difference_percent = shades.astype(np.float64) * (100 * sample.largest_difference / 255)
    name = f"{sample.arm} (yardstick)" if sample.arm == YARDSTICK else str(sample.arm)
    return FrameColumn(name, picture, difference_percent)


def _pixels(sample: FrameSample, digits: str) -> NDArray[np.uint8]:
    """[H, W, channels]."""
    flat = np.frombuffer(bytes.fromhex(digits), np.uint8)
    return flat.reshape(sample.height_px, sample.width_px, -1)
