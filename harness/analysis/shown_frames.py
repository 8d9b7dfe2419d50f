"""Which frames of a run's proofs of output a report shows side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.analysis.output_errors import YARDSTICK
from harness.record_parts import FrameSample
from harness.result import Result
from harness.variants import FASTEST

MOST_ARMS = 13  # beside the float32 run; a figure has two bands of seven columns


@dataclass(frozen=True)
class Shown:
    """A picture with its place in the record."""

    index: int
    sample: FrameSample


@dataclass(frozen=True)
class ShownFrames:
    """One frame of one proof: as the float32 run made it, and as its arms did."""

    result: Result
    reference: Shown
    arms: tuple[Shown, ...]  # in the order of the case, the yardstick last
    left_out: int  # further arms that have the frame

    @property
    def largest(self) -> Shown:
        """The arm with the largest difference."""
        return max(self.arms, key=lambda arm: arm.sample.largest_difference)


def shown_frames(processes: Mapping[str, Sequence[Result]]) -> ShownFrames | None:
    """Of the first proof with the fastest stack, else of the first; None where none has frames."""
    found = [shown for results in processes.values() if (shown := _of(results[0])) is not None]
    of_fastest = [one for one in found if any(arm.sample.arm == FASTEST for arm in one.arms)]
    return next(iter(of_fastest or found), None)


def _of(result: Result) -> ShownFrames | None:
    """The frames that belong to the first one of the float32 run."""
    samples = [Shown(index, sample) for index, sample in enumerate(result.frames)]
    reference = next((one for one in samples if one.sample.arm is None), None)
    if reference is None:
        return None
    frame = _frame(reference.sample)
    made = {one.sample.arm: one for one in samples if _frame(one.sample) == frame}
    names = dict.fromkeys((*result.case.arms, YARDSTICK))
    arms = [made[name] for name in names if name in made]
    if not arms:
        return None
    kept = tuple(arms[:MOST_ARMS])
    return ShownFrames(result, reference, kept, len(arms) - len(kept))


def _frame(sample: FrameSample) -> tuple[int, int, int, int]:
    return sample.chunk, sample.frame, sample.width_px, sample.height_px
