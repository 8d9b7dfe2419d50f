"""What the processes of a run say together: values, arms against base, case against case.

Wall time and GPU-busy time are compared separately: on a slow host only the second belongs to the
GPU. Each also in cycles (time x SM clock), which a change of the clock leaves alone.
"""

from collections.abc import Sequence
from typing import Literal

from harness.analysis.experiment import (
    MIN_PROCESSES,
    Location,
    Verdict,
    location,
    paired_ratio,
    unpaired_ratio,
    verdict,
)
from harness.analysis.interval import median
from harness.arms import BASE_ARM
from harness.matrix import Case
from harness.result import Result
from harness.run import Run

TimeMeasure = Literal["wall", "busy"]
Measure = Literal["wall", "busy", "wall_cycles", "busy_cycles"]
MEASURES: tuple[Measure, ...] = ("wall", "busy", "wall_cycles", "busy_cycles")
TIMES: tuple[TimeMeasure, ...] = ("wall", "busy")
MEGA = 1e3  # ms x MHz = 1e3 cycles; in millions of cycles that is 1e-3

HALF_WIDTH_TARGET = 0.01  # of the interval over processes, at which no more of them are wanted
MOST_PROCESSES_EXTENDED = 5
LOOKS = 2  # after the planned processes, and after the extension


def samples(result: Result, measure: Measure, arm: str | None = None) -> list[float]:
    """One process's values of a steady chunk: ms, or millions of SM cycles.

    `arm` is that of a paired case; None takes every steady chunk of another.
    """
    if measure == "wall":
        return [c.wall_ms for c in result.chunks if c.phase == "steady" and c.arm == arm]
    if measure == "wall_cycles":
        return [
            c.wall_ms * c.state.sm_clock_mhz / MEGA
            for c in result.chunks
            if c.phase == "steady" and c.arm == arm and c.state and c.state.sm_clock_mhz
        ]
    busy = [sample for sample in result.busy if sample.arm == arm]
    if measure == "busy":
        return [sample.busy_ms for sample in busy]
    return [s.busy_ms * s.sm_clock_mhz / MEGA for s in busy if s.sm_clock_mhz]


def process_values(
    results: Sequence[Result], measure: Measure, arm: str | None = None
) -> list[float]:
    """The median of each process that has samples, in order."""
    found = (samples(result, measure, arm) for result in results)
    return [median(values) for values in found if values]


def over_processes(
    results: Sequence[Result], measure: Measure, arm: str | None = None
) -> Location | None:
    """Where the processes lie together; None without samples."""
    values = process_values(results, measure, arm)
    return location(values) if values else None


def compare_arms(
    results: Sequence[Result], arm: str, measure: Measure, base: str = BASE_ARM
) -> Verdict | None:
    """An arm against the base of the same processes; None where either has no samples."""
    both = medians_each(results, arm, measure, base)
    if not both:
        return None
    ratio = paired_ratio([before for before, _ in both], [after for _, after in both])
    return verdict(ratio, looks=looks(results[0].case))


def ratios_each(
    results: Sequence[Result], arm: str, measure: Measure, base: str = BASE_ARM
) -> list[float]:
    """An arm over the base in each process that has samples of both, in order."""
    return [after / before for before, after in medians_each(results, arm, measure, base)]


def medians_each(
    results: Sequence[Result], arm: str, measure: Measure, base: str
) -> list[tuple[float, float]]:
    """Of each process with samples of both: the base's median, the arm's."""
    return [
        (median(before), median(after))
        for result in results
        if (before := samples(result, measure, base)) and (after := samples(result, measure, arm))
    ]


def compare_cases(
    a: Sequence[Result],
    b: Sequence[Result],
    measure: Measure,
    arm: str | None = None,
    arm_b: str | None = None,
) -> Verdict | None:
    """Processes of B against processes of A; `arm_b` is A's arm unless given."""
    before = process_values(a, measure, arm)
    after = process_values(b, measure, arm if arm_b is None else arm_b)
    if not before or not after:
        return None
    return verdict(unpaired_ratio(before, after))


def looks(case: Case) -> int:
    """How often a case's comparison may be looked at, by its plan."""
    return LOOKS if MIN_PROCESSES <= case.processes < MOST_PROCESSES_EXTENDED else 1


def undecided(run: Run) -> list[str]:
    """Ids of cases that more processes would help: an open comparison, or a wide interval."""
    cases = [case for case in run.manifest.cases if looks(case) > 1 and case.id in run.processes]
    return [case.id for case in cases if _open(case, run.processes[case.id])]


def _open(case: Case, results: list[Result]) -> bool:
    if case.kind == "paired":
        verdicts = [compare_arms(results, arm, m) for arm in case.arms[1:] for m in TIMES]
        return any(found is not None and found.call == "undecided" for found in verdicts)
    found = over_processes(results, "wall")
    width = found.relative_half_width if found else None
    return width is not None and width > HALF_WIDTH_TARGET
