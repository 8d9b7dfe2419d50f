"""How fast a variant is, and whether two variants differ: statistics over processes.

The unit is one fresh process; its value is the median of its steady chunks. Chunks of one process
share what that process drew (memory layout, clocks, cache state), so they are no repetitions.
Everything is done on logarithms: effects multiply, and B over A is then as far from 1 as A over B.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

CONFIDENCE = 0.95  # of a reported interval; what is missing to 1 is a verdict's risk of an error
MOST_LOG = 700.0  # an interval that is wider ends here, where its ends are still numbers
MIN_EFFECT = 0.02  # a smaller change of the time is of no interest
MIN_PROCESSES = 3  # of each variant, before anything is called

Call = Literal["same", "faster", "slower", "undecided"]


@dataclass(frozen=True)
class Location:
    """Time of one variant in ms, with its interval over processes; no interval of one process."""

    value: float
    low: float | None
    high: float | None
    processes: int

    @property
    def relative_half_width(self) -> float | None:
        """Half of the interval over the value; None without an interval."""
        if self.low is None or self.high is None:
            return None
        return (self.high - self.low) / 2 / self.value


@dataclass(frozen=True)
class Ratio:
    """Time of B over time of A: above 1, B is slower.

    `error` is the standard error of the ratio's logarithm and `freedom` its degrees of freedom;
    both are None where no spread between processes is known. Samples that are the same, number for
    number, have the ratio 1 with an error of 0.
    """

    value: float
    low: float | None
    high: float | None
    processes: tuple[int, int]
    paired: bool
    error: float | None
    freedom: float | None

    @property
    def of_same_samples(self) -> bool:
        """Whether nothing was compared but a sample with itself."""
        return self.value == 1 and self.error == 0

    def interval(self, confidence: float) -> tuple[float, float] | None:
        """Student's t interval of the ratio; None where its error is not known."""
        return _interval(math.log(self.value), self.error, self.freedom, confidence)


@dataclass(frozen=True)
class Verdict:
    """What may be said of a ratio, and why, in words without numbers."""

    call: Call
    ratio: Ratio
    reason: str
    looks: int


def location(medians: Sequence[float], confidence: float = CONFIDENCE) -> Location:
    """Geometric mean of the processes' medians (ms), with Student's t interval of their logarithms.

    Source: Student, "The probable error of a mean", Biometrika 6 (1908).
    Raises ValueError for no medians and for one that is not positive and finite.
    """
    logs = _logs(medians)
    centre, count = float(logs.mean()), len(logs)
    error = float(logs.std(ddof=1)) / math.sqrt(count) if count > 1 else None
    low, high = _interval(centre, error, count - 1, confidence) or (None, None)
    return Location(math.exp(centre), low, high, count)


def unpaired_ratio(a: Sequence[float], b: Sequence[float], confidence: float = CONFIDENCE) -> Ratio:
    """B over A from processes of their own: medians in ms; Student's t with the pooled variance.

    Why not Welch (Biometrika 34, 1947): with equal counts, which the plan has, both give the same
    standard error, and only the degrees of freedom differ. From three processes each, Welch's lie
    between 2 and 4, taken from the spreads themselves. By simulation Welch's 95 % interval then
    covers 96.6 % and is 1.16 times as wide as the pooled one, which covers 95.1 %. The price: if
    B's processes spread three times as much as A's, the pooled interval covers 92.5 % and Welch's
    94.8 %. `tests/analysis/test_experiment.py` simulates both.

    Raises ValueError for no medians and for one that is not positive and finite.
    """
    logs_a, logs_b = _logs(a), _logs(b)
    freedom = len(logs_a) + len(logs_b) - 2
    squares = float(
        np.square(logs_a - logs_a.mean()).sum() + np.square(logs_b - logs_b.mean()).sum()
    )
    error: float | None = None
    if np.array_equal(logs_a, logs_b):
        error = 0.0
    elif freedom > 0:
        error = math.sqrt(squares / freedom * (1 / len(logs_a) + 1 / len(logs_b)))
    change = float(logs_b.mean() - logs_a.mean())
    return _ratio(change, error, freedom, (len(logs_a), len(logs_b)), False, confidence)


