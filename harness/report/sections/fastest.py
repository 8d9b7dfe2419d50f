"""The fastest stack: its speed beside the lossless one, and whether its error is in its budget."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.error_budget import (
    BUDGET,
    BudgetOutput,
    Fastest,
    LeastCosine,
    arms_once,
    budget_outputs,
    fastest_of,
    proofs_of,
)
from harness.analysis.fix_arms import ArmTimes
from harness.analysis.fixes import too_few
from harness.analysis.output_errors import OUTPUT_LIMIT, QUANTITIES
from harness.analysis.pooled import proves_others
from harness.analysis.shown_frames import shown_frames
from harness.report.cells import (
    INTERVAL,
    NOTHING,
    Cell,
    Inline,
    Line,
    Table,
    count,
    decimals,
    line,
    table,
)
from harness.report.material import Material, case_label, of
from harness.report.sections.arm_power import PowerSection, power_section
from harness.report.sections.fix_cells import (
    COST_HEADS,
    cost_cells,
    gain_cells,
    times_cell,
    verdict_cell,
    wall_cell,
    wall_of,
)
from harness.report.sections.frames import frames_line

BUDGET_HEADS = (
    "Arm",
    "Verdict",
    *[f">Least cosine of {quantity}" for quantity in QUANTITIES],
    ">Least SSIM",
    ">Median SSIM",
    ">Largest error over the yardstick's",
    "Drift",
    ">Growth over the yardstick's",
    ">Chunks",
)


@dataclass(frozen=True)
class CaseTable:
    """A table of one case: its arms' speed, or their proof."""

    title: Cell
    rows: Table | None


@dataclass(frozen=True)
class FastestSection:
    """The section, in its order."""

    sentence: Line | None
    speed: tuple[CaseTable, ...]
    targets: Table | None
    power: PowerSection | None
    rule: Line
    budgets: tuple[CaseTable, ...]
    frames: Line | None


def fastest_section(material: Material) -> FastestSection | None:
    """None where the run neither times nor proves a variant with an error budget.

    The first case that times the fastest stack is the one that sentence and targets are of.
    """
    cases = fastest_of(material.run.processes)
    outputs = budget_outputs(material.run.processes)
    if not cases and not outputs:
        return None
    first = cases[0] if cases else None
    return FastestSection(
        sentence=_sentence(first, outputs) if first is not None else None,
        speed=tuple(
            CaseTable(case_label(one.base.results[0]), _speed(one, outputs)) for one in cases
        ),
        targets=_targets(first, outputs) if first is not None else None,
        power=power_section(arms_once(cases)),
        rule=_rule(),
        budgets=_groups(outputs),
        frames=frames_line(shown_frames(material.run.processes), [one.result for one in outputs]),
    )


def proof_words(outputs: Sequence[BudgetOutput], times: ArmTimes) -> tuple[str, bool]:
    """What the proofs of an arm say together, and whether its speed means nothing."""
    proofs = proofs_of(outputs, times.arm, times.case.mode)
    if not proofs:
        return "not examined in this run", False
    bad = [one for one in proofs if one.fails]
    calls = dict.fromkeys(one.verdict for one in bad or proofs)
    drifts = dict.fromkeys(one.drift_call for one in bad or proofs if one.bounded)
    if len(drifts) > 1:
        drifts.pop("too short to tell", None)  # another proof is long enough
    others = any(proves_others(one.result, times.results, times.arm) for one in proofs)
    words = (*calls, *drifts, *(["of other fixes by that name"] if others else []))
    return ", ".join(words), bool(bad)


def _sentence(found: Fastest, outputs: Sequence[BudgetOutput]) -> Line:
    words, fails = proof_words(outputs, found.fastest)
    name = Cell(found.fastest.arm, form="code")
    if fails:
        return line("The output of ", name, f" is {words}, so its time means nothing.")
    wall = wall_of(found.fastest)
    told: list[Inline | str] = ["The stack ", name, " takes "]
    told += [Cell(f"{decimals(found.fastest.wall.value)} ms", wall, "strong"), " a chunk, "]
    told += [Cell(f"{found.fastest.fps.value:.1f} FPS", wall, "strong")]
    if found.step is not None and found.step.wall_change is not None:
        gain = gain_cells(found.step.wall_change, wall)[0]
        told += [", and saves ", gain, " over the lossless stack; "]
        told += [too_few(found.step) or found.step.wall_change.call]
    return line(*told, f". Its output: {words}.")


