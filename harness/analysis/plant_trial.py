"""A run with planted costs judged: is each plant the top changed cause, and is its cost right?

Every planted case is held against its twin of the same run: the case without the plant. Another
attention backend counts as a plant too. A plant is named by what it makes grow, and its cost must
lie within the larger of 25 % and the interval of the difference that was measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from harness.analysis.change_evidence import Cause
from harness.analysis.changed_causes import ChangedCause, Changes, changed_causes
from harness.analysis.comparisons import TimeMeasure, compare_cases
from harness.matrix import Case
from harness.result import Result
from harness.run import Run

MARGIN = 0.25  # of the measured difference
LEAST_SHARE = 0.10  # of the twin's wall time, that a plant is meant to cost
BACKEND = "attention"
COPIES = ("aten::_to_copy", "aten::copy_", "aten::to")
# Plant -> causes that name it, and operators, where they matter.
NAMES: dict[str, tuple[tuple[Cause, ...], tuple[str, ...]]] = {
    "items": (("sync",), ()),
    "launches": (("launch",), ()),
    "casts": (("work",), COPIES),
    "clones": (("work",), ("aten::clone", "aten::copy_")),
    "pause": (("python",), ()),
    "contention": (("contention",), ()),
    "graph-break": (("compile",), ()),
    "recompile": (("compile",), ()),
    BACKEND: (("attention",), ()),
}
BY_BUSY: tuple[Cause, ...] = ("work", "attention", "clock")


@dataclass(frozen=True)
class Trial:
    """One planted case against its twin."""

    case_id: str
    twin_id: str
    plant: str  # "" for the twin against itself
    changes: Changes
    measure: TimeMeasure
    difference_ms: float  # B less A, by the measure
    low_ms: float | None
    high_ms: float | None

    @property
    def top(self) -> ChangedCause | None:
        """The top changed cause."""
        return next(iter(self.changes.causes), None)

    @property
    def named(self) -> bool:
        """Whether the top changed cause is what was planted; for the twin, that there is none."""
        if not self.plant or self.top is None:
            return not self.plant and self.top is None
        causes, operators = NAMES.get(self.plant, ((), ()))
        fits = self.top.cause in causes
        return fits and (not operators or self.top.operator in operators)

    @property
    def margin_ms(self) -> float:
        """By how much the cost may differ from the difference."""
        width = 0.0
        if self.low_ms is not None and self.high_ms is not None:
            width = (self.high_ms - self.low_ms) / 2
        return max(MARGIN * abs(self.difference_ms), width)

    @property
    def cost_right(self) -> bool:
        """Whether the cost lies within the margin; the twin has none."""
        if self.top is None:
            return not self.plant
        return abs(self.top.change_ms - self.difference_ms) <= self.margin_ms

    @property
    def share(self) -> float:
        """The difference as a share of the twin's wall time."""
        return self.difference_ms / self.changes.both.a.wall_ms

    @property
    def passed(self) -> bool:
        """Whether it is named, and its cost is right."""
        return self.named and self.cost_right


def trials(run: Run) -> list[Trial]:
    """Every twin against itself, then every planted case of the run, in plan order."""
    known = {case.id: case for case in run.manifest.cases if case.id in run.processes}
    planted = [
        (case, twin)
        for case in known.values()
        if (twin := known.get(_twin(case).id)) is not None and twin.id != case.id
    ]
    twins = {twin.id: twin for _, twin in planted}
    pairs = [(twin, twin) for twin in twins.values()] + planted
    found = (_trial(run, case, twin) for case, twin in pairs)
    return [trial for trial in found if trial is not None]


def _twin(case: Case) -> Case:
    return msgspec.structs.replace(case, plant="", attention="default")


def _trial(run: Run, case: Case, twin: Case) -> Trial | None:
    """None where either has no profile."""
    a, b = run.processes[twin.id], run.processes[case.id]
    changes = changed_causes(a, b)
    if changes is None:
        return None
    top = next(iter(changes.causes), None)
    busy = top is not None and top.cause in BY_BUSY and changes.both.a.cells.on_gpu
    measure: TimeMeasure = "busy" if busy else "wall"
    before, after = (getattr(side, f"{measure}_ms") for side in (changes.both.a, changes.both.b))
    low_ms, high_ms = _interval(a, b, measure, before)
    plant = case.plant or (BACKEND if case.attention != twin.attention else "")
    return Trial(
        case_id=case.id,
        twin_id=twin.id,
        plant=plant,
        changes=changes,
        measure=measure,
        difference_ms=after - before,
        low_ms=low_ms,
        high_ms=high_ms,
    )


def _interval(
    a: Sequence[Result], b: Sequence[Result], measure: TimeMeasure, before_ms: float
) -> tuple[float | None, float | None]:
    """The difference's interval over processes, where there are several."""
    verdict = compare_cases(a, b, measure)
    if verdict is None or verdict.ratio.low is None or verdict.ratio.high is None:
        return None, None
    return before_ms * (verdict.ratio.low - 1), before_ms * (verdict.ratio.high - 1)
