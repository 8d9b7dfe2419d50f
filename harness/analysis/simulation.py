"""Simulated experiments with a known truth: do the intervals cover it, and are the verdicts right?

Each experiment draws chunk times, takes medians over the chunks of a process and goes through the
functions of `harness.analysis.experiment`, with the plan of a real comparison: three processes of
each variant, and two more of each if these leave it undecided.

    python -m harness.analysis.simulation --experiments 1000 --seed 20261124 \
        --out docs/simulation.json --table docs/statistics.md
"""

import argparse
import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import binomtest

from harness.analysis.experiment import (
    CONFIDENCE,
    Call,
    Verdict,
    paired_ratio,
    unpaired_ratio,
    verdict,
)
from harness.result import encode

BASE_MS = 400.0  # time of a chunk; only ratios matter
BLOCKS = 5  # of each variant in a process
CHUNKS_PER_BLOCK = 10
CHUNK_SD = 0.01  # within a process, in every scenario
PROCESS_SDS = (0.005, 0.02)
CHANGES = (0.0, 0.03)  # true ratio of B over A, less 1
LOOKS = (3, 5)  # processes of each variant at the first and at the second look

SLOW_SHARE = 0.3  # "bimodal": share of the chunks in the slower mode
CORRELATION = 0.7  # "correlated": of a chunk with the next one
TAIL_FREEDOM = 3  # "heavy tails": degrees of freedom, few enough for an infinite kurtosis
DRIFTS = {"drift": 0.005, "strong drift": 0.02}  # rise from first to last chunk of all looks
UNEVEN = 3.0  # "uneven processes": B's processes spread this many times as much as A's

TABLE = re.compile(r"(<!-- simulation: begin -->\n).*(<!-- simulation: end -->)", re.S)

Design = Literal["unpaired", "paired", "bootstrap"]
Scenario = Literal[
    "normal", "drift", "bimodal", "correlated", "heavy tails", "strong drift", "uneven processes"
]
SCENARIOS: tuple[Scenario, ...] = ("normal", "drift", "bimodal", "correlated", "heavy tails")
CALLS: tuple[Call, ...] = ("slower", "same", "faster", "undecided")
Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Setting(msgspec.Struct, frozen=True):
    """How times are drawn and judged; `looks` are the processes of each variant at every look."""

    design: Design
    scenario: Scenario
    process_sd: float
    change: float
    looks: tuple[int, ...] = LOOKS


class Share(msgspec.Struct, frozen=True):
    """A share of the experiments with its Wilson 95 % interval."""

    value: float
    low: float
    high: float


class Row(msgspec.Struct, frozen=True):
    """What became of the experiments of one setting.

    `coverage` is that of the 95 % interval reported at the end. A verdict is false if it calls
    equal variants different, or a slower one the same or faster. A bootstrap has no verdicts.
    """

    setting: Setting
    coverage: Share
    calls: dict[Call, float] = {}
    false_verdicts: Share | None = None


class Simulation(msgspec.Struct, frozen=True):
    """The table with everything that it was made from."""

    seed: int
    experiments: int
    blocks: int
    chunks_per_block: int
    chunk_sd: float
    rows: list[Row]


def settings() -> list[Setting]:
    """The rows: the plan in every scenario, the paired design, then limits and the bootstrap."""
    some: tuple[Scenario, ...] = ("normal", "drift", "correlated")
    limits: tuple[Scenario, ...] = ("strong drift", "uneven processes")
    quiet, noisy = PROCESS_SDS
    return [
        *(Setting("unpaired", *x) for x in itertools.product(SCENARIOS, PROCESS_SDS, CHANGES)),
        *(
            Setting("paired", scenario, noisy, change, (processes,))
            for scenario, processes, change in itertools.product(some, LOOKS, CHANGES)
        ),
        *(Setting("unpaired", *x) for x in itertools.product(limits, (quiet,), CHANGES)),
        *(Setting("bootstrap", "normal", sd, 0.0, LOOKS[:1]) for sd in PROCESS_SDS),
    ]


