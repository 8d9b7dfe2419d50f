"""The fastest stack: its speed beside the lossless one, and whether its error is in its budget."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.error_budget import (
    BudgetOutput,
    Fastest,
    arms_once,
    budget_outputs,
    fastest_of,
)
from harness.analysis.fastest_targets import SpeedTarget, speed_targets
from harness.analysis.fix_arms import ArmTimes
from harness.analysis.shown_frames import shown_frames
from harness.report.cells import (
    INTERVAL,
    NOTHING,
    Cell,
    Inline,
    Line,
    Table,
    decimals,
    line,
    table,
)
from harness.report.material import Material, case_label, of, of_all
from harness.report.sections.arm_power import PowerSection, power_section
from harness.report.sections.budget_proof import (
    SEEDED,
    CaseTable,
    budget_rule,
    budget_tables,
    proof_words,
    weights_line,
)
from harness.report.sections.fix_cells import (
    COST_HEADS,
    cost_cells,
    gain_cells,
    verdict_cell,
    wall_cell,
    wall_interval,
    wall_of,
)
from harness.report.sections.frames import frames_line
from harness.report.sections.stack_words import saves_words, takes_words
from harness.variants import is_bounded


@dataclass(frozen=True)
class FastestSection:
    """The section, in its order."""

    sentences: tuple[Line, ...]
    speed: tuple[CaseTable, ...]
    targets: Table | None
    power: PowerSection | None
    rule: Line
    weights: Line | None
    budgets: tuple[CaseTable, ...]
    frames: Line | None


def fastest_section(material: Material) -> FastestSection | None:
    """None where the run neither times nor proves a variant with an error budget.

    The first case that times the fastest stack is the one that sentences and targets are of.
    """
    cases = fastest_of(material.run.processes)
    outputs = budget_outputs(material.run.processes)
    if not cases and not outputs:
        return None
    first = cases[0] if cases else None
    return FastestSection(
        sentences=_stack_sentences(first, outputs) if first is not None else (),
        speed=tuple(
            CaseTable(case_label(one.base.results[0]), _speed(one, outputs)) for one in cases
        ),
        targets=_targets(first, outputs) if first is not None else None,
        power=power_section(arms_once(cases)),
        rule=budget_rule(),
        weights=weights_line(outputs),
        budgets=budget_tables(outputs),
        frames=frames_line(shown_frames(material.run.processes), [one.result for one in outputs]),
    )


def fastest_sentences(material: Material) -> list[Line]:
    """What the overview says: the fastest stack, the lossless one beside it, the targets."""
    cases = fastest_of(material.run.processes)
    outputs = budget_outputs(material.run.processes)
    if not cases:
        return []
    return [*_stack_sentences(cases[0], outputs), _target_sentence(cases[0], outputs)]


def _stack_sentences(found: Fastest, outputs: Sequence[BudgetOutput]) -> tuple[Line, ...]:
    stacks = [(found.fastest, found.step), (found.lossless, None)]
    return tuple(_sentence(one, step, outputs) for one, step in stacks if one is not None)


def _sentence(times: ArmTimes, step: ArmTimes | None, outputs: Sequence[BudgetOutput]) -> Line:
    words, fails = proof_words(outputs, times)
    if fails:
        name = Cell(times.arm, form="code")
        return line("The output of ", name, f" is {words}, so its time means nothing.")
    saved = saves_words(step) if step is not None else []
    made_up = of_all(times.results, "/case/weights")
    seeded = times.case.weights == SEEDED and is_bounded(times.arm)
    with_them: list[Inline | str] = [", with ", Cell(SEEDED, made_up), " weights"] * seeded
    return line(*takes_words(times), *saved, f". Its output: {words}", *with_them, ".")


def _target_sentence(found: Fastest, outputs: Sequence[BudgetOutput]) -> Line:
    words: list[Inline | str] = ["Targets of ", Cell(found.fastest.arm, form="code"), ": "]
    for position, target in enumerate(speed_targets(found, outputs)):
        words += ["; " * bool(position), f"{target.kind}, ", _limit(target), f": {target.met}"]
    return line(*words, ".")


def _speed(found: Fastest, outputs: Sequence[BudgetOutput]) -> Table | None:
    heads = (
        "Arm",
        COST_HEADS[0],
        INTERVAL,
        *COST_HEADS[1:],
        ">Gain on the baseline",
        INTERVAL,
        "Verdict",
        ">Gain on lossless",
        INTERVAL,
        "Output",
    )
    rows: list[tuple[Inline | str, ...]] = []
    for times in found.arms:
        words, fails = proof_words(outputs, times)
        step = found.steps.get(times.arm)
        over = (NOTHING, NOTHING)
        if step is not None:
            over = gain_cells(step.wall_change, wall_of(step))
        rows.append(
            (
                Cell(times.arm, (of(times.results[0], "/case/arms"),), "code"),
                wall_cell(times, struck=fails),
                wall_interval(times, struck=fails),
                *cost_cells(times)[1:],
                *gain_cells(times.wall_change, wall_of(times)),
                verdict_cell(times),
                *over,
                words,
            )
        )
    return table(heads, rows)


def _targets(found: Fastest, outputs: Sequence[BudgetOutput]) -> Table | None:
    """Limits of a chunk's time beside what was measured."""
    times = found.fastest
    measured = Cell(f"{decimals(times.wall.value)} ms", wall_of(times))
    rows = [
        (one.kind, _limit(one), measured, wall_interval(times), one.met)
        for one in speed_targets(found, outputs)
    ]
    return table(("Target", ">Limit", ">Measured", INTERVAL, "Verdict"), rows)


def _limit(target: SpeedTarget) -> Cell:
    return Cell(f"at most {decimals(target.limit_ms)} ms", (f"rule#{target.rule}",))
