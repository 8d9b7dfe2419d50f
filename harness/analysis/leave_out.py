"""What each fix still brings when all others are in: the stack without it, in the same processes.

A fix that is left out takes those along that need it. Its gain is the share of time that the whole
stack saves against the stack without it. How the milliseconds of that differ from those that it
saves alone is its interaction with the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.analysis.comparisons import TimeMeasure
from harness.analysis.experiment import Verdict
from harness.analysis.fix_arms import ArmTimes, arm_times
from harness.analysis.fixes import SingleFix
from harness.analysis.limit_cases import leaves_out, variants_of
from harness.analysis.output_errors import fixes_of
from harness.analysis.saved_time import Saved, apart, less, saved_of
from harness.result import Result
from harness.variants import FIXES, WITHOUT, left_out

# By the intervals of what it saves: apart, or not told apart.
Interaction = Literal[
    "less than alone",
    "more than alone",
    "turns around",
    "none seen",
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


def net_alone(singles: Sequence[SingleFix], fix: str, measure: TimeMeasure) -> Saved | None:
    """What the fix saves alone without what it needs; None where either was not measured."""
    single = alone_of(singles, fix)
    if single is None:
        return None
    needs = set(fixes_of(fix)) - {fix}
    whole = saved_of(single.times, measure)
    if not needs:
        return whole
    rest = next((one for one in singles if set(fixes_of(one.name)) == needs), None)
    return None if rest is None else less(whole, saved_of(rest.times, measure))


def net_brings(left: LeftOut, others: Sequence[LeftOut], measure: TimeMeasure) -> Saved | None:
    """What the fix saves in the stack without those that need it.

    None where these were not left out alone.
    """
    whole = saved_of(left.brings, measure)
    if not left.with_it:
        return whole
    same = (one for one in others if one.bundle == left.bundle)
    rest = next((one for one in same if one.fixes == set(left.with_it)), None)
    return None if rest is None else less(whole, saved_of(rest.brings, measure))


def interaction(alone: Saved | None, brings: Saved | None) -> Interaction:
    """How what it saves in the stack differs from what it saves alone, by both intervals."""
    if alone is None or brings is None:
        return "not measured by itself"
    told_apart = apart(alone, brings)
    if told_apart is None:
        return "too few processes"
    if not told_apart:
        return "none seen"
    if alone.value_ms > brings.value_ms:
        return "turns around" if alone.value_ms > 0 > brings.value_ms else "less than alone"
    return "turns around" if brings.value_ms > 0 > alone.value_ms else "more than alone"
