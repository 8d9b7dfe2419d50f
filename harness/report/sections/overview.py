"""Overview: computed sentences and one table, what is missing, what lowers the confidence."""

from dataclasses import dataclass

from harness.analysis.chunks import base_arm, grouped_stages
from harness.analysis.claims import Ceiling, RootCause
from harness.analysis.comparisons import over_processes
from harness.analysis.findings import Evidence, case_findings
from harness.analysis.gpu_state import REASONS_FIELD, energy, phase_states
from harness.report.cells import (
    NOTHING,
    Cell,
    Inline,
    Line,
    Table,
    count,
    line,
    ms,
    number,
    percent,
    seconds,
    table,
)
from harness.report.material import Material, case_label, of, of_all
from harness.report.sections.absent import Absent, absent_cases
from harness.report.sections.compiled import Comparison, compare_all, confidence
from harness.report.sections.components import overhead_of
from harness.report.sections.fixes import fix_sentences
from harness.report.sections.limit import limit_sentences
from harness.report.sections.paired import by_case, compiled_pairs, pair_sentence
from harness.report.sections.root_causes import ceiling_sources, found_causes
from harness.report.sections.steady import Steady, chunk_heads, processes_note, steady_of
from harness.report.sections.verdict import doubts, headline, verdict
from harness.result import Result

GROUP_LABELS = {
    "encode": "the VAE encode",
    "hints": "the VACE hints",
    "denoise": "the denoise steps without hints",
    "clean": "the clean-cache pass",
    "decode": "the VAE decode",
    "other": "the rest",
}

MOST_FINDINGS = 3  # on the first screen
MOST_ANSWERS = 6  # to what the matrix asks, instead
MOST_CAUSES = 2
COMPILE_LEAD = "torch.compile of the VACE branch, "


@dataclass(frozen=True)
class Overview:
    """The first screen: the verdict, answers or the largest findings; then what else was found."""

    verdict: Line | None
    findings: tuple[Line, ...]
    sentences: tuple[Line, ...]
    rows: Table | None
    note: Line | None
    absent: tuple[Absent, ...]
    doubts: Cell
    remarks: tuple[Line, ...]


def overview(material: Material) -> Overview:
    """Everything is computed from the record; a sentence without its case is left out."""
    answers = [*fix_sentences(material), *limit_sentences(material)]
    told = [
        *answers,
        *_cause_sentences(material),
        _vace_sentence(material),
        _stage_sentence(material),
        *[pair_sentence(case, COMPILE_LEAD) for case in by_case(compiled_pairs(material))],
        *[_compile_sentence(item) for item in compare_all(material) if item.whole],
        _gpu_sentence(material),
    ]
    sentences = tuple(sentence for sentence in told if sentence is not None)
    shown = max(MOST_FINDINGS, min(len(answers), MOST_ANSWERS))
    steady = [(one, found) for one in material.end_to_end if (found := steady_of(material, one))]
    return Overview(
        verdict=verdict(material),
        findings=sentences[:shown],
        sentences=sentences[shown:],
        rows=_rows(material, steady),
        note=processes_note([found for _, found in steady]),
        absent=tuple(absent_cases(material)),
        doubts=doubts(material, material.results),
        remarks=tuple(_remarks(material)),
    )


def _cause_sentences(material: Material) -> list[Line]:
    """The causes whose removal could gain most wall time, of the first profiled mode."""
    found = found_causes(material)
    causes = found[0][1].worth_it if found else ()
    ranked = [(c.ceiling, c) for c in causes if c.ceiling and c.verdict != "refuted"]
    ranked.sort(key=lambda one: -one[0].wall_ms)
    return [_cause_sentence(cause, ceiling) for ceiling, cause in ranked[:MOST_CAUSES]]


def _cause_sentence(cause: RootCause, ceiling: Ceiling) -> Line:
    at = ceiling_sources(cause)
    return line(
        Cell(cause.title, at, "strong"),
        " costs at most ",
        ms(ceiling.wall_ms, *at),
        ", ",
        percent(ceiling.wall_share, *at),
        " of the chunk. Against it: ",
        Cell(cause.fix, at),
        f" ({cause.verdict}).",
    )


def _vace_sentence(material: Material) -> Line | None:
    isolated = material.plain("isolated", "inpainting") or material.plain("isolated", "depth")
    whole = material.chunk_of(isolated) if isolated is not None else None
    words: list[Inline | str] = []
    if isolated is not None and whole is not None:
        cost = overhead_of(material, isolated)
        if cost.bottom_up_ms is not None:
            parts = (of(isolated, "/components/*/wall_ms"), of(whole, "/chunks/*/wall_ms"))
            words += [ms(cost.bottom_up_ms, *parts), " by its parts (all forwards of a chunk), "]
            words += [percent(cost.bottom_up_share, *parts), " of the chunk"]
    text = material.plain("e2e", "text")
    first = headline(material)
    other = steady_of(material, text) if text is not None else None
    whole_chunk = steady_of(material, first[0]) if first is not None else None
    if first is not None and whole_chunk and other and first[0] is not text:
        sources = (*whole_chunk.wall, *other.wall)
        gap_ms = whole_chunk.chunk_ms.value - other.chunk_ms.value
        words += ["; " * bool(words), ms(gap_ms, *sources), " or "]
        words += [percent(gap_ms / whole_chunk.chunk_ms.value, *sources)]
        words += [" as the difference to a text-only chunk"]
    return line("VACE costs ", *words, ".") if words else None


