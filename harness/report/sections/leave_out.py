"""Leave one out: what each fix still brings in the whole stack, beside what it gains alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.fix_arms import ArmTimes
from harness.analysis.fixes import Fixes, too_few
from harness.analysis.leave_out import (
    LeftOut,
    alone_of,
    interaction,
    left_out_fixes,
    net_alone,
    net_brings,
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
    ">Itself alone",
    ">Itself in the stack",
    "Interaction",
)


@dataclass(frozen=True)
class BundleTable:
    """One stack without each of its fixes, and what that says."""

    sentence: Line
    rows: Table | None


@dataclass(frozen=True)
class LeaveOutSection:
    """A table a stack, and where gains alone come from."""

    alone: Line
    bundles: tuple[BundleTable, ...]


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
    tables = (
        BundleTable(_sentence(own), table(HEADS, [_row(one, own, alone) for one in own]))
        for own in _by_bundle(left)
    )
    return LeaveOutSection(_alone_line(alone), tuple(tables))


def leave_out_sentences(material: Material) -> list[Line]:
    """What the overview says: of each stack, the fix that it could least do without."""
    return [_sentence(own) for own in _by_bundle(left_out_fixes(material.run.processes))]


def _by_bundle(left: Sequence[LeftOut]) -> list[list[LeftOut]]:
    bundles: dict[str, list[LeftOut]] = {}
    for one in left:
        bundles.setdefault(one.bundle, []).append(one)
    return list(bundles.values())


def alone_beside(material: Material, left: LeftOut) -> Alone | None:
    """The run with the fixes alone: this one, else the newest beside it."""
    found = find_fixes(material, left.brings.case)
    if found is None:
        return None
    run, fixes = found
    return Alone(fixes, home(material, run), run.path.name)


def _row(left: LeftOut, others: Sequence[LeftOut], alone: Alone | None) -> tuple[Inline | str, ...]:
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
        *_net_cells(left, others, alone),
    )


def _alone_cells(left: LeftOut, alone: Alone | None) -> tuple[Cell, ...]:
    """Gain alone with its interval, and gain of the step that holds the fix."""
    single = alone_of(alone.fixes, left.fix) if alone is not None else None
    if alone is None or single is None:
        return NOTHING, NOTHING, NOTHING
    step: Cell = NOTHING
    if single.step is not None:
        step = gain_cells(single.step.step.wall_change, _at(alone, single.step.step))[0]
    return *gain_cells(single.times.wall_change, _at(alone, single.times)), step


def _net_cells(
    left: LeftOut, others: Sequence[LeftOut], alone: Alone | None
) -> tuple[Inline | str, ...]:
    """Gains of the fix by itself, alone and in the stack, and the interaction that they show."""
    before = net_alone(alone.fixes, left.fix) if alone is not None else None
    after = net_brings(left, others)
    places = [source for one in others for source in wall_of(one.brings)]
    own = tuple(dict.fromkeys(places))
    if alone is None or before is None:
        return NOTHING, gain_cells(after, own)[0], interaction(before, after)
    beside = dict.fromkeys(s for one in alone.fixes.singles for s in _at(alone, one.times))
    cells = gain_cells(before, tuple(beside))[0], gain_cells(after, own)[0]
    return *cells, interaction(before, after)


def _at(alone: Alone, times: ArmTimes) -> tuple[str, ...]:
    """Where wall times of the run with the fixes alone lie, as seen from here."""
    return tuple(alone.home + source for source in wall_of(times))


def _sentence(left: list[LeftOut]) -> Line:
    """Which fix the stack could least do without, and which it could."""
    most = left[0]
    words: list[Inline | str] = [
        "In ",
        Cell(most.bundle, form="code"),
        ", with all others in, ",
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
