"""Fixes of a bundle one at a time and all together: whether they share what they save.

Each is left out of the bundle alone; added up, these are what all would save if none acted on
another. What they do save is the bundle against the variant without any of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.analysis.comparisons import TimeMeasure
from harness.analysis.fix_arms import ArmTimes, arm_times
from harness.analysis.leave_out import LeftOut
from harness.analysis.limit_cases import variants_of
from harness.analysis.output_errors import fixes_of
from harness.analysis.saved_time import Saved, apart, saved, saved_each
from harness.matrix import Case
from harness.result import Result
from harness.variants import WITHOUT

Together = Literal[
    "they cover one another", "they bare one another", "none seen", "too few processes"
]


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

    def added_up(self, measure: TimeMeasure) -> Saved | None:
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
    one, other = (
        (each.preset, each.mode, each.width_px, each.height_px, each.vae, each.dtype)
        for each in (case, found.case)
    )
    return case.kind == "paired" and found.bundle in case.arms and one == other


def together(added_up: Saved, whole: Saved) -> Together:
    """What both say of the fixes, by their intervals."""
    told_apart = apart(added_up, whole)
    if told_apart is None:
        return "too few processes"
    if not told_apart:
        return "none seen"
    # Left out alone a fix costs little where the others do its work too.
    less = added_up.value_ms < whole.value_ms
    return "they cover one another" if less else "they bare one another"