def _stage_sentence(material: Material) -> Line | None:
    found = headline(material)
    processes = material.processes(found[0]) if found is not None else []
    groups = grouped_stages(processes)
    total_ms = sum(groups.values())
    if found is None or not total_ms:
        return None
    sources = of_all(processes, "/chunks/*/stage_ms")
    ranked = sorted(groups.items(), key=lambda item: -item[1])[:4]
    words: list[Inline | str] = []
    for index, (group, value) in enumerate(ranked):
        name = f"stage {group}" if material.own else GROUP_LABELS[group]
        words += [", " * bool(index), f"{name} ", percent(value / total_ms, *sources)]
    return line("Where the chunk goes: ", *words, ".")


def _compile_sentence(item: Comparison) -> Line:
    subject = Cell(item.label.text.removeprefix("Chunk, "), item.label.sources)
    return line(
        COMPILE_LEAD,
        subject,
        f": {item.result.call} (the chunk's median is ",
        percent(abs(item.result.change), *item.sources),
        " shorter" if item.result.change < 0 else " longer",
        f"){confidence(item)}.",
    )


def _gpu_sentence(material: Material) -> Line | None:
    found = headline(material)
    if found is None:
        return None
    result = found[0]
    state = next((item for item in phase_states(result) if item.phase == "steady"), None)
    if state is None or not state.samples:
        return None
    words: list[Inline | str] = []
    for field, divisor, unit in (
        ("sm_clock_mhz", 1.0, "MHz SM clock"),
        ("power_mw", 1e3, "W"),
        ("temperature_c", 1.0, "°C"),
    ):
        if field in state.fields:
            text = f"{state.fields[field].median / divisor:,.0f} {unit}"
            source = of(result, f"/gpu/series/fields/{field}")
            words += [", " * bool(words), Cell(text, (source,))]
    used, _ = energy(result)
    if used is not None:
        joules = Cell(f"{number(used.per_frame_j).text} J", (of(result, "/gpu"),))
        words += [", " * bool(words), joules, " a frame"]
    held = state.reasons or state.counters_ns
    known = REASONS_FIELD in result.gpu.series.fields or result.gpu.counters
    clocks = "were held back" if held else "were not held back" if known else "may be held back"
    which = ", the first process's" if len(material.processes(result)) > 1 else ""
    return line(f"The GPU meanwhile (medians{which}): ", *words, f"; its clocks {clocks}.")


def _rows(material: Material, steady: list[tuple[Result, Steady]]) -> Table | None:
    several = any(len(found.results) > 1 for _, found in steady)
    busy = [_busy_cell(material, result) for result, _ in steady]
    on_gpu = any(cell.text != NOTHING.text for cell in busy)
    rows: list[tuple[Inline | str, ...]] = [
        (
            case_label(result),
            *found.chunk_cells(several),
            found.spread_cell(),
            found.samples_cell(),
            *([cell] if on_gpu else []),
            found.fps_cell(),
            doubts(material, [result]),
        )
        for (result, found), cell in zip(steady, busy, strict=True)
    ]
    heads = (
        "Case",
        *chunk_heads(several),
        ">IQR / median",
        ">n",
        *([">GPU busy (ms)"] if on_gpu else []),
        ">FPS",
        "Low confidence",
    )
    return table(heads, rows)


def _busy_cell(material: Material, result: Result) -> Cell:
    """GPU-busy time of the chunk over the processes; nothing where that was not measured."""
    processes = material.processes(result)
    busy = over_processes(processes, "busy", base_arm(result.case))
    return number(busy.value if busy else None, *of_all(processes, "/busy/*/busy_ms"))


def _remarks(material: Material) -> list[Line]:
    """Findings, those that say the same of several cases together.

    Their words come from the record, so the record is their source.
    """
    remarks: dict[str, tuple[list[Cell], Line]] = {}
    for result in material.results:
        name = Cell(result.case_id, (of(result, "/case_id"),), "code")
        processes = material.processes(result)
        all_of = of_all(processes)
        for told in case_findings(processes):
            words: list[Inline | str] = [_part(told.result, part) for part in told.finding.parts]
            if told.processes is None:
                words = [Cell(str(part), all_of) for part in told.finding.parts]
            elif len(processes) > 1:
                words += [" (the worst process; it holds for ", count(told.processes, *all_of)]
                words += [" of ", count(len(processes), *all_of), ")"]
            text = line(*words, f". Next: {told.finding.next_step}.")
            names, _ = remarks.setdefault(text.__html__(), ([], text))
            names.append(name)
    return [
        line(*[part for name in names for part in (name, ", ")][:-1], ": ", text)
        for names, text in remarks.values()
    ]


def _part(result: Result, part: str | Evidence) -> Cell:
    if isinstance(part, str):
        return Cell(part, (of(result),))
    source = part.path if part.path.startswith("rule#") else of(result, part.path)
    if part.unit == "count":
        return count(int(part.value), source)
    return percent(part.value, source) if part.unit == "share" else seconds(part.value, source)
