"""Median and spread of raw samples: what every table of the report is made of."""

from collections.abc import Iterable
from dataclasses import dataclass

from harness.analysis.interval import median, quantile


@dataclass(frozen=True)
class Spread:
    """Where samples lie. The spread within one process; it says nothing about another process."""

    n: int
    median: float
    q1: float
    q3: float
    minimum: float
    maximum: float

    @property
    def iqr(self) -> float:
        """Distance between the quartiles, in the samples' unit."""
        return self.q3 - self.q1

    @property
    def relative_iqr(self) -> float:
        """The quartiles' distance as a part of the median; 0 where the median is 0."""
        return self.iqr / self.median if self.median else 0.0


def spread(values: Iterable[float]) -> Spread | None:
    """Median and quartiles of the values; None of no values."""
    ordered = sorted(values)
    if not ordered:
        return None
    return Spread(
        n=len(ordered),
        median=median(ordered),
        q1=quantile(ordered, 0.25),
        q3=quantile(ordered, 0.75),
        minimum=ordered[0],
        maximum=ordered[-1],
    )