def paired_ratio(a: Sequence[float], b: Sequence[float], confidence: float = CONFIDENCE) -> Ratio:
    """B over A where process i measured both: medians in ms; t on the differences of logarithms.

    What a process does to both arms cancels; one that hits a single arm stays in the spread.

    Raises ValueError for no medians, for one that is not positive and finite, and for samples of
    different length.
    """
    logs_a, logs_b = _logs(a), _logs(b)
    if len(logs_a) != len(logs_b):
        raise ValueError(f"{len(logs_a)} processes of A cannot be paired with {len(logs_b)} of B")
    changes = logs_b - logs_a
    count = len(changes)
    error: float | None = None
    if not changes.any():
        error = 0.0
    elif count > 1:
        error = float(changes.std(ddof=1)) / math.sqrt(count)
    return _ratio(float(changes.mean()), error, count - 1, (count, count), True, confidence)


def verdict(ratio: Ratio, *, min_effect: float = MIN_EFFECT, looks: int = 1) -> Verdict:
    """Slower or faster, the same within the minimum effect, or undecided.

    Different: the interval excludes 1, and the ratio lies outside (1 / (1 + m), 1 + m), m the
    minimum effect; the band is symmetric in logarithms. The same: two one-sided tests (TOST), that
    is the interval at 1 - 2 alpha lies inside this band. Source: Schuirmann, Journal of
    Pharmacokinetics and Biopharmaceutics 15 (1987).

    `looks` is how often the plan may ask for a verdict on the growing data; each look gets an equal
    part of alpha (Bonferroni), in both tests. The interval to report stays the ratio's own: by
    `harness.analysis.simulation`, stopping early leaves it a coverage within 93 to 97 % where
    processes differ by 0.5 %, and costs it one or two points where they differ by 2 %.

    Raises ValueError for a `min_effect` that is not positive and for `looks` below 1.
    """
    if min_effect <= 0:
        raise ValueError(f"a minimum effect of {min_effect} can never be shown to be absent")
    if looks < 1:
        raise ValueError(f"a plan with {looks} looks has no verdict")
    call, reason = _decide(ratio, math.log1p(min_effect), (1 - CONFIDENCE) / looks)
    return Verdict(call, ratio, reason, looks)


def _decide(ratio: Ratio, band: float, alpha: float) -> tuple[Call, str]:
    """The rule of `verdict`; `band` is the logarithm of the minimum effect, `alpha` of one look."""
    if ratio.of_same_samples:
        return "same", "the samples are the same"
    difference, equivalence = ratio.interval(1 - alpha), ratio.interval(1 - 2 * alpha)
    if min(ratio.processes) < MIN_PROCESSES or difference is None or equivalence is None:
        return "undecided", "fewer processes than a verdict needs"
    change = math.log(ratio.value)
    differs = not difference[0] <= 1 <= difference[1]
    if differs and abs(change) >= band:
        call: Call = "slower" if change > 0 else "faster"
        return call, "the interval excludes no change, and the change reaches the minimum effect"
    if -band < math.log(equivalence[0]) and math.log(equivalence[1]) < band:
        return "same", "the interval lies within the minimum effect"
    if differs:
        return "undecided", "a change is there, but it may be below the minimum effect"
    if abs(change) >= band:
        return "undecided", "the change reaches the minimum effect, but may be noise"
    return "undecided", "the interval is wider than the minimum effect"


def _logs(medians: Sequence[float]) -> NDArray[np.float64]:
    """Logarithms of the processes' medians, of shape [processes]."""
    values = np.asarray(medians, dtype=np.float64)
    if not values.size:
        raise ValueError("no process to take a location of")
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError("a process's median is not positive and finite: nothing was timed")
    return np.log(values)


def _ratio(
    change: float,
    error: float | None,
    freedom: int,
    processes: tuple[int, int],
    paired: bool,
    confidence: float,
) -> Ratio:
    """The ratio of which `change` is the logarithm, with its interval where there is one."""
    low, high = _interval(change, error, freedom, confidence) or (None, None)
    return Ratio(math.exp(change), low, high, processes, paired, error, freedom or None)


def _interval(
    centre: float, error: float | None, freedom: float | None, confidence: float
) -> tuple[float, float] | None:
    """exp(centre +- t x error), t the quantile of Student's distribution."""
    if error is None:
        return None
    # Without an error there is nothing to scale, and without freedom there is no quantile.
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * error if error else 0.0
    ends = (max(-MOST_LOG, centre - half), min(MOST_LOG, centre + half))
    return math.exp(ends[0]), math.exp(ends[1])
