"""torch.compile Results: compiled against eager, the computed verdict, what compiling cost."""

from dataclasses import dataclass

from harness.analysis.chunks import chunk_timing
from harness.analysis.compiled import MIN_EFFECT, Verdict, verdict
from harness.analysis.findings import doubts
from harness.analysis.stats import Spread, spread
from harness.record_parts import Component
from harness.report.cells import (
    NOTHING,
    Cell,
    Inline,
    Line,
    Source,
    Table,
    count,
    line,
    number,
    percent,
    ratio,
    seconds,
    table,
)
from harness.report.material import Material, case_label, of
from harness.report.sections.components import COMPONENT_LABELS
from harness.report.sections.paired import by_case, compiled_pairs, pair_rows, pair_sentence
from harness.result import Result

COLD_LABELS = {**COMPONENT_LABELS, "first_chunk": "the whole first chunk"}
Timed = tuple[Spread, Source]


@dataclass(frozen=True)
class Compiled:
    """The section; `missing` says why there is nothing to compare."""

    pairs: Table | None
    rows: Table | None
    costs: Table | None
    sentences: tuple[Line, ...]
    missing: Line | None


@dataclass(frozen=True)
class Comparison:
    """One thing measured both ways."""

    label: Cell
    whole: bool  # the chunk, end to end; else one component
    result: Verdict
    sources: tuple[Source, Source]  # eager, compiled
    doubts: tuple[str, ...]  # why the samples of either side deserve little confidence


def compiled_section(material: Material) -> Compiled:
    """Cases that ran both ways in the same processes, then compiled cases with an eager twin."""
    comparisons = compare_all(material)
    pairs = compiled_pairs(material)
    missing = None
    if not comparisons and not pairs:
        missing = line("Missing: no compiled case has a result together with its eager twin.")
    return Compiled(
        pairs=pair_rows(pairs),
        rows=_rows(comparisons),
        costs=_costs(material),
        sentences=(
            *(pair_sentence(case, "Chunk, ") for case in by_case(pairs)),
            *(_sentence(item) for item in comparisons if item.whole),
        ),
        missing=missing,
    )


def compare_all(material: Material) -> list[Comparison]:
    """One process each way: end-to-end cases first, then isolated components.

    A mode that a paired case compares in the same processes is not compared this way.
    """
    paired = {pair.results[0].case.mode for pair in compiled_pairs(material)}
    whole: list[Comparison] = []
    parts: list[Comparison] = []
    for result in material.results:
        if not result.case.compiled:
            continue
        eager = material.eager_twin(result)
        if result.case.kind == "isolated":
            parts += _components(eager, result)
        elif eager is not None and result.case.mode not in paired:
            whole += _whole_chunk(eager, result)
    return whole + parts


@dataclass(frozen=True)
class Change:
    """What compiling does to the chunk, from the best comparison that the run has."""

    ratio: float
    call: str
    sources: tuple[Source, ...]


def chunk_change(material: Material) -> Change | None:
    """Wall time compiled over eager: of the first paired case, else of two single processes."""
    for pair in compiled_pairs(material):
        return Change(pair.verdict.ratio.value, pair.verdict.call, pair.sources)
    for item in compare_all(material):
        if item.whole:
            return Change(item.result.ratio, item.result.call, item.sources)
    return None


def _whole_chunk(eager: Result, compiled: Result) -> list[Comparison]:
    before, after = chunk_timing(eager), chunk_timing(compiled)
    if before is None or after is None or not before.wall_ms.median:
        return []
    label = Cell(f"Chunk, {compiled_label(compiled)}", (of(compiled, "/case"),), "strong")
    sources = (of(eager, "/chunks/*/wall_ms"), of(compiled, "/chunks/*/wall_ms"))
    found = verdict(before.wall_ms, after.wall_ms)
    return [Comparison(label, True, found, sources, _doubts(eager, compiled))]


