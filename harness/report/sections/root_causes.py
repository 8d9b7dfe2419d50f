"""Root Causes: each claim with its figures, the most a fix can gain, confidence and experiment."""

from dataclasses import dataclass

from harness.analysis.claims import LEAST_CEILING, RootCause
from harness.analysis.root_causes import Causes, root_causes
from harness.report.cells import Cell, Inline, Line, Table, count, line, percent, table
from harness.report.material import Material, case_label, of
from harness.report.sections.profiling import profiled_modes
from harness.report.words import ceiling_cells, sentence, sources
from harness.result import Result


@dataclass(frozen=True)
class CauseGroup:
    """The causes of one profiled case."""

    title: Cell
    ranking: Table | None
    claims: tuple[Line, ...]
    small: Line | None


def found_causes(material: Material) -> list[tuple[Result, Causes]]:
    """Every profiled mode on a GPU with its causes."""
    results = [result for result in profiled_modes(material) if material.subject(result).slot]
    return [(result, root_causes(material.subject(result))) for result in results]


def cause_groups(material: Material) -> tuple[CauseGroup, ...]:
    """The section; empty where no record has a profile of a GPU."""
    return tuple(_group(result, causes) for result, causes in found_causes(material))


def _group(result: Result, causes: Causes) -> CauseGroup:
    return CauseGroup(
        title=case_label(result),
        ranking=cause_table(causes.worth_it),
        claims=tuple(_claim(cause) for cause in causes.worth_it),
        small=_small(result, causes),
    )


def cause_table(causes: tuple[RootCause, ...]) -> Table | None:
    """Ceilings side by side. They overlap and must not be added."""
    rows: list[tuple[Inline | str, ...]] = [
        (
            Cell(cause.title, (of(cause.subject.result, "/case"),), "strong"),
            *ceiling_cells(cause.ceiling, ceiling_sources(cause)),
            cause.confidence,
            cause.verdict,
        )
        for cause in causes
    ]
    heads = (
        "Cause",
        ">Wall, at most (ms)",
        ">Share of wall",
        ">GPU-busy, at most (ms)",
        ">Share of GPU-busy",
        "Confidence",
        "Verdict",
    )
    return table(heads, rows)


def ceiling_sources(cause: RootCause) -> tuple[str, ...]:
    """What a ceiling was computed from, and the wall time that it is a share of."""
    result = cause.subject.result
    return sources((result,), (*cause.ceiling_paths, "/profile/wall_median_ms"))


def _claim(cause: RootCause) -> Line:
    result = cause.subject.result
    name = Cell(f"{cause.title}:", (of(result, "/case"),), "strong")
    words: list[Inline | str] = [name, " ", sentence(cause.claim, of_result=result)]
    words += [f". Confidence {cause.confidence}: {cause.because}. Experiment: {cause.experiment}"]
    if cause.verdict_words:
        words += [f". Verdict {cause.verdict}: ", sentence(cause.verdict_words, of_result=result)]
    else:
        words += [f". Verdict: {cause.verdict}"]
    return line(*words, ".")


def _small(result: Result, causes: Causes) -> Line | None:
    """Causes that are there and too small to matter."""
    if not causes.too_small:
        return None
    names = ", ".join(cause.title for cause in causes.too_small)
    number = count(len(causes.too_small), of(result, "/profile"))
    limit = percent(LEAST_CEILING, "rule#LEAST_CEILING")
    causes_ = "cause" if len(causes.too_small) == 1 else "causes"
    return line("Below the limit of ", limit, " of either time: ", number, f" {causes_} ({names}).")
