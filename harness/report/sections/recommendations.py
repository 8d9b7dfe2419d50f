"""Recommendations: what could help, by the most it can gain, and what will not, with the reason."""

from dataclasses import dataclass

from harness.analysis.claims import LEAST_CEILING, RootCause
from harness.analysis.compile_cover import cover
from harness.analysis.experiment import MIN_EFFECT
from harness.report.cells import Cell, Inline, Line, Table, count, line, ms, percent, table
from harness.report.material import Material, of
from harness.report.sections.compiled import chunk_change
from harness.report.sections.fix_ranking import with_measured
from harness.report.sections.root_causes import ceiling_sources, found_causes
from harness.report.words import ceiling_cells, sentence
from harness.result import Result


@dataclass(frozen=True)
class Recommendations:
    """Both lists, of the first profiled mode."""

    of: Cell
    helps: Table | None
    useless: tuple[Line, ...]


def recommendations(material: Material) -> Recommendations | None:
    """None where no record has a profile of a GPU."""
    found = found_causes(material)
    if not found:
        return None
    result, causes = found[0]
    worth_it = with_measured(material, causes.worth_it)
    ranked = [c for c in worth_it if c.verdict != "refuted" and c.ceiling is not None]
    refuted = [cause for cause in worth_it if cause.verdict == "refuted"]
    compiling = _compiling(material, result)
    return Recommendations(
        of=Cell(result.case_id, (of(result, "/case_id"),), "code"),
        helps=_helps(ranked),
        useless=(
            *(_refuted(cause) for cause in refuted),
            *([compiling] if compiling is not None else []),
            *(_too_small(cause) for cause in causes.too_small),
        ),
    )


def _helps(ranked: list[RootCause]) -> Table | None:
    rows: list[tuple[Inline | str, ...]] = []
    for place, cause in enumerate(ranked, start=1):
        at = ceiling_sources(cause)
        wall_ms, wall_share, _, busy_share = ceiling_cells(cause.ceiling, at)
        rows.append(
            (
                count(place, *at),
                cause.fix[0].upper() + cause.fix[1:],
                Cell(cause.title, at),
                wall_ms,
                wall_share,
                busy_share,
                cause.confidence,
                cause.verdict,
            )
        )
    heads = (
        ">Rank",
        "What could help",
        "Against",
        ">Wall, at most (ms)",
        ">Share of wall",
        ">Share of GPU-busy",
        "Confidence",
        "Verdict",
    )
    return table(heads, rows)


def _refuted(cause: RootCause) -> Line:
    result = cause.subject.result
    what = f"{cause.title}, as far as measured: "
    return line(what, sentence(cause.verdict_words, of_result=result), ".")


def _too_small(cause: RootCause) -> Line:
    at = ceiling_sources(cause)
    words: list[Inline | str] = [f"{cause.fix[0].upper()}{cause.fix[1:]}: at most "]
    if cause.ceiling is not None:
        words += [ms(cause.ceiling.wall_ms, *at), " or "]
        words += [percent(cause.ceiling.wall_share, *at), " of wall time, below the limit of "]
    return line(*words, percent(LEAST_CEILING, "rule#LEAST_CEILING"), ".")


def _compiling(material: Material, result: Result) -> Line | None:
    """torch.compile, where it is measured as no gain or cannot be one."""
    if material.own:
        return None
    change, found = chunk_change(material), cover(result)
    if change is not None and change.call not in ("faster", "undecided"):
        gain = percent(abs(change.ratio - 1), *change.sources)
        longer = "longer" if change.ratio > 1 else "shorter"
        words = f"torch.compile of the VACE branch, measured: {change.call}, the chunk's wall time "
        return line(words, gain, f" {longer}.")
    if found is None or max(found.busy_ceiling, found.wall_ceiling) >= MIN_EFFECT:
        return None
    at = (of(result, f"{found.slot.path}/parts/*/device_ms"),)
    ceiling = percent(max(found.busy_ceiling, found.wall_ceiling), *at)
    return line("torch.compile of the VACE branch: it can gain at most ", ceiling, ".")