def _components(eager: Result | None, compiled: Result) -> list[Comparison]:
    # A compiled case times the eager twin of each component in turn, in the same process; where it
    # does not, the eager case stands in.
    before = (_timed(eager, "eager") if eager is not None else {}) | _timed(compiled, "eager")
    doubtful = _doubts(compiled)
    found = []
    for name, (after, source) in _timed(compiled, "compiled").items():
        if name in before and before[name][0].median:
            first, first_source = before[name]
            label = Cell(COMPONENT_LABELS.get(name, name), (source,))
            sources = (first_source, source)
            found.append(Comparison(label, False, verdict(first, after), sources, doubtful))
    return found


def _doubts(*results: Result) -> tuple[str, ...]:
    return tuple(doubts(*results))


def confidence(item: Comparison) -> str:
    """Words to put behind a verdict; empty where nothing speaks against it."""
    return f"; low confidence: {', '.join(item.doubts)}" if item.doubts else ""


def _timed(result: Result, variant: str) -> dict[str, Timed]:
    def timed(index: int, component: Component) -> Timed | None:
        summary = spread(component.wall_ms)
        return (summary, of(result, f"/components/{index}/wall_ms")) if summary else None

    return {
        component.name: pair
        for index, component in enumerate(result.components)
        if component.variant == variant and (pair := timed(index, component)) is not None
    }


def compiled_label(result: Result) -> str:
    """A compiled case's name without the word that all of them share."""
    return case_label(result).text.replace(", compiled", "").lower()


def plain_label(item: Comparison) -> Cell:
    """The label without emphasis."""
    return Cell(item.label.text, item.label.sources)


def _rows(comparisons: list[Comparison]) -> Table | None:
    rows = []
    for item in comparisons:
        eager, compiled = item.sources
        rows.append(
            (
                item.label,
                number(item.result.eager_ms, eager),
                number(item.result.compiled_ms, compiled),
                ratio(item.result.ratio, eager, compiled),
                Cell(item.result.call),
                Cell(item.result.reason + confidence(item)),
            )
        )
    heads = ("What", ">Eager (ms)", ">Compiled (ms)", ">Compiled / eager", "Verdict", "Because")
    return table(heads, rows)


def _sentence(item: Comparison) -> Line:
    words: list[Inline | str] = [plain_label(item), ": "]
    change = percent(abs(item.result.change), *item.sources)
    direction = "shorter" if item.result.change < 0 else "longer"
    call = item.result.call
    if call == "no measurable difference":
        limit = percent(MIN_EFFECT, "rule#MIN_EFFECT")
        words += [
            "no measurable difference (the median is ",
            change,
            f" {direction}, below the minimum effect of ",
            limit,
            ")",
        ]
    elif call == "undecided":
        words += [
            "undecided (the median is ",
            change,
            f" {direction}, which lies within the spread of one process)",
        ]
    else:
        words += [f"{call} by ", change, " in one process each"]
    return line(*words, f"{confidence(item)}.")


def _costs(material: Material) -> Table | None:
    rows: list[tuple[Inline | str, ...]] = []
    for result in material.results:
        stats = result.compile
        if stats is None:
            continue
        name = Cell(result.case_id, (of(result, "/case_id"),), "code")
        rows.append(
            (
                name,
                seconds(sum(stats.cold_s.values()), of(result, "/compile/cold_s"))
                if stats.cold_s
                else NOTHING,
                Cell(
                    "; ".join(_cold_label(result, key) for key in stats.cold_s),
                    (of(result, "/compile/cold_s"),),
                ),
                count(stats.graphs, of(result, "/compile/graphs")),
                count(stats.graph_breaks, of(result, "/compile/graph_breaks")),
                count(stats.recompiles, of(result, "/compile/recompiles")),
            )
        )
    heads = ("Case", ">Cold compile", "Of", ">Graphs", ">Graph breaks", ">Recompiles")
    return table(heads, rows)


def _cold_label(result: Result, key: str) -> str:
    """What the cold time is of; a paired case ran eagerly before its compiled arm."""
    if key == "first_chunk" and result.case.arms:
        return "the first compiled chunk"
    return COLD_LABELS.get(key, key)
