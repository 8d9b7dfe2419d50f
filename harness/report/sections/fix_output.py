"""The proof of output as tables: every arm's worst errors against the yardstick's own."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.output_errors import (
    OUTPUT_LIMIT,
    QUANTITIES,
    YARDSTICK,
    ArmOutput,
    is_wrong,
)
from harness.report.beside import home_of
from harness.report.cells import NOTHING, Cell, Inline, Line, Table, count, line, table
from harness.report.material import case_label
from harness.report.sections.fix_cells import place_words, proof_source, run_cell, times_cell


@dataclass(frozen=True)
class OutputGroup:
    """The proof of one case."""

    title: Line
    rows: Table | None


def output_groups(outputs: Sequence[ArmOutput]) -> tuple[OutputGroup, ...]:
    """One table for each proof of the run, then for those that it takes from runs beside it."""
    cases: dict[tuple[str, str], list[ArmOutput]] = {}
    for output in outputs:
        cases.setdefault((output.run, output.result.case_id), []).append(output)
    return tuple(
        OutputGroup(_title(found[0]), table(HEADS, [_row(one) for one in found]))
        for found in cases.values()
    )


def _title(output: ArmOutput) -> Line:
    """The case; of which run, if another."""
    label = case_label(output.result)
    at = tuple(home_of(output.run) + source for source in label.sources)
    beside = (", in run ", run_cell(output)) if output.run else ()
    return line(Cell(label.text, at, label.form), *beside)


HEADS = (
    "Arm",
    "Verdict",
    *[f">{quantity}" for quantity in QUANTITIES],
    "Worst at",
    ">Against the base",
    ">Least latent cosine",
    ">Frame PSNR, median (dB)",
    ">Chunks",
)


def _row(output: ArmOutput) -> tuple[Inline | str, ...]:
    errors = proof_source(output, "/output_errors")
    ratios: list[Inline] = [
        times_cell(output, output.worst[quantity]) if output.worst else NOTHING
        for quantity in QUANTITIES
    ]
    psnr: Cell = Cell("equal", (errors,))
    if output.psnr_db is not None:
        psnr = Cell(
            f"{output.psnr_db:.1f}", (proof_source(output, "/output_errors/*/frame_psnr_db"),)
        )
    cosine = proof_source(output, "/output_errors/*/latent_cosine")
    return (
        Cell(output.arm, (errors,), "code"),
        Cell(output.call, form="strong" if output.call in ("fails", "NOT caught") else "text"),
        *ratios,
        place_words(output, output.place) if output.place else NOTHING,
        times_cell(output, output.against_base) if output.against_base else NOTHING,
        Cell(f"{output.cosine:.6f}", (cosine,)),
        psnr,
        count(output.chunks, proof_source(output, "/output_errors/*/chunk")),
    )


def rule_line() -> Line:
    """How the verdicts are made."""
    limit = Cell(f"{OUTPUT_LIMIT:g}", ("rule#OUTPUT_LIMIT",))
    return line(
        "Errors of flow, x0, keys and values against a float32 run with exact attention, over "
        "those of the baseline with ",
        Cell(YARDSTICK, form="code"),
        "; the largest ratio of any chunk. An arm passes up to ",
        limit,
        " in every chunk. It is as the base where the baseline's own kernel is over that limit and "
        "the arm stays within it of the baseline.",
    )


def wrong_line(outputs: Sequence[ArmOutput]) -> Line | None:
    """Whether the arms that are wrong on purpose were caught; None where the run has none."""
    wrong = [output for output in outputs if is_wrong(output.arm)]
    if not wrong:
        return None
    caught = [output for output in wrong if output.call == "caught"]
    at = tuple(dict.fromkeys(proof_source(output, "/output_errors") for output in wrong))
    return line(
        "Of arms that are wrong on purpose the proof caught ",
        count(len(caught), *at),
        " of ",
        count(len(wrong), *at),
        ".",
    )
