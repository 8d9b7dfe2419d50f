"""What each fix still brings when all others are in: the stack without it, in the same processes.

A fix that is left out takes those along that need it. Its gain is the share of time that the whole
stack saves against the stack without it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.analysis.comparisons import TimeMeasure, compare_arms
from harness.analysis.experiment import Call, Verdict
from harness.analysis.fix_arms import ArmTimes, arm_times
from harness.analysis.limit_cases import leaves_out, variants_of
from harness.analysis.pairs import CYCLES
from harness.analysis.pairs import together as heeding_cycles
from harness.result import Result
from harness.variants import FIXES, WITHOUT, left_out


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
    def one_fix(self) -> bool:
        """Whether one fix is left out, what needs it aside, and not several."""
        return len(self.named) == 1

    @property
    def by_itself(self) -> bool:
        """Whether it is one fix that no other needs, so that its gain is its own."""
        return self.one_fix and not self.with_it

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
