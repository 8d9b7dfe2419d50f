"""Leave one out: what each fix still brings in the whole stack, beside what it gains alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from harness.analysis.comparisons import TIMES, TimeMeasure
from harness.analysis.experiment import Call, Verdict
from harness.analysis.fix_arms import ArmTimes
from harness.analysis.fixes import too_few
from harness.analysis.leave_out import (
    LeftOut,
    by_bundle,
    call_of,
    change_of,
    cycles_of,
    gain_of,
    left_out_fixes,
)
from harness.report.beside import trouble_lines
from harness.report.cells import (
    NOTHING,
    Cell,
    Inline,
    Line,
    Source,
    Table,
    line,
    listed,
    table,
    with_interval,
)
from harness.report.material import Material
from harness.report.sections.fix_cells import (
    busy_cell,
    gain_cells,
    gain_line,
    wall_cell,
)
from harness.report.sections.interactions import (
    NAMES,
    Alone,
    alone_beside,
    case_source,
    cycles_at,
    interaction_line,
    interaction_tables,
    run_words,
    times_at,
    together_line,
)

UNHELPFUL: tuple[Call, ...] = ("same", "slower")  # verdicts of what a stack could do without
Row = tuple[Inline | str, ...]
BRINGS = (
    "Fix",
    "Left out with it",
    ">Wall without (ms)",
    ">GPU-busy without (ms)",
    with_interval("Brings, of wall"),
    with_interval("Brings, of GPU-busy"),
    with_interval("Brings, of GPU-busy cycles"),
    "Verdict",
)


@dataclass(frozen=True)
class BundleTable:
    """One stack without each of its fixes, and what that says."""

    sentence: Line
    brings: Table | None
    interactions: tuple[Table, ...]  # of GPU-busy and of wall time; none where none was seen alone
    told_apart: Line | None  # fixes that do not save in the stack what they save alone
    together: Line | None  # all of them at once, where some case measured that


@dataclass(frozen=True)
class LeaveOutSection:
    """Two tables a stack, and where gains alone come from."""

    alone: Line
    compared: bool  # whether some fix of some stack was measured alone
    bundles: tuple[BundleTable, ...]
    troubles: tuple[Line, ...]


def leave_out_section(material: Material) -> LeaveOutSection | None:
    """None where no case leaves a fix out."""
    left = left_out_fixes(material.run.processes)
    if not left:
        return None
    alone = alone_beside(material, left[0])
    troubles = list(alone.troubles)
    bundles = tuple(
        BundleTable(
            _sentence(own),
            table(BRINGS, [_brings(one) for one in own]),
            tuple(interaction_tables(own, alone)),
            interaction_line(own, alone),
            together_line(own, material, troubles),
        )
        for own in by_bundle(left)
    )
    return LeaveOutSection(
        alone=_alone_line(alone),
        compared=any(one.interactions for one in bundles),
        bundles=bundles,
        troubles=trouble_lines(troubles),
    )


def leave_out_sentences(material: Material) -> list[Line]:
    """What the overview says: of each stack, the fix that it could least do without."""
    return [_sentence(own) for own in by_bundle(left_out_fixes(material.run.processes))]


def _brings(left: LeftOut) -> Row:
    brings, case = left.brings, case_source(left)
    return (
        line(Cell(left.fix, (case,), "code"), ": ", Cell(left.title, (case,))),
        Cell(", ".join(left.with_it), (case,)) if left.with_it else NOTHING,
        wall_cell(left.without),
        busy_cell(left.without),
        *(_gain(brings, change_of(brings, one), times_at(brings, one)) for one in TIMES),
        _gain(brings, cycles_of(brings, "busy"), cycles_at(brings)),
        _verdict(left),
    )


def _gain(times: ArmTimes, change: Verdict | None, at: tuple[Source, ...]) -> Line:
    """With its interval from as many processes on as a verdict takes."""
    return gain_line(change, at) if times.enough else line(gain_cells(change, at)[0])


def _verdict(left: LeftOut) -> Cell:
    """By wall time; by GPU-busy time where that alone decides. Cycles that differ leave it open."""
    wall, busy = (call_of(left, measure) for measure in TIMES)
    if wall is None:
        return Cell(too_few(left.brings))
    if wall == "undecided" and busy not in (None, "undecided"):
        return Cell(f"{wall}; GPU-busy {busy}")
    return Cell(wall)


def _sentence(left: list[LeftOut]) -> Line:
    """Which fixes the stack could least do without, and without which it is as fast or faster."""
    words: list[Inline | str] = ["In ", Cell(left[0].bundle, form="code")]
    words += [", with all others in, of the fixes that take no other along"]
    for place, measure in enumerate(TIMES):
        most = _most(left, measure)
        if most is not None:
            gain = gain_cells(change_of(most.brings, measure), times_at(most.brings, measure))[0]
            few = too_few(most.brings)
            words += [" and " if place else " ", Cell(most.fix, form="code")]
            words += [f" brings most of {NAMES[measure]} (", gain, f"; {few})" if few else ")"]
    for call, measure in product(UNHELPFUL, TIMES):
        found = [one for one in left if one.by_itself and call_of(one, measure) == call]
        if found:
            names = listed([Cell(one.fix, form="code") for one in found])
            words += [f"; {call} by {NAMES[measure]}: ", names]
    return line(*words, ".")


def _most(left: Sequence[LeftOut], measure: TimeMeasure) -> LeftOut | None:
    """The fix with the largest gain, of those that no other needs where there are any."""
    single = [one for one in left if one.by_itself] or left
    known = [one for one in single if change_of(one.brings, measure) is not None]
    return max(known, key=lambda one: gain_of(one.brings, measure), default=None)


def _alone_line(alone: Alone) -> Line:
    runs = {run.path.name: run for run in alone.runs.values()}
    if not runs:
        return line("No run of this GPU measured the fixes alone: interactions are not known.")
    named = [run_words(alone.material, run) for run in runs.values()]
    return line("Gains alone are of ", listed(named), ".")
