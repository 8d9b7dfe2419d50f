"""Why a target was missed: the host, or a recorded circumstance that moves with the time.

A cause is named from the samples or not at all. The host is named where GPU-busy time keeps the
target and wall time does not; a circumstance where it and the time rise and fall together.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.stats import rankdata, spearmanr

from harness.analysis.chunks import steady_chunks
from harness.analysis.interval import median
from harness.record_parts import ChunkState, Component
from harness.result import Result
from harness.run import Run

# Power and temperature are none: they follow the work, and act on it through clock and throttling.
CIRCUMSTANCES = {
    "sm_clock_mhz": "the SM clock",
    "run_queue": "the run queue",
    "other_cpu_share": "the CPU share of other processes",
    "core_mhz": "the clock of the CPU core",
    "loop_us": "the time of a fixed loop of Python",
    "operator_us": "the host's time for one small operator",
    "throttling": "throttling",
}
MOST_P = 0.01  # of a correlation that is named
LEAST_RHO = 0.3
MOST_EXACT = 7  # pairs; from here on Student's t is close enough to the exact p

Columns = dict[str, list[float | None]]


@dataclass(frozen=True)
class Reading:
    """Where a number was read: records of a run, and a path in each of them."""

    run: Run
    results: tuple[Result, ...]
    path: str


@dataclass(frozen=True)
class Quantity:
    """A number in a sentence, its unit, and what it was read from."""

    value: float
    unit: Literal["share", "ms", "count", "rho"]
    readings: tuple[Reading, ...]


Words = tuple[str | Quantity, ...]


@dataclass(frozen=True)
class Correlation:
    """A circumstance beside a time: Spearman's rank correlation and what it rests on."""

    circumstance: str
    rho: float
    p: float
    pairs: int

    @property
    def named(self) -> bool:
        """Whether it is strong and sure enough to be called a cause."""
        return self.p < MOST_P and abs(self.rho) >= LEAST_RHO


def strongest(times: Sequence[float], columns: Columns) -> Correlation | None:
    """The circumstance with the largest |rho|; None where none of them ever changed."""
    found = [
        correlation
        for name, column in columns.items()
        if (correlation := _correlation(name, times, column)) is not None
    ]
    return max(found, key=lambda item: abs(item.rho), default=None)


def within_processes(results: Sequence[Result]) -> Correlation | None:
    """Chunks of all processes, time and circumstance each against its process's own median.

    What differs between processes is no cause of a spread within one, and cancels.
    """
    times: list[float] = []
    columns: Columns = {name: [] for name in CIRCUMSTANCES}
    for result in results:
        chunks = steady_chunks(result)
        if not chunks:
            continue
        middle_ms = median(chunk.wall_ms for chunk in chunks)
        times += [chunk.wall_ms / middle_ms for chunk in chunks]
        for name in CIRCUMSTANCES:
            columns[name] += _centred([circumstance(chunk.state, name) for chunk in chunks])
    return strongest(times, columns)


def between_processes(results: Sequence[Result], times: Sequence[float]) -> Correlation | None:
    """The processes' times against the median of each circumstance over their steady chunks."""
    columns: Columns = {name: [] for name in CIRCUMSTANCES}
    for result in results:
        for name in CIRCUMSTANCES:
            values = [circumstance(chunk.state, name) for chunk in steady_chunks(result)]
            known = [value for value in values if value is not None]
            columns[name].append(median(known) if known else None)
    return strongest(times, columns)


def within_component(result: Result, component: Component) -> Correlation | None:
    """Samples of an isolated component against what the sampler saw nearest to their middle."""
    middles_s = [
        start_s + wall_ms * component.calls_per_sample / 2e3
        for start_s, wall_ms in zip(component.start_s, component.wall_ms, strict=True)
    ]
    columns: Columns = {}
    series = [(result.gpu.series.t_s, result.gpu.series.fields)]
    if result.host is not None:
        series.append((result.host.t_s, result.host.fields))
    for t_s, fields in series:
        for name in CIRCUMSTANCES:
            if t_s and name in fields:
                columns[name] = [_nearest(t_s, fields[name], middle_s) for middle_s in middles_s]
    return strongest(component.wall_ms, columns)


def circumstance(state: ChunkState | None, name: str) -> float | None:
    """A circumstance of a chunk as a number; None where it was not recorded."""
    if state is None:
        return None
    if name == "throttling":
        return float(sum(state.throttled_ns.values())) if state.throttled_ns else None
    value: float | None = getattr(state, name)
    return value


def host_words(busy: Quantity, wall: Quantity, busy_share: Quantity) -> Words:
    """The host as the cause: both spreads, and how much of the time the GPU worked at all."""
    return (
        "the host: GPU-busy time keeps the target with ",
        busy,
        ", wall time misses it with ",
        wall,
        "; the GPU is busy for ",
        busy_share,
        " of the wall time",
    )


def correlation_words(
    found: Correlation | None, of: str, pairs: int, readings: tuple[Reading, ...]
) -> Words:
    """The circumstance as the cause, or that none is known; `of` says what was paired."""
    count = Quantity(pairs, "count", readings)
    label = closest = ""
    detail: Words = ()
    if found is not None:
        label = CIRCUMSTANCES[found.circumstance]
        closest = f"; closest is {label} with "
        rho = Quantity(found.rho, "rho", readings)
        detail = ("Spearman's rho ", rho, " over ", Quantity(found.pairs, "count", readings))
        detail = (*detail, f" {of}")
    if found is not None and found.named and can_show(pairs):
        return (f"it moves with {label}: ", *detail)
    words: Words = ("no recorded circumstance explains it",)
    if not can_show(pairs):
        words = (*words, "; ", count, f" {of} are too few to prove a correlation")
    elif found is None:
        words = (*words, "; none was recorded and changed")
    return (*words, closest, *detail)


def can_show(pairs: int) -> bool:
    """Whether that many pairs could have a p below the limit at all: two of n! orders do it."""
    return 2 / math.factorial(min(pairs, 20)) < MOST_P


def _correlation(
    name: str, times: Sequence[float], column: Sequence[float | None]
) -> Correlation | None:
    pairs = [(t, value) for t, value in zip(times, column, strict=True) if value is not None]
    ranks = [rankdata(side) for side in zip(*pairs, strict=True)]
    if not pairs or any(len(set(side)) < 2 for side in ranks):
        return None
    found = spearmanr(*ranks)
    rho = float(found.statistic)
    p = _exact_p(ranks[0], ranks[1]) if len(pairs) <= MOST_EXACT else float(found.pvalue)
    return Correlation(name, rho, p, len(pairs))


def _exact_p(a: Sequence[float], b: Sequence[float]) -> float:
    """Share of all orders of B that agree or disagree with A at least as much as this one.

    Student's t gives a perfect order of three a p of 0, of which a third of all orders are.
    """
    middle = sum(a) * sum(b) / len(a)

    def distance(order: Sequence[float]) -> float:
        return abs(sum(x * y for x, y in zip(a, order, strict=True)) - middle)

    reached = distance(b) - 1e-9
    orders = [distance(order) >= reached for order in itertools.permutations(b)]
    return sum(orders) / len(orders)


def _centred(values: list[float | None]) -> list[float | None]:
    """The values less their median."""
    known = [value for value in values if value is not None]
    middle = median(known) if known else 0.0
    return [None if value is None else value - middle for value in values]


def _nearest(t_s: list[float], column: list[float | None], at_s: float) -> float | None:
    index = min(range(len(t_s)), key=lambda position: abs(t_s[position] - at_s))
    return column[index]