def _speed(found: Fastest, outputs: Sequence[BudgetOutput]) -> Table | None:
    heads = (
        "Arm",
        *COST_HEADS,
        ">Gain on the baseline",
        INTERVAL,
        "Verdict",
        ">Gain on lossless",
        "Output",
    )
    rows = []
    for times in found.arms:
        words, fails = proof_words(outputs, times)
        step = found.steps.get(times.arm)
        over = gain_cells(step.wall_change, wall_of(step))[0] if step is not None else NOTHING
        rows.append(
            (
                Cell(times.arm, (of(times.results[0], "/case/arms"),), "code"),
                wall_cell(times, struck=fails),
                *cost_cells(times)[1:],
                *gain_cells(times.wall_change, wall_of(times)),
                verdict_cell(times),
                over,
                words,
            )
        )
    return table(heads, rows)


def _targets(found: Fastest, outputs: Sequence[BudgetOutput]) -> Table | None:
    """Limits of a chunk's time; met only with an output that is proven."""
    times, wall = found.fastest, wall_of(found.fastest)
    proofs = proofs_of(outputs, times.arm, times.case.mode)
    proven = bool(proofs) and all(_is_proven(one, times) for one in proofs)
    rows = []
    for name, kind in (("FASTEST_MS_MUST", "must"), ("FASTEST_MS_AIM", "aim")):
        met = "met" if times.wall.value <= BUDGET[name] else "missed"
        limit = Cell(f"at most {decimals(BUDGET[name])} ms", (f"rule#{name}",))
        verdict = too_few(times) or (met if proven else "output not proven")
        rows.append((kind, limit, Cell(f"{decimals(times.wall.value)} ms", wall), verdict))
    return table(("Target", ">Limit", ">Measured", "Verdict"), rows)


def _is_proven(proof: BudgetOutput, times: ArmTimes) -> bool:
    within = proof.call == "within the budget" and not proof.fails
    return within and not proves_others(proof.result, times.results, times.arm)


def _rule() -> Line:
    """How the verdicts are made."""
    cosine = Cell(f"{BUDGET['BUDGET_COSINE']:g}", ("rule#BUDGET_COSINE",))
    chunks = Cell(f"{BUDGET['DRIFT_CHUNKS']:g}", ("rule#DRIFT_CHUNKS",))
    limit = Cell(f"{BUDGET['DRIFT_LIMIT']:g}", ("rule#DRIFT_LIMIT",))
    worse = Cell(f"{OUTPUT_LIMIT:g}", ("rule#OUTPUT_LIMIT",))
    return line(
        "An arm that allows an error is within its budget where the cosines of flow, x0, keys and "
        "values with those of a float32 run with exact attention are at least ",
        cosine,
        " in every chunk. It drifts where, over ",
        chunks,
        " chunks of one prompt, an error's last third over its middle third is more than ",
        limit,
        " times the yardstick's. The other arms claim no error and are judged as fixes are: at "
        "most ",
        worse,
        " times the yardstick's errors, or the baseline's, in every chunk. The yardstick stands "
        "beside them.",
    )


def _groups(outputs: Sequence[BudgetOutput]) -> tuple[CaseTable, ...]:
    cases: dict[str, list[BudgetOutput]] = {}
    for output in outputs:
        cases.setdefault(output.result.case_id, []).append(output)
    return tuple(
        CaseTable(case_label(found[0].result), table(BUDGET_HEADS, [_row(one) for one in found]))
        for found in cases.values()
    )


def _row(output: BudgetOutput) -> tuple[Inline | str, ...]:
    errors = of(output.result, "/output_errors")
    least: list[Inline] = [_value(output, output.least.get(q), f"{q}_cosine") for q in QUANTITIES]
    growth: Cell = NOTHING
    if output.drift:
        growth = Cell(f"{max(output.drift.values()):.2f}", (errors,))
    ssim: Cell = NOTHING
    if output.median_ssim is not None:
        ssim = Cell(f"{output.median_ssim:.4f}", (f"{errors}/*/frame_ssim",))
    return (
        Cell(output.arm, (errors,), "code"),
        Cell(output.verdict, form="strong" if output.fails else "text"),
        *least,
        _value(output, output.least_ssim, "frame_ssim"),
        ssim,
        _against_yardstick(output),
        output.drift_call,
        growth,
        count(output.chunks, f"{errors}/*/chunk" if output.chunks else errors),
    )


def _against_yardstick(output: BudgetOutput) -> Cell:
    """Nothing for an arm that claims a budget: it is not judged by that."""
    proof = output.no_worse
    return NOTHING if proof is None or proof.place is None else times_cell(proof, proof.place)


def _value(output: BudgetOutput, found: LeastCosine | None, field: str) -> Cell:
    if found is None:
        return NOTHING
    source = of(output.result, f"/output_errors/{found.index}/{field}")
    return Cell(f"{found.value:.5f}", (source,))
