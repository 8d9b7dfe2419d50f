"""What fixes save alone, and whether they save the same in the stack: their interactions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.analysis.comparisons import TIMES, TimeMeasure
from harness.analysis.fix_arms import ArmTimes
from harness.analysis.fixes import SingleFix
from harness.analysis.interactions import (
    Interaction,
    alone_of,
    interaction_of,
    net_alone,
    net_brings,
)
from harness.analysis.leave_out import LeftOut
from harness.analysis.left_out_together import one_by_one, together_of
from harness.analysis.saved_time import Saved, difference, saved_of
from harness.report.beside import Trouble, find_fixes, find_together, home
from harness.report.cells import (
    NOTHING,
    Cell,
    Inline,
    Line,
    Source,
    Table,
    between,
    line,
    listed,
    number,
    table,
    with_interval,
)
from harness.report.material import Material, of, of_all
from harness.report.sections.fix_cells import busy_of, wall_of
from harness.run import Run

NAMES: dict[TimeMeasure, str] = {"wall": "wall time", "busy": "GPU-busy time"}
CLOCK = "/busy/*/sm_clock_mhz"
APART: tuple[Interaction, ...] = (
    *("less than alone", "more than alone", "turns around"),
    *("costs less than alone", "costs more than alone"),
)
INTERACTION = (
    with_interval("Alone with what it needs (ms)"),
    with_interval("By itself, alone (ms)"),
    with_interval("By itself, in the stack (ms)"),
    with_interval("Difference (ms)"),
    "Interaction",
)


@dataclass(frozen=True)
class Alone:
    """Fixes alone, by the name of each the run that measured it, and runs that cannot be read."""

    singles: tuple[SingleFix, ...]
    runs: dict[str, Run]
    material: Material
    troubles: tuple[Trouble, ...]

    def at(self, single: SingleFix, measure: TimeMeasure) -> tuple[Source, ...]:
        """Where its times lie, as seen from the reported run."""
        return times_at(single.times, measure, home(self.material, self.runs[single.name]))


def alone_beside(material: Material, left: LeftOut) -> Alone:
    """Fixes alone in this run and in those beside it; of each the first that measured it."""
    runs: dict[str, Run] = {}
    singles: list[SingleFix] = []
    troubles: list[Trouble] = []
    for run, fixes in find_fixes(material, left.brings.case, troubles):
        for single in fixes.singles:
            if single.name not in runs:
                runs[single.name] = run
                singles.append(single)
    return Alone(tuple(singles), runs, material, tuple(troubles))


def interaction_line(own: Sequence[LeftOut], alone: Alone) -> Line | None:
    """Fixes whose savings in the stack are told apart from those alone; None where none is."""
    parts: list[Inline] = []
    for measure in reversed(TIMES):
        for one in (one for one in own if one.one_fix):
            told = interaction_of(one, own, alone.singles, measure)
            if told in APART:
                name = Cell(one.fix, (case_source(one),), "code")
                parts.append(line(name, f" ({told}, {NAMES[measure]})"))
    return line("Told apart: ", listed(parts), ".") if parts else None


def interaction_tables(own: Sequence[LeftOut], alone: Alone) -> Iterator[Table]:
    """A table for each time that fixes of this stack have alone; pairs of fixes have no row."""
    for measure in reversed(TIMES):
        singles = (alone_of(alone.singles, one.fix) for one in own)
        if any(single is not None and saved_of(single.times, measure) for single in singles):
            rows = [_row(one, own, alone, measure) for one in own if one.one_fix]
            if (found := table((f"Fix, by {NAMES[measure]}", *INTERACTION), rows)) is not None:
                yield found


def _row(
    left: LeftOut, others: Sequence[LeftOut], alone: Alone, measure: TimeMeasure
) -> tuple[Inline | str, ...]:
    """What the fix saves alone; then by itself, alone and in the stack, and what both show."""
    single = alone_of(alone.singles, left.fix)
    before = net_alone(alone.singles, left.fix, measure)
    after = net_brings(left, others, measure)
    more = difference(after, before) if before is not None and after is not None else None
    own = dict.fromkeys(at for one in others for at in times_at(one.brings, measure))
    beside = dict.fromkeys(at for one in alone.singles for at in alone.at(one, measure))
    return (
        Cell(left.fix, (case_source(left),), "code"),
        _saved(saved_of(single.times, measure), alone.at(single, measure)) if single else NOTHING,
        _saved(before, tuple(beside)),
        _saved(after, tuple(own)),
        _saved(more, (*own, *beside)),
        interaction_of(left, others, alone.singles, measure),
    )


def _saved(one: Saved | None, sources: tuple[Source, ...]) -> Inline:
    """Milliseconds, with their interval where there is one."""
    if one is None:
        return NOTHING
    value = number(one.value, *sources)
    if one.interval is None:
        return value
    return line(value, " (", between(number, *one.interval, *sources), ")")


def together_line(
    own: Sequence[LeftOut], material: Material, troubles: list[Trouble]
) -> Line | None:
    """Savings one at a time, added up, beside that of all at once; None where that has no times."""
    left = one_by_one(own)
    found = find_together(material, left, troubles) if left is not None else None
    if left is None or found is None:
        return None
    run, whole = found
    singly, jointly, seen = list[Line](), list[Line](), list[str]()
    for measure in TIMES:
        added_up, at_once = left.added_up(measure), saved_of(whole, measure)
        if added_up is None or at_once is None:
            continue
        at = dict.fromkeys(at for one in left.left for at in times_at(one.brings, measure))
        there = times_at(whole, measure, home(material, run))
        singly.append(line(_saved(added_up, tuple(at)), f" ms of {NAMES[measure]}"))
        jointly.append(line(_saved(at_once, there), f" ms of {NAMES[measure]}"))
        seen.append(f"{together_of(left, whole, measure)} by {NAMES[measure]}")
    if not seen:
        return None
    return line(
        *("One at a time, ", listed([Cell(one.fix, form="code") for one in left.left])),
        *(" save, added up, ", listed(singly), ". All at once, against "),
        *(Cell(whole.against, form="code"), " in ", run_words(material, run)),
        *(", they save ", listed(jointly), f". Whether that is the same: {', '.join(seen)}."),
    )


def run_words(material: Material, run: Run) -> Line:
    """A run beside by its name."""
    name = run.path.name
    if name == material.run.path.name:
        return line("this run")
    return line("run ", Cell(name, (f"beside#{name}",), "code"))


def case_source(left: LeftOut) -> Source:
    """Where the case lies that left it out."""
    return of(left.brings.results[0], "/case/arms")


def times_at(times: ArmTimes, measure: TimeMeasure, home: str = "") -> tuple[Source, ...]:
    """Where times of this measure lie; `home` is the folder of their run as seen from here."""
    found = wall_of(times) if measure == "wall" else busy_of(times)
    return tuple(home + source for source in found)


def cycles_at(times: ArmTimes) -> tuple[Source, ...]:
    """Where GPU-busy times and their clocks lie."""
    return (*busy_of(times), *of_all((one for one in times.results if one.busy), CLOCK))
