"""Fixes of a bundle one at a time and all together: whether they share what they save.

Each is left out of the bundle alone; added up, these are what all would save if none acted on
another. What they do save is the bundle against the variant without any of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import asdict

from harness.analysis.comparisons import Measure, TimeMeasure
from harness.analysis.fix_arms import ArmTimes, arm_times
from harness.analysis.interactions import too_little
from harness.analysis.leave_out import LeftOut
from harness.analysis.limit_cases import variants_of
from harness.analysis.output_errors import fixes_of
from harness.analysis.pairs import CYCLES
from harness.analysis.saved_time import (
    Saved,
    difference,
    saved,
    saved_each,
    saved_of,
    unless_cycles_differ,
)
from harness.matrix import EFFORT, Case
from harness.result import Result
from harness.variants import WITHOUT

Together = Literal[
    "same", "less one at a time", "more one at a time", "undecided", "too few processes"
]
UNKNOWN: tuple[Together, ...] = ("too few processes",)
TOLD: dict[str, Together] = {
    "same": "same",
    "more": "more one at a time",
    "less": "less one at a time",
    "undecided": "undecided",
}
# What of a case says how it is measured, and not what.
HOW = EFFORT | {"arms", "label"}


@dataclass(frozen=True)
class OneByOne:
    """Fixes of one bundle that were left out of it one at a time, in the same processes."""

    left: tuple[LeftOut, ...]

    @property
    def case(self) -> Case:
        """The paired case that measured them."""
        return self.left[0].brings.case

    @property
    def bundle(self) -> str:
        """The stack that they are left out of."""
        return self.left[0].bundle

    @property
    def rest(self) -> frozenset[str]:
        """The fixes that stay when all of these are left out."""
        return frozenset(fixes_of(WITHOUT.join((self.bundle, *(one.fix for one in self.left)))))

    def added_up(self, measure: Measure) -> Saved | None:
        """What each saves in the bundle, added up in every process.

        None where an arm has no such times in some process.
        """
        each = [saved_each(one.brings, measure) for one in self.left]
        if {len(savings) for savings in each} != {len(self.left[0].brings.results)}:
            return None
        return saved([sum(savings) for savings in zip(*each, strict=True)])


def one_by_one(left: Sequence[LeftOut]) -> OneByOne | None:
    """Those of a bundle that no other needs; None unless several share one case."""
    single = tuple(one for one in left if one.by_itself)
    cases = {one.brings.case.id for one in single}
    return OneByOne(single) if len(single) > 1 and len(cases) == 1 else None


def times_together(
    found: OneByOne, processes: Mapping[str, Sequence[Result]]
) -> Iterator[ArmTimes]:
    """The bundle against the variant without any of them, of each case of a run that has both."""
    for results in processes.values():
        case = results[0].case
        if not measures_bundle(case, found):
            continue
        for arm in variants_of(case):
            same = set(fixes_of(arm)) == found.rest
            if same and (times := arm_times(results, found.bundle, arm)):
                yield times


def measures_bundle(case: Case, found: OneByOne) -> bool:
    """Whether a case times the bundle in the same workload."""
    if case.kind != "paired" or found.bundle not in case.arms:
        return False
    return _what(case) == _what(found.case)


def together_of(found: OneByOne, whole: ArmTimes, measure: TimeMeasure) -> Together:
    """Whether all at once save what they save one at a time, by time and by cycles."""
    time, cycles = (
        together(found.added_up(unit), saved_of(whole, unit), too_little(found.left[0], unit))
        for unit in (measure, CYCLES[measure])
    )
    return unless_cycles_differ(time, cycles, UNKNOWN)


def together(added_up: Saved | None, whole: Saved | None, little: float) -> Together:
    """How what they save one at a time differs from all at once, in the unit of `little`."""
    told = None
    if added_up is not None and whole is not None:
        told = difference(added_up, whole).told(little)
    return "too few processes" if told is None else TOLD[told]


def _what(case: Case) -> dict[str, object]:
    return {name: value for name, value in asdict(case).items() if name not in HOW}
