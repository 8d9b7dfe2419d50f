"""Overview: computed sentences and one table, what is missing, what lowers the confidence."""

from dataclasses import dataclass

from harness.analysis.chunks import ChunkTiming, chunk_timing, grouped_stages
from harness.analysis.findings import Evidence, case_findings
from harness.analysis.gpu_state import REASONS_FIELD, energy, phase_states
from harness.matrix import Case
from harness.report.cells import (
    INTERVAL,
    NOTHING,
    Cell,
    Inline,
    Line,
    Table,
    between,
    count,
    line,
    ms,
    number,
    percent,
    seconds,
    table,
)
from harness.report.material import MODES, Material, case_label, mode_label, of, of_all
from harness.report.sections.absent import Absent, absent_cases
from harness.report.sections.compiled import Comparison, compare_all, confidence
from harness.report.sections.components import overhead_of
from harness.report.sections.fixes import fix_sentences
from harness.report.sections.paired import by_case, compiled_pairs, pair_sentence
from harness.report.sections.steady import Steady, chunk_heads, processes_note, steady_of
from harness.result import Result
from harness.variants import BASELINE

GROUP_LABELS = {
    "encode": "the VAE encode",
    "hints": "the VACE hints",
    "denoise": "the denoise steps without hints",
    "clean": "the clean-cache pass",
    "decode": "the VAE decode",
    "other": "the rest",
}

COMPILE_LEAD = "torch.compile of the VACE branch, "


@dataclass(frozen=True)
class Overview:
    """The first screen."""

    sentences: tuple[Line, ...]
    rows: Table | None
    note: Line | None
    absent: tuple[Absent, ...]
    remarks: tuple[Line, ...]


def overview(material: Material) -> Overview:
    """Everything is computed from the record; a sentence without its case is left out."""
    sentences = [
        _chunk_sentence(material),
        _vace_sentence(material),
        _stage_sentence(material),
        *[pair_sentence(case, COMPILE_LEAD) for case in by_case(compiled_pairs(material))],
        *[_compile_sentence(item) for item in compare_all(material) if item.whole],
        *fix_sentences(material),
        _gpu_sentence(material),
    ]
    steady = [(one, found) for one in material.end_to_end if (found := steady_of(material, one))]
    return Overview(
        sentences=tuple(sentence for sentence in sentences if sentence is not None),
        rows=_rows(material, steady),
        note=processes_note([found for _, found in steady]),
        absent=tuple(absent_cases(material)),
        remarks=tuple(_remarks(material)),
    )


def headline(material: Material) -> tuple[Result, ChunkTiming] | None:
    """The case that the overview speaks of: inpainting, else depth, text-only or the user's own."""
    for mode in MODES:
        result = material.plain("e2e", mode)
        timing = chunk_timing(result) if result is not None else None
        if result is not None and timing is not None:
            return result, timing
    return None


def _chunk_sentence(material: Material) -> Line | None:
    found = headline(material)
    if found is None:
        return None
    result, timing = found
    steady = steady_of(material, result)
    if steady is None:
        return None
    case = result.case
    return line(
        Cell(_subject(case), (of(result, "/case"),)),
        ": a steady chunk of ",
        count(round(timing.frames_per_chunk), *steady.frames),
        " frames",
        *_size(result),
        " takes ",
        Cell(ms(steady.chunk_ms.value).text, steady.wall, "strong"),
        ", that is ",
        Cell(f"{steady.fps_cell().text} FPS", (*steady.wall, *steady.frames), "strong"),
        *_basis(steady),
    )


def _size(result: Result) -> tuple[Inline | str, ...]:
    """The frames' size; that of a pipeline of the user's own is not known."""
    case = result.case
    if case.pipeline:
        return ()
    return (" at ", Cell(f"{case.width_px}x{case.height_px}", (of(result, "/case/width_px"),)))


def _subject(case: Case) -> str:
    changed = "" if case.variant == BASELINE else f", variant {case.variant}"
    return mode_label(case) + changed


def _basis(steady: Steady) -> tuple[Inline | str, ...]:
    """What the headline's time was computed from."""
    timing, result = steady.timings[0], steady.results[0]
    if len(steady.results) > 1:
        low, high = steady.chunk_ms.low, steady.chunk_ms.high
        return (
            " (",
            INTERVAL.label,
            " ",
            between(ms, low, high, *steady.wall),
            " over ",
            count(len(steady.results), *steady.wall),
            " fresh processes).",
        )
    return (
        " (median of ",
        count(timing.wall_ms.n, *steady.wall),
        " chunks in ",
        count(timing.blocks, of(result, "/chunks/*/block")),
        " blocks of one process).",
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
    groups = grouped_stages(found[0]) if found is not None else {}
    total_ms = sum(groups.values())
    if found is None or not total_ms:
        return None
    source = of(found[0], "/chunks/*/stage_ms")
    ranked = sorted(groups.items(), key=lambda item: -item[1])[:4]
    words: list[Inline | str] = []
    for index, (group, value) in enumerate(ranked):
        name = f"stage {group}" if material.own else GROUP_LABELS[group]
        words += [", " * bool(index), f"{name} ", percent(value / total_ms, source)]
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
    return line("The GPU meanwhile (medians): ", *words, f"; its clocks {clocks}.")


def _rows(material: Material, steady: list[tuple[Result, Steady]]) -> Table | None:
    several = any(len(found.results) > 1 for _, found in steady)
    rows: list[tuple[Inline | str, ...]] = [
        (
            case_label(result),
            *found.chunk_cells(several),
            found.spread_cell(),
            found.samples_cell(),
            found.event_cell(),
            found.fps_cell(),
            _doubts(material, result),
        )
        for result, found in steady
    ]
    heads = (
        "Case",
        *chunk_heads(several),
        ">IQR / median",
        ">n",
        ">Chunk, GPU events (ms)",
        ">FPS",
        "Low confidence",
    )
    return table(heads, rows)


def _doubts(material: Material, result: Result) -> Cell:
    """The rules that found something, in short; the list below the table says what."""
    told = case_findings(material.processes(result))
    rules = dict.fromkeys(item.finding.rule for item in told)
    return Cell(", ".join(rules)) if rules else NOTHING


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
            if len(processes) > 1:
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
