"""Proofs of arms that allow an error: what they say together, and as a table a case."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.error_budget import BUDGET, BudgetOutput, LeastCosine, proofs_of
from harness.analysis.fix_arms import ArmTimes
from harness.analysis.output_errors import OUTPUT_LIMIT, QUANTITIES
from harness.analysis.pooled import proves_others
from harness.report.cells import NOTHING, Cell, Inline, Line, Table, count, line, table
from harness.report.material import case_label, of
from harness.report.sections.fix_cells import times_cell

SEEDED = "seeded"
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


def budget_rule() -> Line:
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


def weights_line(outputs: Sequence[BudgetOutput]) -> Line | None:
    """What proofs with made-up weights leave open; None where all weights are real."""
    seeded = [one.result for one in outputs if one.result.case.weights == SEEDED]
    if not seeded:
        return None
    return line(
        "The weights are ",
        Cell(SEEDED, (of(seeded[0], "/case/weights"),)),
        " random values, so the frames are noise. The error of FP8 depends on the values, and "
        "trained weights have other outliers: how large it is with them, this proof does not say.",
    )


def budget_tables(outputs: Sequence[BudgetOutput]) -> tuple[CaseTable, ...]:
    """A table a case, a row an arm."""
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
