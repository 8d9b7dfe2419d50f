"""Whether a fix saves in the stack what it saves alone: its interaction with the others."""

from collections.abc import Sequence
from typing import Literal

from harness.analysis.comparisons import Measure, TimeMeasure, over_processes
from harness.analysis.experiment import MIN_EFFECT
from harness.analysis.fixes import SingleFix
from harness.analysis.leave_out import LeftOut
from harness.analysis.output_errors import fixes_of
from harness.analysis.pairs import CYCLES
from harness.analysis.saved_time import (
    Saved,
    difference,
    saved_beyond,
    saved_of,
    unless_cycles_differ,
)

# By the interval of what it saves more in the stack than alone.
Interaction = Literal[
    "same",
    "less than alone",
    "more than alone",
    "costs less than alone",
    "costs more than alone",
    "turns around",
    "undecided",
    "too few processes",
    "not measured by itself",
]
UNKNOWN: tuple[Interaction, ...] = ("too few processes", "not measured by itself")


def alone_of(singles: Sequence[SingleFix], fix: str) -> SingleFix | None:
    """The same fix on the baseline alone, where that was measured and its output does not fail."""
    return next((one for one in singles if one.name == fix and not one.struck), None)


def net_alone(singles: Sequence[SingleFix], fix: str, measure: Measure) -> Saved | None:
    """What the fix saves alone without what it needs; None where either was not measured."""
    single = alone_of(singles, fix)
    if single is None:
        return None
    needs = set(fixes_of(fix)) - {fix}
    if not needs:
        return saved_of(single.times, measure)
    rest = next((one for one in singles if set(fixes_of(one.name)) == needs), None)
    return None if rest is None else saved_beyond(single.times, rest.times, measure)


def net_brings(left: LeftOut, others: Sequence[LeftOut], measure: Measure) -> Saved | None:
    """What the fix saves in the stack without those that need it.

    None where these were not left out alone.
    """
    if not left.with_it:
        return saved_of(left.brings, measure)
    same = (one for one in others if one.bundle == left.bundle)
    rest = next((one for one in same if one.fixes == set(left.with_it)), None)
    return None if rest is None else saved_beyond(left.brings, rest.brings, measure)


def interaction_of(
    left: LeftOut, others: Sequence[LeftOut], singles: Sequence[SingleFix], measure: TimeMeasure
) -> Interaction:
    """Whether the fix saves in the stack what it saves alone, by time and by cycles."""
    time, cycles = (
        interaction(
            net_alone(singles, left.fix, unit),
            net_brings(left, others, unit),
            too_little(left, unit),
        )
        for unit in (measure, CYCLES[measure])
    )
    return unless_cycles_differ(time, cycles, UNKNOWN)


def too_little(left: LeftOut, measure: Measure) -> float:
    """What is of no interest: the least effect of a verdict, as time or cycles of the stack."""
    stack = over_processes(left.brings.results, measure, left.bundle)
    return MIN_EFFECT * stack.value if stack is not None else 0.0


def interaction(alone: Saved | None, brings: Saved | None, little: float) -> Interaction:
    """How what it saves in the stack differs from what it saves alone, by that difference.

    The same: its whole interval lies within `little`, which is in the unit of both.
    """
    if alone is None or brings is None:
        return "not measured by itself"
    told = difference(brings, alone).told(little)
    if told is None or alone.interval is None or brings.interval is None:
        return "too few processes"
    if told in ("same", "undecided"):
        return told
    if (alone.interval[0] > 0 > brings.interval[1]) or (alone.interval[1] < 0 < brings.interval[0]):
        return "turns around"
    if alone.interval[1] < 0 and brings.value <= 0:
        return "costs less than alone" if told == "more" else "costs more than alone"
    return "more than alone" if told == "more" else "less than alone"
