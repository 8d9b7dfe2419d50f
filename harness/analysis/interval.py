"""Median, spread, and the interval of a median within one process. Standard library only.

The interval serves the stop rule: it says how well one process knows its own median. It says
nothing about the difference between processes, which is usually larger.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """An interval of the median. `coverage` is what the order statistics really give."""

    low: float
    high: float
    coverage: float

    @property
    def half_width(self) -> float:
        """Half of the interval's length, in the unit of the values."""
        return (self.high - self.low) / 2


def quantile(values: Iterable[float], fraction: float) -> float:
    """Linear interpolation between order statistics.

    Method: type 7 of Hyndman and Fan, "Sample Quantiles in Statistical Packages",
    The American Statistician 50 (1996). Raises ValueError without values.
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values to take a quantile of")
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction {fraction} is not between 0 and 1")
    position = fraction * (len(ordered) - 1)
    below = math.floor(position)
    above = math.ceil(position)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def median(values: Iterable[float]) -> float:
    """The middle value, or the mean of the two middle ones. Raises ValueError without values."""
    return quantile(values, 0.5)


def iqr(values: Sequence[float]) -> float:
    """Interquartile range: the length of the middle half."""
    return quantile(values, 0.75) - quantile(values, 0.25)


def median_interval(values: Sequence[float], confidence: float = 0.95) -> Interval | None:
    """Distribution-free interval of the median from two order statistics.

    Method: the number of values below the true median is binomial(n, 1/2), so [x_(k), x_(n+1-k)]
    covers it with probability 1 - 2 P(B < k); k is the largest that keeps the confidence. Source:
    David and Nagaraja, "Order Statistics", 3rd edition (2003), section 7.1.

    None where too few values are there for the confidence (0.95 needs six).
    """
    count = len(values)
    rank, tail = 0, 0.0  # tail = P(B < rank)
    term = 0.5**count  # P(B = rank)
    while rank < count // 2 and 1 - 2 * (tail + term) >= confidence:
        tail += term
        term *= (count - rank) / (rank + 1)
        rank += 1
    if rank == 0:
        return None
    ordered = sorted(values)
    return Interval(ordered[rank - 1], ordered[count - rank], 1 - 2 * tail)


def relative_half_width(values: Sequence[float], confidence: float = 0.95) -> float | None:
    """Half of the median's interval over the median; None where either is not known."""
    interval = median_interval(values, confidence)
    if interval is None:
        return None
    middle = median(values)
    return interval.half_width / middle if middle else None
