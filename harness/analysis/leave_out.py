"""What each fix still brings when all others are in: the stack without it, in the same processes.

A fix that is left out takes those along that need it. Its gain is the share of time that the whole
stack saves against the stack without it. How that differs from its gain alone is its interaction
with the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.analysis.experiment import Verdict
from harness.analysis.fix_arms import ArmTimes, arm_times
from harness.analysis.fixes import Fixes, SingleFix
from harness.analysis.limit_cases import leaves_out, variants_of
from harness.analysis.output_errors import fixes_of
from harness.result import Result
from harness.variants import FIXES, left_out

# By the intervals of both gains: apart, or not told apart.
Interaction = Literal[
    "less than alone: others cover it",
    "more than alone: others bare it",
    "turns around",
    "none seen",
    "too few processes",
    "not measured alone",
]


@dataclass(frozen=True)
class LeftOut:
    """A fix that is left out of a bundle."""

    fix: str
    title: str
    bundle: str
    with_it: tuple[str, ...]  # left out too, for they need it
    without: ArmTimes  # the bundle without them, against the baseline
    brings: ArmTimes  # the bundle against that

    @property
    def gain(self) -> float:
        """Share of wall time that the fix saves in the bundle; negative where it costs."""
        return self.brings.gain


def left_out_fixes(processes: Mapping[str, Sequence[Result]]) -> list[LeftOut]:
    """Every fix that some case of the run leaves out, largest gain first."""
    found: list[LeftOut] = []
    for results in processes.values():
        case = results[0].case
        if case.kind != "paired" or not leaves_out(case):
            continue
        for arm in variants_of(case):
            lacking = left_out(arm)
            if lacking is None:
                continue
            bundle, (fix, *with_it) = lacking
            without, brings = arm_times(results, arm), arm_times(results, bundle, arm)
            if without is not None and brings is not None and brings.wall_change is not None:
                title = FIXES[fix].title
                found.append(LeftOut(fix, title, bundle, tuple(with_it), without, brings))
    return sorted(found, key=lambda one: -one.gain)


def alone_of(fixes: Fixes | None, fix: str) -> SingleFix | None:
    """The same fix on the baseline alone, where that was measured and its output does not fail."""
    singles = fixes.singles if fixes is not None else ()
    return next((one for one in singles if one.name == fix and not one.struck), None)


def same_set(left: LeftOut, alone: SingleFix) -> bool:
    """Whether both gains are of the same fixes: alone it brings what it needs."""
    return {left.fix, *left.with_it} == set(fixes_of(alone.name))


def interaction(alone: Verdict | None, brings: Verdict | None) -> Interaction:
    """How the gain in the stack differs from the gain alone, by the intervals of both ratios."""
    if alone is None or brings is None:
        return "not measured alone"
    one, other = alone.ratio, brings.ratio
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return "too few processes"
    if one.low <= other.high and other.low <= one.high:
        return "none seen"
    if {alone.call, brings.call} == {"faster", "slower"}:
        return "turns around"
    if other.value > one.value:
        return "less than alone: others cover it"
    return "more than alone: others bare it"
