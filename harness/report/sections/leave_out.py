"""Leave one out: what each fix still brings in the whole stack, beside what it gains alone."""

from dataclasses import dataclass

from harness.analysis.fixes import Fixes, too_few
from harness.analysis.leave_out import (
    LeftOut,
    alone_of,
    interaction,
    left_out_fixes,
    same_set,
)
from harness.report.beside import find_fixes, home
from harness.report.cells import INTERVAL, NOTHING, Cell, Inline, Line, Table, line, table
from harness.report.material import Material, of
from harness.report.sections.fix_cells import gain_cells, verdict_cell, wall_cell, wall_of

HEADS = (
    "Fix",
    "Left out with it",
    ">Wall without (ms)",
    ">Brings in the stack",
    INTERVAL,
    "Verdict",
    ">Gain alone",
    INTERVAL,
    ">Gain of its step",
    "Interaction",
)


@dataclass(frozen=True)
class LeaveOutSection:
    """The table, and where gains alone come from."""

    sentence: Line
    alone: Line
    rows: Table | None


@dataclass(frozen=True)
class Alone:
    """Fixes alone and the run that measured them, as seen from the reported one."""

    fixes: Fixes
    home: str
    run_id: str


def leave_out_section(material: Material) -> LeaveOutSection | None:
    """None where no case leaves a fix out."""
    left = left_out_fixes(material.run.processes)
    if not left:
        return None
    alone = alone_beside(material, left[0])
    rows = table(HEADS, [_row(one, alone) for one in left])
    return LeaveOutSection(_sentence(left), _alone_line(alone), rows)


def alone_beside(material: Material, left: LeftOut) -> Alone | None:
    """The run with the fixes alone: this one, else the newest beside it."""
    found = find_fixes(material, left.brings.case)
    if found is None:
        return None
    run, fixes = found
    return Alone(fixes, home(material, run), run.path.name)


def _row(left: LeftOut, alone: Alone | None) -> tuple[Inline | str, ...]:
    brings, case = left.brings, of(left.brings.results[0], "/case/arms")
    gain, interval = gain_cells(brings.wall_change, wall_of(brings))
    return (
        line(Cell(left.fix, (case,), "code"), ": ", Cell(left.title, (case,))),
        Cell(", ".join(left.with_it), (case,)) if left.with_it else NOTHING,
        wall_cell(left.without),
        gain,
        interval,
        verdict_cell(brings),
        *_alone_cells(left, alone),
    )


def _alone_cells(left: LeftOut, alone: Alone | None) -> tuple[Inline | str, ...]:
    """Gain alone with its interval, gain of the step that holds the fix, the interaction."""
    single = alone_of(alone.fixes, left.fix) if alone is not None else None
    if alone is None or single is None:
        return NOTHING, NOTHING, NOTHING, "not measured alone"
    at = tuple(alone.home + source for source in wall_of(single.times))
    step: Cell = NOTHING
    if single.step is not None:
        places = tuple(alone.home + source for source in wall_of(single.step.step))
        step = gain_cells(single.step.step.wall_change, places)[0]
    named = interaction(single.times.wall_change, left.brings.wall_change)
    other = "" if same_set(left, single) else " (of other sets: see needs)"
    return (*gain_cells(single.times.wall_change, at), step, named + other)


def _sentence(left: list[LeftOut]) -> Line:
    """Which fix the stack could least do without, and which it could."""
    most = left[0]
    words: list[Inline | str] = [
        "With all others in, ",
        Cell(most.fix, form="code"),
        " brings most: ",
    ]
    words += [gain_cells(most.brings.wall_change, wall_of(most.brings))[0], " of wall time"]
    words += [f" ({too_few(most.brings)})" if too_few(most.brings) else ""]
    idle = [one for one in left if one.brings.wall_change and one.brings.wall_change.call == "same"]
    if idle:
        words += ["; nothing any more: ", Cell(", ".join(one.fix for one in idle), form="code")]
    return line(*words, ".")


def _alone_line(alone: Alone | None) -> Line:
    if alone is None:
        return line("No run of this GPU measured the fixes alone: interactions are not known.")
    if not alone.home:
        return line("Gains alone are of this run.")
    run = Cell(alone.run_id, (f"beside#{alone.run_id}",), "code")
    return line("Gains alone, and of the step that holds a fix, are those of run ", run, ".")
