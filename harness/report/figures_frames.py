"""The figure of frames side by side: the bytes of a record handed to the plot."""

import numpy as np

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
    samples = [one.sample for one in (found.reference, *found.arms)]
    return frames_figure([_column(sample) for sample in samples])


def _column(sample: FrameSample) -> FrameColumn:
    size = (sample.height_px, sample.width_px)
    picture = np.frombuffer(bytes.fromhex(sample.rgb), np.uint8).reshape(*size, 3)
    if sample.arm is None or sample.difference is None:
        return FrameColumn(REFERENCE, picture, None)
    shades = np.frombuffer(bytes.fromhex(sample.difference), np.uint8).reshape(size)
    difference_percent = shades.astype(np.float64) * (100 * sample.largest_difference / 255)
    name = f"{sample.arm} (yardstick)" if sample.arm == YARDSTICK else sample.arm
    return FrameColumn(name, picture, difference_percent)
