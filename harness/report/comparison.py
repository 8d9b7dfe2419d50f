"""What `invoke compare` says, as a value: differences, verdicts, exit code. Kept as JSON."""

from collections.abc import Sequence
from typing import Literal

from harness.analysis.environment import text
from harness.analysis.experiment import Call, Ratio
from harness.analysis.pairs import Compared, Time, enough_processes
from harness.report.changed import CaseChanges, changed_cases
from harness.report.sides import Names, Sides, decided, left_out
from harness.strict import Strict

COMPARISON_VERSION = 2
EXIT_CODES: dict[Call, int] = {"same": 0, "faster": 0, "undecided": 3, "slower": 4}
WORST_FIRST: tuple[Call, ...] = ("slower", "undecided", "same", "faster")


class RatioFigures(Strict, frozen=True):
    """Time (or cycles) of B over that of A, with its interval and the processes of each side."""

    ratio: float
    low: float | None
    high: float | None
    processes: tuple[int, int]
    call: Call


class VerdictRow(Strict, frozen=True):
    """One measure of one pair. `call` already heeds the cycles; `time` and `cycles` stand alone."""

    case_a: str
    case_b: str
    arm: str | None
    measure: Literal["wall", "busy"]
    decides: bool
    time: RatioFigures
    cycles: RatioFigures | None
    call: Call
    reason: str


class DifferenceRow(Strict, frozen=True):
    """A key of the environment whose value the sides do not share."""

    key: str
    a: str
    b: str
    asked: bool


class Comparison(Strict, frozen=True):
    """Everything that `invoke compare` says."""

    schema_version: int
    a: str
    b: str
    across: list[str]
    differences: list[DifferenceRow]
    verdicts: list[VerdictRow]
    not_compared: dict[str, str]  # case -> reason
    changes: list[CaseChanges]  # of pairs with profiles
    warnings: list[str]
    call: Call
    exit_code: int
    next_step: str


def comparison(sides: Sides, measure: Time | None, names: Names) -> Comparison:
    """The comparison of two accepted sides; `names` are for the commands that it suggests.

    Raises UsageError where no case has the measure.
    """
    chosen = decided(sides.compared, measure)
    calls = [one.call for one in chosen]
    worst = next(call for call in WORST_FIRST if call in calls)
    warnings = [
        f"warning: {one.label} is slower in {one.measure} time, which does not decide here"
        for one in sides.compared
        if one.call == "slower" and one not in chosen
    ]
    return Comparison(
        schema_version=COMPARISON_VERSION,
        a=sides.names.a,
        b=sides.names.b,
        across=list(sides.across),
        differences=[
            DifferenceRow(key=one.key, a=text(one.a), b=text(one.b), asked=one.role == "asked")
            for _, one in sides.found
        ],
        verdicts=[_row(one, decides=one in chosen) for one in sides.compared],
        not_compared=left_out(sides, chosen),
        changes=[one.told for one in changed_cases(sides)],
        warnings=warnings,
        call=worst,
        exit_code=EXIT_CODES[worst],
        next_step=_next_step(worst, chosen, names, sides),
    )


def _row(one: Compared, *, decides: bool) -> VerdictRow:
    case_a, case_b = one.pair.cases
    cycles = one.cycles
    return VerdictRow(
        case_a=case_a.id,
        case_b=case_b.id,
        arm=one.arm,
        measure=one.measure,
        decides=decides,
        time=_figures(one.time.ratio, one.time.call),
        cycles=_figures(cycles.ratio, cycles.call) if cycles else None,
        call=one.call,
        reason=one.reason,
    )


def _figures(ratio: Ratio, call: Call) -> RatioFigures:
    return RatioFigures(
        ratio=ratio.value, low=ratio.low, high=ratio.high, processes=ratio.processes, call=call
    )


def _next_step(call: Call, chosen: Sequence[Compared], names: Names, sides: Sides) -> str:
    if call == "undecided":
        return (
            f"next: `invoke bench --matrix {sides.b.manifest.matrix} --processes "
            f"{enough_processes(chosen)}` where A was measured and where B was, then compare again"
        )
    if call in ("same", "faster"):
        return f"next: `invoke gate --baseline {names.b}` holds the next run against B"
    slower = next(one for one in chosen if one.call == "slower")
    case_a, case_b = slower.pair.cases
    alone = len(sides.pairing.pairs) == 1
    command = (
        f"report --run {names.b}"
        if alone
        else f"compare --a {names.a}:{case_a.id} --b {names.b}:{case_b.id}"
    )
    return f"next: {slower.label} is slower; `invoke {command}`"