def simulate(experiments: int, seed: int) -> Simulation:
    """The whole table; the same seed gives the same table."""
    plan = settings()
    generators = np.random.default_rng(seed).spawn(len(plan))
    rows = [simulate_row(*pair, experiments) for pair in zip(plan, generators, strict=True)]
    return Simulation(seed, experiments, BLOCKS, CHUNKS_PER_BLOCK, CHUNK_SD, rows)


def simulate_row(setting: Setting, rng: np.random.Generator, experiments: int) -> Row:
    """Experiments of one setting: draw, judge, count."""
    truth = 1 + setting.change
    a_ms, b_ms = process_medians(setting, rng, experiments)
    pairs = list(zip(a_ms.tolist(), b_ms.tolist(), strict=True))
    if setting.design == "bootstrap":
        return Row(setting, _share([_covers(bootstrap(a, b), truth) for a, b in pairs]))
    verdicts = [judge(setting, a, b) for a, b in pairs]
    calls = Counter(found.call for found in verdicts)
    wrong = ("same", "faster") if setting.change else ("slower", "faster")
    return Row(
        setting,
        coverage=_share([_covers(found.ratio.interval(CONFIDENCE), truth) for found in verdicts]),
        calls={call: calls[call] / experiments for call in CALLS},
        false_verdicts=_share([found.call in wrong for found in verdicts]),
    )


def judge(setting: Setting, a: Sequence[float], b: Sequence[float]) -> Verdict:
    """The verdict at the first look that has one, else at the last; medians of A and B in ms."""
    ratio = paired_ratio if setting.design == "paired" else unpaired_ratio
    for processes in setting.looks:
        found = verdict(ratio(a[:processes], b[:processes]), looks=len(setting.looks))
        if found.call != "undecided":
            break
    return found


