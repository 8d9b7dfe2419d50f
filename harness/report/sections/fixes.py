"""Recommendations, measured: fixes alone and stacked, their output, what was published of them."""

from dataclasses import dataclass

from harness.analysis.arm_power import arms_power
from harness.analysis.claims import RootCause
from harness.analysis.fix_arms import ArmTimes, energy_per_frame
from harness.analysis.fixes import Fixes, floor_ms, too_few
from harness.profiled import Ceilings
from harness.report.beside import (
    Trouble,
    find_profiled,
    find_rate,
    fixes_of_run,
    home,
    trouble_lines,
)
from harness.report.cells import (
    Cell,
    Inline,
    Line,
    Source,
    Table,
    count,
    line,
    ms,
)
from harness.report.material import MODE_LABELS, Material, of
from harness.report.sections.arm_power import PowerSection, power_section
from harness.report.sections.fix_cells import basis_of, gain_cells, output_cell, wall_of
from harness.report.sections.fix_output import OutputGroup, output_groups, rule_line, wrong_line
from harness.report.sections.fix_published import advice_note, advice_rows, longlive_line
from harness.report.sections.fix_tables import (
    cost_table,
    not_alone_line,
    others_table,
    single_table,
    stack_table,
    target_table,
)
from harness.report.sections.root_causes import found_causes
from harness.report.sections.stack_words import takes_words, within
from harness.result import Result
from harness.run import Run


@dataclass(frozen=True)
class FixSection:
    """The section, in its order."""

    of: Line | None
    sentences: tuple[Line, ...]
    predictions: Line
    singles: Table | None
    not_alone: Line | None
    stack: Table | None
    targets: Table | None
    floor: Line
    power: PowerSection | None
    others: Table | None
    longlive: Line | None
    outputs: tuple[OutputGroup, ...]
    output_rule: Line
    costs: Table | None
    cost_notes: tuple[Line, ...]
    published: Table | None
    published_note: Line
    troubles: tuple[Line, ...]


@dataclass(frozen=True)
class Profiled:
    """A profiled baseline, here or beside: its causes, and the rates measured with it."""

    run: Run
    result: Result
    causes: tuple[RootCause, ...] | None
    ceilings: Ceilings | None


@dataclass(frozen=True)
class FloorFound:
    """The least time of a chunk by its arithmetic, with its sources; or why it is not known."""

    ms: float | None
    sources: tuple[Source, ...]
    reason: str = ""


def fix_section(material: Material) -> FixSection | None:
    """None where the run has no variant as an arm."""
    troubles = list[Trouble]()
    fixes = fixes_of_run(material, troubles)
    if fixes is None:
        return None
    profiled = profiled_beside(material, fixes, troubles)
    causes = profiled.causes if profiled is not None else None
    origin = home(material, profiled.run) if profiled is not None else ""
    return FixSection(
        of=_of(fixes),
        sentences=tuple(_sentences(fixes)),
        predictions=_predictions(material, profiled),
        singles=single_table(fixes, causes, origin),
        not_alone=not_alone_line(fixes),
        stack=stack_table(fixes),
        targets=target_table(fixes),
        floor=_floor_line(floor_of(material, fixes)),
        power=power_section(powered(fixes)),
        others=others_table(fixes),
        longlive=longlive_line(fixes),
        outputs=output_groups(fixes.outputs),
        output_rule=rule_line(),
        costs=cost_table(fixes),
        cost_notes=tuple(_cost_notes(fixes)),
        published=advice_rows(material),
        published_note=advice_note(),
        troubles=trouble_lines(troubles),
    )


def powered(fixes: Fixes) -> list[ArmTimes]:
    """The baseline, every step of the stack, other modes and sizes, and fixes alone if held."""
    base = [] if fixes.base is None else [fixes.base]
    alone = [fix.times for fix in fixes.singles if arms_power([fix.times])]
    return [*base, *(step.times for step in fixes.steps), *alone, *fixes.others]


def fix_sentences(material: Material) -> list[Line]:
    """What the overview says of the fixes: the stack, the largest gain alone, how many did what."""
    fixes = fixes_of_run(material)
    if fixes is None:
        return []
    found = (_stack_sentence(fixes), _best_sentence(fixes), _calls_sentence(fixes))
    return [one for one in found if one is not None]


def profiled_beside(
    material: Material, fixes: Fixes, troubles: list[Trouble] | None = None
) -> Profiled | None:
    """The profiled baseline of the same mode and size whose causes predict the gains."""
    if fixes.main is None:
        return None
    case = fixes.main.case
    size = (case.width_px, case.height_px)
    run = find_profiled(material, case.mode, size, troubles)
    own = Material(run) if run is not None else None
    result = own.profiled(case.mode) if own is not None else None
    if run is None or own is None or result is None:
        return None
    if (result.case.width_px, result.case.height_px) != size:
        return None
    found = [causes for one, causes in found_causes(own) if one is result]
    told = (*found[0].worth_it, *found[0].too_small) if found else None
    return Profiled(run, result, told, result.ceilings)


