"""What changed between two cases and what it costs, as a value: for the page, and kept as JSON."""

from dataclasses import dataclass

from harness.analysis.change_sides import Side
from harness.analysis.changed_causes import ChangedCause, Changes, changed_causes
from harness.analysis.claims import Words
from harness.analysis.pairs import Compared, Pair, Time
from harness.report.sides import Sides
from harness.report.words import cell
from harness.strict import Strict

# Causes that are measured as GPU work: GPU-busy time tells their cost, wall time that of others.
BY_BUSY = ("work", "attention", "clock")


class Cost(Strict, frozen=True):
    """Milliseconds of a chunk, B less A, and the interval over processes where there is one."""

    ms: float
    low_ms: float | None
    high_ms: float | None


class ChangeRow(Strict, frozen=True):
    """One cause. `gpu_ms` and `idle_ms` add up to `change_ms`."""

    cause: str
    what: str
    where: str | None
    operator: str | None
    change_ms: float
    gpu_ms: float
    idle_ms: float
    share: float  # of A's wall time
    measure: Time  # whose difference it is held against
    evidence: str


class CaseChanges(Strict, frozen=True):
    """A pair of cases with profiles. No causes: nothing that is recorded explains a difference."""

    case_a: str
    case_b: str
    wall: Cost
    busy: Cost | None
    idle_ms: float
    unexplained_ms: float
    causes: list[ChangeRow]


@dataclass(frozen=True)
class Changed:
    """A pair with its analysis and its value."""

    pair: Pair
    changes: Changes
    told: CaseChanges


def changed_cases(sides: Sides) -> list[Changed]:
    """Every pair of which both sides have a profile, in order."""
    found = []
    for pair in sides.pairing.pairs:
        changes = changed_causes(pair.a, pair.b)
        if changes is not None:
            found.append(Changed(pair, changes, _told(pair, changes, sides.compared)))
    return found


def plain(words: Words) -> str:
    """The words of a cause as text."""
    return "".join(part if isinstance(part, str) else cell(part).text for part in words)


def measure_of(cause: ChangedCause) -> Time:
    """The measure whose difference is the cause's cost."""
    return "busy" if cause.cause in BY_BUSY else "wall"


def cost(before: Side, after: Side, measure: Time, compared: Compared | None) -> Cost:
    """The difference of a measure. `compared` has its ratio with the interval."""
    one, other = (getattr(side, f"{measure}_ms") for side in (before, after))
    low, high = (None, None)
    if compared is not None:
        ratio = compared.time.ratio
        low, high = ratio.low, ratio.high
    return Cost(
        ms=other - one,
        low_ms=None if low is None else one * (low - 1),
        high_ms=None if high is None else one * (high - 1),
    )


def _told(pair: Pair, changes: Changes, compared: list[Compared]) -> CaseChanges:
    both = changes.both
    known = {one.measure: one for one in compared if one.pair is pair and one.arm is None}
    case_a, case_b = pair.cases
    on_gpu = both.a.cells.on_gpu
    return CaseChanges(
        case_a=case_a.id,
        case_b=case_b.id,
        wall=cost(both.a, both.b, "wall", known.get("wall")),
        busy=cost(both.a, both.b, "busy", known.get("busy")) if on_gpu else None,
        idle_ms=changes.idle_ms,
        unexplained_ms=changes.unexplained_ms,
        causes=[_row(cause) for cause in changes.causes],
    )


def _row(cause: ChangedCause) -> ChangeRow:
    return ChangeRow(
        cause=cause.cause,
        what=cause.what,
        where=cause.where,
        operator=cause.operator,
        change_ms=cause.change_ms,
        gpu_ms=cause.gpu_ms,
        idle_ms=cause.idle_ms,
        share=cause.share,
        measure=measure_of(cause),
        evidence=plain(cause.words),
    )