def bootstrap(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """Percentile bootstrap of B over A, kept to show that it is too narrow; medians in ms.

    So few processes have so few resamples that all of them are taken: nothing here is random.
    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
    """
    picks = np.array(list(itertools.product(range(len(a)), repeat=len(a))))
    changes = np.log(b)[picks].mean(axis=1)[:, None] - np.log(a)[picks].mean(axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.exp(np.quantile(changes, (tail, 1 - tail)))
    return float(low), float(high)


def process_medians(
    setting: Setting, rng: np.random.Generator, experiments: int
) -> tuple[Array, Array]:
    """Medians in ms of A's and of B's processes, each of shape [experiments, processes].

    Processes (unpaired) or blocks in a process (paired) run in the order ABBA. Each process has an
    effect of its own, normal with `process_sd`; paired arms share it. All effects multiply.
    """
    is_b = arms(setting)  # [processes, chunks]
    spread = np.where(is_b[:, :1], UNEVEN, 1.0) if setting.scenario == "uneven processes" else 1.0
    effects = setting.process_sd * spread * rng.standard_normal((experiments, len(is_b), 1))
    drift = DRIFTS.get(setting.scenario, 0.0)
    line = drift * np.linspace(0, 1, is_b.size).reshape(is_b.shape)
    # The chunks' noise leaves room for what the drift adds within a process.
    noise_sd = math.sqrt(CHUNK_SD**2 - line[0].std() ** 2)
    logs = effects + line + noise_sd * noise(setting.scenario, rng, (experiments, *is_b.shape))
    logs += is_b * math.log1p(setting.change)
    per_arm = (experiments, max(setting.looks), BLOCKS * CHUNKS_PER_BLOCK)
    a, b = (np.median(logs[:, arm].reshape(per_arm), axis=2) for arm in (~is_b, is_b))
    return BASE_MS * np.exp(a), BASE_MS * np.exp(b)


def arms(setting: Setting) -> Mask:
    """Which chunks are B's, in order of time: [processes, chunks of a process]."""
    longest = max(setting.looks)
    if setting.design == "paired":
        blocks = np.array([_abba(2 * BLOCKS, first) for first in range(longest)])
        return np.repeat(blocks, CHUNKS_PER_BLOCK, axis=1)
    return np.repeat(_abba(2 * longest)[:, None], BLOCKS * CHUNKS_PER_BLOCK, axis=1)


def noise(scenario: Scenario, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Noise of chunks, scaled to an sd of 1; shape [experiments, processes, chunks].

    bimodal: two modes `step` apart, each with half of the sd; step^2 p (1 - p) is the rest.
    correlated: AR(1) along the chunks, stationary from the first one.
    heavy tails: Student's t, whose variance is n / (n - 2). All others: normal.
    """
    if scenario == "heavy tails":
        return rng.standard_t(TAIL_FREEDOM, shape) * math.sqrt(1 - 2 / TAIL_FREEDOM)
    draws = rng.standard_normal(shape)
    if scenario == "bimodal":
        step = math.sqrt((1 - 0.5**2) / (SLOW_SHARE * (1 - SLOW_SHARE)))
        return 0.5 * draws + step * (rng.random(shape) < SLOW_SHARE)
    if scenario == "correlated":
        draws[..., 1:] *= math.sqrt(1 - CORRELATION**2)
        return np.asarray(lfilter([1.0], [1.0, -CORRELATION], draws))
    return draws


def table(simulation: Simulation) -> str:
    """The simulation as a Markdown table, a row for a row."""
    head = [
        *("design", "scenario", "process sd", "change", "processes", "coverage", *CALLS),
        "false verdicts",
    ]
    lines = [head, ["---"] * len(head), *(_cells(row) for row in simulation.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def with_table(text: str, simulation: Simulation) -> str:
    """The document with the table between its markers; ValueError if it lacks them."""
    document, places = TABLE.subn(lambda found: found[1] + table(simulation) + found[2], text)
    if places != 1:
        raise ValueError("the document has no place for the table: see docs/statistics.md")
    return document


def _cells(row: Row) -> list[str]:
    """One line of the table."""
    setting = row.setting
    return [
        setting.design,
        setting.scenario,
        f"{setting.process_sd:.1%}",
        f"{setting.change:.0%}",
        ", then ".join(str(processes) for processes in setting.looks),
        _text(row.coverage),
        *(f"{row.calls[call]:.1%}" if row.calls else "-" for call in CALLS),
        _text(row.false_verdicts) if row.false_verdicts else "-",
    ]


def _text(share: Share) -> str:
    return f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%})"


def _share(hits: Sequence[bool]) -> Share:
    """Share of true ones, with Wilson's interval."""
    interval = binomtest(sum(hits), len(hits)).proportion_ci(0.95, method="wilson")
    return Share(sum(hits) / len(hits), float(interval.low), float(interval.high))


def _covers(interval: tuple[float, float] | None, truth: float) -> bool:
    return interval is not None and interval[0] <= truth <= interval[1]


def _abba(count: int, first: int = 0) -> Mask:
    """Places of B in the order ABBA ABBA ..., or BAAB ... where `first` is odd."""
    return np.isin((np.arange(count) + 2 * first) % 4, (1, 2))


def main() -> None:
    """Simulate, keep the rows as JSON, print the table and put it into a document."""
    parser = argparse.ArgumentParser(
        prog="python -m harness.analysis.simulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=20261124)
    parser.add_argument("--out", type=Path, help="JSON file for the rows")
    parser.add_argument("--table", type=Path, help="Markdown file whose marked block is rewritten")
    options = parser.parse_args()
    simulation = simulate(options.experiments, options.seed)
    print(table(simulation), end="")
    if options.out:
        options.out.write_bytes(encode(simulation))
    if options.table:
        options.table.write_text(with_table(options.table.read_text(), simulation))


if __name__ == "__main__":
    main()