def floor_of(material: Material, fixes: Fixes) -> FloorFound:
    """Of the stack's case; the rate is that beside the predicting profile, or another's."""
    profiled, base = profiled_beside(material, fixes), fixes.base
    if base is None:
        return FloorFound(None, (), "the stack was not measured")
    rated = find_rate(material, base.case)
    if profiled is not None and profiled.ceilings is not None:
        rated = profiled.run, profiled.result
    if rated is None:
        return FloorFound(None, (), "no run of this GPU has the rate of matrix products measured")
    run, result = rated
    assert result.ceilings is not None
    found = floor_ms(base.case, result.ceilings)
    if found is None:
        reason = result.ceilings.reason or "the rate of matrix products is not known"
        return FloorFound(None, (), reason)
    rate = home(material, run) + of(result, "/ceilings/matmul_flops_per_s")
    return FloorFound(found, (rate, of(base.results[0], "/case")))


def _of(fixes: Fixes) -> Line | None:
    if fixes.main is None:
        return None
    case = fixes.main.case
    size = Cell(f"{case.width_px}x{case.height_px}", (of(fixes.main.results[0], "/case/width_px"),))
    mode = MODE_LABELS[case.mode]
    return line(f"{mode} at ", size, ", every fix against the baseline in the same processes.")


def _predictions(material: Material, profiled: Profiled | None) -> Line:
    """Which profile the predictions and the floor rest on."""
    if profiled is None or profiled.causes is None:
        return line("Nothing is predicted: no run of this GPU has a profile of this mode and size.")
    origin = home(material, profiled.run)
    if not origin:
        return line("Predictions are by the root causes of this run's profile.")
    name = profiled.run.path.name
    run = Cell(name, (f"beside#{name}",), "code")
    return line("Predictions are by the root causes of the profile in run ", run, ".")


def _sentences(fixes: Fixes) -> list[Line]:
    found = (_stack_sentence(fixes), _best_sentence(fixes), _calls_sentence(fixes))
    return [one for one in (*found, wrong_line(fixes.outputs)) if one is not None]


def _stack_sentence(fixes: Fixes) -> Line | None:
    last = fixes.steps[-1] if fixes.steps else None
    if last is None or last.times.wall_change is None:
        return None
    times = last.times
    output = output_cell(last.output, times)
    if last.output is not None and last.output.fails:
        name = Cell(times.arm, form="code")
        return line("The output of ", name, " is worse, so its time means nothing: ", output, ".")
    return line(*takes_words(times), ". Its output: ", output, ".")


def _best_sentence(fixes: Fixes) -> Line | None:
    """The largest gain of a fix alone: of those that wall time decides, else of all."""
    sound = [fix for fix in fixes.singles if not fix.struck]
    if not sound:
        return None
    decided = [fix for fix in sound if fix.basis == "wall time"]
    best = max(decided or sound, key=lambda fix: fix.times.gain)
    wall, change = wall_of(best.times), best.times.wall_change
    if change is None or best.times.gain <= 0:
        return line("No fix alone saves wall time.")
    gain, interval = gain_cells(change, wall)
    words: list[Inline | str] = ["Alone, ", Cell(best.name, form="code"), " saves most: ", gain]
    words += [" of wall time", *within(interval)]
    return line(*words, f"; {too_few(best.times) or change.call}.")


def _calls_sentence(fixes: Fixes) -> Line | None:
    """How many single fixes came out how, and on which time; those whose output fails apart."""
    if not fixes.singles:
        return None
    calls: dict[str, list[tuple[Source, ...]]] = {}
    for fix in fixes.singles:
        few = too_few(fix.times)
        call = f"{fix.change.call} by {fix.basis}" if fix.change and fix.basis else "undecided"
        key = "struck out" if fix.struck else f"with {few}" if few else call
        calls.setdefault(key, []).append(basis_of(fix))
    words: list[Inline | str] = ["Fixes alone: "]
    for position, (key, found) in enumerate(calls.items()):
        at = tuple(dict.fromkeys(source for sources in found for source in sources))
        words += [", " * bool(position), count(len(found), *at), f" {key}"]
    return line(*words, ".")


def _floor_line(found: FloorFound) -> Line:
    if found.ms is None:
        return line(f"The floor is left out: {found.reason}.")
    return line(
        "The floor, a chunk's arithmetic without adapters at the measured rate of matrix "
        "products: ",
        ms(found.ms, *found.sources),
        ".",
    )


def _cost_notes(fixes: Fixes) -> list[Line]:
    """What to know of the costs, and why energy is missing."""
    reasons: dict[str, Source] = {}
    for times in fixes.shown:
        found = energy_per_frame(times)
        if found.joules is None:
            reasons.setdefault(found.reason, of(times.results[0], "/gpu"))
    notes = [
        line(
            "Peak memory is of all pipelines of the process while the arm runs: they share the "
            "weights, and each has caches of its own. The baseline's is taken last."
        )
    ]
    for reason, at in reasons.items():
        notes.append(line("Energy is not known everywhere: ", Cell(reason, (at,)), "."))
    return notes
