"""What each fix still brings when all others are in: the stack without it, in the same processes.

A fix that is left out takes those along that need it. Its gain is the share of time that the whole
stack saves against the stack without it. How the milliseconds of that differ from those that it
saves alone is its interaction with the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.analysis.comparisons import Measure, TimeMeasure, compare_arms, over_processes
from harness.analysis.experiment import MIN_EFFECT, Call, Verdict
from harness.analysis.fix_arms import ArmTimes, arm_times
from harness.analysis.fixes import SingleFix
from harness.analysis.limit_cases import leaves_out, variants_of
from harness.analysis.output_errors import fixes_of
from harness.analysis.pairs import CYCLES
from harness.analysis.pairs import together as heeding_cycles
from harness.analysis.saved_time import Saved, difference, saved_beyond, saved_of
from harness.result import Result
from harness.variants import FIXES, WITHOUT, left_out

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


@dataclass(frozen=True)
class LeftOut:
    """A fix that is left out of a bundle."""

    named: tuple[str, ...]  # the fix, or several
    title: str
    bundle: str
    with_it: tuple[str, ...]  # left out too, for they need one of these
    without: ArmTimes  # the bundle without them, against the baseline
    brings: ArmTimes  # the bundle against that

    @property
    def fix(self) -> str:
        """Its name, or several with commas."""
        return ", ".join(self.named)

    @property
    def fixes(self) -> set[str]:
        """All that is left out."""
        return {*self.named, *self.with_it}

    @property
    def by_itself(self) -> bool:
        """Whether it is one fix that no other needs, so that its gain is its own."""
        return len(self.named) == 1 and not self.with_it

    @property
    def gain(self) -> float:
        """Share of wall time that the fix saves in the bundle; negative where it costs."""
        return self.brings.gain


def left_out_fixes(processes: Mapping[str, Sequence[Result]]) -> list[LeftOut]:
    """Every fix that some case of the run leaves out: by bundle, largest gain first."""
    found: list[LeftOut] = []
    for results in processes.values():
        case = results[0].case
        if case.kind != "paired" or not leaves_out(case):
            continue
        for arm in variants_of(case):
            lacking = left_out(arm)
            if lacking is None:
                continue
            bundle, fixes = lacking
            count = arm.count(WITHOUT)
            named, with_it = fixes[:count], fixes[count:]
            without, brings = arm_times(results, arm), arm_times(results, bundle, arm)
            if without is not None and brings is not None and brings.wall_change is not None:
                title = "; ".join(FIXES[fix].title for fix in named)
                found.append(LeftOut(named, title, bundle, with_it, without, brings))
    bundles = list(dict.fromkeys(one.bundle for one in found))
    return sorted(found, key=lambda one: (bundles.index(one.bundle), -one.gain))


def by_bundle(left: Sequence[LeftOut]) -> list[list[LeftOut]]:
    """Those of each bundle, in order."""
    bundles: dict[str, list[LeftOut]] = {}
    for one in left:
        bundles.setdefault(one.bundle, []).append(one)
    return list(bundles.values())


def alone_of(singles: Sequence[SingleFix], fix: str) -> SingleFix | None:
    """The same fix on the baseline alone, where that was measured and its output does not fail."""
    return next((one for one in singles if one.name == fix and not one.struck), None)


def change_of(times: ArmTimes, measure: TimeMeasure) -> Verdict | None:
    """An arm's change in wall or GPU-busy time; None where that was not measured."""
    return times.wall_change if measure == "wall" else times.busy_change


def gain_of(times: ArmTimes, measure: TimeMeasure) -> float:
    """Share of that time that an arm saves; negative where it costs. Raises ValueError without."""
    change = change_of(times, measure)
    if change is None:
        raise ValueError(f"arm {times.arm} has no {measure} time against {times.against}")
    return 1 - change.ratio.value


def call_of(left: LeftOut, measure: TimeMeasure) -> Call | None:
    """What the fix does to one time of the stack, unless cycles contradict it; None without one."""
    time = change_of(left.brings, measure)
    if time is None or not left.brings.enough:
        return None
    return heeding_cycles(time, cycles_of(left.brings, measure))[0]


def cycles_of(times: ArmTimes, measure: TimeMeasure) -> Verdict | None:
    """An arm's change in cycles of the SM clock; None where that was not sampled."""
    return compare_arms(times.results, times.arm, CYCLES[measure], times.against)


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
    called = [
        interaction(
            net_alone(singles, left.fix, unit),
            net_brings(left, others, unit),
            too_little(left, unit),
        )
        for unit in (measure, CYCLES[measure])
    ]
    told = called[0]
    # Cycles that were not sampled say nothing; those that say another thing leave it open.
    if called[1] in (told, "too few processes", "not measured by itself"):
        return told
    return told if told in ("too few processes", "not measured by itself") else "undecided"


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
    more = difference(brings, alone)
    if more.interval is None or alone.interval is None or brings.interval is None:
        return "too few processes"
    low, high = more.interval
    if low <= 0 <= high or abs(more.value) < little:
        return "same" if -little < low and high < little else "undecided"
    if (alone.interval[0] > 0 > brings.interval[1]) or (alone.interval[1] < 0 < brings.interval[0]):
        return "turns around"
    if alone.interval[1] < 0 and brings.value <= 0:
        return "costs less than alone" if more.value > 0 else "costs more than alone"
    return "more than alone" if more.value > 0 else "less than alone"
