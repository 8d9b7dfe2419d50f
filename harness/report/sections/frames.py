"""What the figure of frames side by side shows, in a sentence or two."""

from collections.abc import Sequence

from harness.analysis.shown_frames import ShownFrames
from harness.report.cells import Cell, Inline, Line, count, line, percent
from harness.report.material import case_label, of
from harness.result import Result


def frames_line(shown: ShownFrames | None, proofs: Sequence[Result]) -> Line | None:
    """Which frame it is, at which size, and where the scale of the differences ends.

    Without frames why there are none, where that is known; older records hold none.
    """
    if shown is not None:
        return _told(shown)
    own = [clip for proof in proofs for clip in proof.clips if clip.source == "file"]
    if own:
        return line("No frames are shown: a record holds none that are made from clips of yours.")
    return None


def _told(shown: ShownFrames) -> Line:
    result, frame, most = shown.result, shown.reference.sample, shown.largest.sample
    at, at_most = (of(result, f"/frames/{one.index}") for one in (shown.reference, shown.largest))
    size_px = f"{result.case.width_px}x{result.case.height_px}"
    small_px = f"{frame.width_px}x{frame.height_px}"
    told: list[Inline | str] = [
        *("Frames side by side: ", case_label(result)),
        *(", frame ", count(frame.frame, f"{at}/frame")),
        *(" of chunk ", count(frame.chunk, f"{at}/chunk")),
        ", both counted from zero, averaged from ",
        Cell(size_px, (of(result, "/case/width_px"), of(result, "/case/height_px"))),
        *(" to ", Cell(small_px, (f"{at}/width_px", f"{at}/height_px"))),
        ". Below each the mean of its absolute differences from the float32 run's frame, over the "
        "pixels and channels of each area, on one scale that ends at the largest: ",
        percent(most.largest_difference, f"{at_most}/largest_difference"),
        *(" of the range, ", Cell(str(most.arm), (f"{at_most}/arm",), "code"), "."),
    ]
    if shown.left_out:
        more = count(shown.left_out, of(result, "/frames"))
        told += [" Further arms, in the record alone: ", more, "."]
    return line(*told)
