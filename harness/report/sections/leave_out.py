"""Leave one out: what each fix still brings in the whole stack, beside what it gains alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.comparisons import TIMES, TimeMeasure
from harness.analysis.fix_arms import ArmTimes
from harness.analysis.fixes import SingleFix, too_few
from harness.analysis.leave_out import (
    LeftOut,
    alone_of,
    change_of,
    gain_of,
    interaction,
    left_out_fixes,
    net_alone,
    net_brings,
)
from harness.report.beside import find_fixes, home
from harness.report.cells import (
    NOTHING,
    Cell,
    Inline,
    Line,
    Source,
    Table,
    line,
    table,
    with_interval,
)
from harness.report.material import Material, of
from harness.report.sections.fix_cells import (
    busy_cell,
    busy_of,
    gain_cells,
    gain_line,
    verdict_cell,
    wall_cell,
    wall_of,
)
from harness.run import Run

NAMES: dict[TimeMeasure, str] = {"wall": "wall time", "busy": "GPU-busy time"}
Row = tuple[Inline | str, ...]
BRINGS = (
    "Fix",
    "Left out with it",
    ">Wall without (ms)",
    ">GPU-busy without (ms)",
    with_interval("Brings, of wall"),
    with_interval("Brings, of GPU-busy"),
    "Verdict",
)
BESIDE_ALONE = (
    "Fix",
    with_interval("Alone with what it needs, of wall"),
    with_interval("Alone with what it needs, of GPU-busy"),
    ">Itself alone, of wall",
    ">Itself in the stack, of wall",
    "Interaction, wall",
    ">Itself alone, of GPU-busy",
    ">Itself in the stack, of GPU-busy",
    "Interaction, GPU-busy",
)


@dataclass(frozen=True)
class BundleTable:
    """One stack without each of its fixes, and what that says."""

    sentence: Line
    brings: Table | None
    beside_alone: Table | None


@dataclass(frozen=True)
class LeaveOutSection:
    """Two tables a stack, and where gains alone come from."""

    alone: Line
    bundles: tuple[BundleTable, ...]


@dataclass(frozen=True)
class Alone:
    """Fixes alone, and by the name of each the run that measured it."""

    singles: tuple[SingleFix, ...]
    runs: dict[str, Run]
    material: Material

    def at(self, single: SingleFix, measure: TimeMeasure) -> tuple[Source, ...]:
        """Where its times lie, as seen from the reported run."""
        return _at(single.times, measure, home(self.material, self.runs[single.name]))


def leave_out_section(material: Material) -> LeaveOutSection | None:
    """None where no case leaves a fix out."""
    left = left_out_fixes(material.run.processes)
    if not left:
        return None
    alone = alone_beside(material, left[0])
    tables = (
        BundleTable(
            _sentence(own),
            table(BRINGS, [_brings(one) for one in own]),
            table(BESIDE_ALONE, [_beside_alone(one, own, alone) for one in own]),
        )
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


def alone_beside(material: Material, left: LeftOut) -> Alone:
    """Fixes alone in this run and in those beside it; of each the first that measured it."""
    runs: dict[str, Run] = {}
    singles: list[SingleFix] = []
    for run, fixes in find_fixes(material, left.brings.case):
        for single in fixes.singles:
            if single.name not in runs:
                runs[single.name] = run
                singles.append(single)
    return Alone(tuple(singles), runs, material)


def _brings(left: LeftOut) -> Row:
    brings, case = left.brings, _case(left)
    return (
        line(Cell(left.fix, (case,), "code"), ": ", Cell(left.title, (case,))),
        Cell(", ".join(left.with_it), (case,)) if left.with_it else NOTHING,
        wall_cell(left.without),
        busy_cell(left.without),
        *(_gain(brings, measure) for measure in TIMES),
        verdict_cell(brings),
    )


def _gain(times: ArmTimes, measure: TimeMeasure) -> Line:
    """With its interval from as many processes on as a verdict takes."""
    change, at = change_of(times, measure), _at(times, measure)
    return gain_line(change, at) if times.enough else line(gain_cells(change, at)[0])


def _beside_alone(left: LeftOut, others: Sequence[LeftOut], alone: Alone) -> Row:
    """Gains of the fix alone; then by itself, alone and in the stack, and what both show."""
    cells: list[Inline | str] = [Cell(left.fix, (_case(left),), "code")]
    single = alone_of(alone.singles, left.fix)
    for measure in TIMES:
        if single is None:
            cells.append(NOTHING)
        else:
            change = change_of(single.times, measure)
            cells.append(gain_line(change, alone.at(single, measure)))
    for measure in TIMES:
        cells += _by_itself(left, others, alone, measure)
    return tuple(cells)


def _by_itself(left: LeftOut, others: Sequence[LeftOut], alone: Alone, measure: TimeMeasure) -> Row:
    before = net_alone(alone.singles, left.fix, measure)
    after = net_brings(left, others, measure)
    own = dict.fromkeys(at for one in others for at in _at(one.brings, measure))
    beside = dict.fromkeys(at for one in alone.singles for at in alone.at(one, measure))
    return (
        gain_cells(before, tuple(beside))[0],
        gain_cells(after, tuple(own))[0],
        interaction(before, after),
    )


def _case(left: LeftOut) -> str:
    return of(left.brings.results[0], "/case/arms")


def _at(times: ArmTimes, measure: TimeMeasure, home: str = "") -> tuple[str, ...]:
    """Where times of this measure lie; `home` is the folder of their run as seen from here."""
    found = wall_of(times) if measure == "wall" else busy_of(times)
    return tuple(home + source for source in found)


def _sentence(left: list[LeftOut]) -> Line:
    """Which fixes the stack could least do without, and without which it is as fast or faster."""
    words: list[Inline | str] = ["In ", Cell(left[0].bundle, form="code")]
    words += [", with all others in, of the fixes that take no other along"]
    for place, measure in enumerate(TIMES):
        most = _most(left, measure)
        if most is not None:
            gain = gain_cells(change_of(most.brings, measure), _at(most.brings, measure))[0]
            few = too_few(most.brings)
            words += [" and " if place else " ", Cell(most.fix, form="code")]
            words += [f" brings most of {NAMES[measure]} (", gain, f"; {few})" if few else ")"]
    for call, told in (("same", "nothing any more: "), ("slower", "faster without: ")):
        for place, one in enumerate(one for one in left if one.call == call):
            words += [", " if place else f"; {told}", Cell(one.fix, form="code")]
    return line(*words, ".")


def _most(left: Sequence[LeftOut], measure: TimeMeasure) -> LeftOut | None:
    """The fix with the largest gain, of those that no other needs where there are any."""
    single = [one for one in left if one.by_itself] or left
    known = [one for one in single if change_of(one.brings, measure) is not None]
    return max(known, key=lambda one: gain_of(one.brings, measure), default=None)


def _alone_line(alone: Alone) -> Line:
    runs = dict.fromkeys(run.path.name for run in alone.runs.values())
    if not runs:
        return line("No run of this GPU measured the fixes alone: interactions are not known.")
    words: list[Inline | str] = ["Gains alone are of "]
    for place, name in enumerate(runs):
        own = name == alone.material.run.path.name
        shown = "this run" if own else line("run ", Cell(name, (f"beside#{name}",), "code"))
        words += [" and " if place else "", shown]
    return line(*words, ".")
