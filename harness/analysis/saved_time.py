"""Milliseconds that one arm of a process takes less than another: what adds up over kernels.

Effects multiply where a clock or a whole machine differs, and `harness.analysis.experiment` works
on logarithms for that. What a fix takes off a chunk is work that is no longer done: of two fixes
that have nothing to do with one another each saves the same milliseconds with and without the
other, while its share of the shorter chunk grows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from harness.analysis.comparisons import TimeMeasure, medians_each
from harness.analysis.experiment import CONFIDENCE, MIN_PROCESSES
from harness.analysis.fix_arms import ArmTimes


@dataclass(frozen=True)
class Saved:
    """Mean over processes in ms, negative where a fix costs."""

    value_ms: float
    processes: int
    error_ms: float | None  # standard error of the mean; None of one process
    freedom: int

    @property
    def interval_ms(self) -> tuple[float, float] | None:
        """Student's t interval; None of fewer processes than a verdict takes.

        Source: Student, "The probable error of a mean", Biometrika 6 (1908).
        """
        if self.error_ms is None or self.processes < MIN_PROCESSES:
            return None
        half_ms = float(stdtrit(self.freedom, (1 + CONFIDENCE) / 2)) * self.error_ms
        return self.value_ms - half_ms, self.value_ms + half_ms


def saved(each_ms: Sequence[float]) -> Saved:
    """The mean of what each process saved. Raises ValueError for no process."""
    count = len(each_ms)
    if not count:
        raise ValueError("no process to take a mean of")
    values = np.asarray(each_ms, dtype=np.float64)
    error_ms = float(values.std(ddof=1)) / math.sqrt(count) if count > 1 else None
    return Saved(float(values.mean()), count, error_ms, count - 1)


def saved_each(times: ArmTimes, measure: TimeMeasure) -> list[float]:
    """What an arm saves against the other, in ms, in each process that has such times of both."""
    both = medians_each(times.results, times.arm, measure, times.against)
    return [before - after for before, after in both]


def saved_of(times: ArmTimes, measure: TimeMeasure) -> Saved | None:
    """The mean of that; None where no process has such times of both."""
    each_ms = saved_each(times, measure)
    return saved(each_ms) if each_ms else None


def less(whole: Saved | None, rest: Saved | None) -> Saved | None:
    """What is left of a saving without another: values subtract, errors add in squares.

    Both may come from the same processes; what these have in common then makes the interval too
    wide, never too narrow, as long as the errors are not opposed. None where either is not known.
    """
    if whole is None or rest is None:
        return None
    known = whole.error_ms is not None and rest.error_ms is not None
    error_ms = math.hypot(whole.error_ms or 0.0, rest.error_ms or 0.0) if known else None
    processes, freedom = min(whole.processes, rest.processes), min(whole.freedom, rest.freedom)
    return Saved(whole.value_ms - rest.value_ms, processes, error_ms, freedom)


def apart(one: Saved, other: Saved) -> bool | None:
    """Whether their intervals have no value in common; None where one of them has none."""
    first, second = one.interval_ms, other.interval_ms
    if first is None or second is None:
        return None
    return first[1] < second[0] or second[1] < first[0]
