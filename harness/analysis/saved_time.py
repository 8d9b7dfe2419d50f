"""Time that one arm of a process takes less than another: what adds up over kernels.

Effects multiply where a clock or a whole machine differs, and `harness.analysis.experiment` works
on logarithms for that. What a fix takes off a chunk is work that is no longer done: at the same
clock, of two fixes that have nothing to do with one another each saves the same milliseconds with
and without the other, while its share of the shorter chunk grows. Values are in the unit of their
measure: ms, or millions of SM cycles, which a change of the clock leaves alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from scipy.special import stdtrit

from harness.analysis.comparisons import Measure, medians_each
from harness.analysis.experiment import CONFIDENCE, MIN_PROCESSES
from harness.analysis.fix_arms import ArmTimes

Word = TypeVar("Word", bound=str)
Undecided = Literal["undecided"]


@dataclass(frozen=True)
class Saved:
    """Mean over processes, negative where a fix costs."""

    value: float
    processes: int
    error: float | None  # standard error of the mean; None of one process
    freedom: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """Student's t interval; None of fewer processes than a verdict takes.

        Source: Student, "The probable error of a mean", Biometrika 6 (1908).
        """
        if self.error is None or self.processes < MIN_PROCESSES:
            return None
        half = float(stdtrit(self.freedom, (1 + CONFIDENCE) / 2)) * self.error
        return self.value - half, self.value + half

    def told(self, little: float) -> Literal["same", "more", "less", "undecided"] | None:
        """What it says where it is a difference; None without an interval.

        The same: the whole interval lies within `little`, which is in the unit of the value.
        """
        if self.interval is None:
            return None
        low, high = self.interval
        if low <= 0 <= high or abs(self.value) < little:
            return "same" if -little < low and high < little else "undecided"
        return "more" if self.value > 0 else "less"


def saved(each: Sequence[float]) -> Saved:
    """The mean of what each process saved. Raises ValueError for no process."""
    count = len(each)
    if not count:
        raise ValueError("no process to take a mean of")
    values = np.asarray(each, dtype=np.float64)
    error = float(values.std(ddof=1)) / math.sqrt(count) if count > 1 else None
    return Saved(float(values.mean()), count, error, count - 1)


def saved_each(times: ArmTimes, measure: Measure) -> list[float]:
    """What an arm saves against the other, in each process that has such times of both."""
    both = medians_each(times.results, times.arm, measure, times.against)
    return [before - after for before, after in both]


def saved_of(times: ArmTimes, measure: Measure) -> Saved | None:
    """The mean of that; None where no process has such times of both."""
    each = saved_each(times, measure)
    return saved(each) if each else None


def saved_beyond(whole: ArmTimes, rest: ArmTimes, measure: Measure) -> Saved | None:
    """What one comparison saves more than another; None where either has no such times.

    In the same processes it is taken in each of them, so that an arm of both cancels.
    """
    first, second = saved_each(whole, measure), saved_each(rest, measure)
    same = len(whole.results) == len(rest.results) == len(first) == len(second) and all(
        one is other for one, other in zip(whole.results, rest.results, strict=True)
    )
    if same:
        return saved([one - other for one, other in zip(first, second, strict=True)])
    return difference(saved(first), saved(second)) if first and second else None


def difference(one: Saved, other: Saved) -> Saved:
    """Of savings of different processes: values subtract, errors add in squares.

    The freedom is the smaller one, which makes the interval rather too wide.
    """
    known = one.error is not None and other.error is not None
    error = math.hypot(one.error or 0.0, other.error or 0.0) if known else None
    processes, freedom = min(one.processes, other.processes), min(one.freedom, other.freedom)
    return Saved(one.value - other.value, processes, error, freedom)


def unless_cycles_differ(time: Word, cycles: Word, unknown: Sequence[Word]) -> Word | Undecided:
    """The word for the time, unless that for the cycles is another one.

    Cycles that were not sampled say nothing: their word is one of `unknown`.
    """
    if time in unknown or cycles in (time, *unknown):
        return time
    return "undecided"
