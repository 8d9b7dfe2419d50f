"""Overview: computed sentences and one table, what is missing, what lowers the confidence."""

from dataclasses import dataclass

from harness.analysis.chunks import ChunkTiming, chunk_timing, grouped_stages
from harness.analysis.findings import Evidence, findings
from harness.analysis.gpu_state import REASONS_FIELD, energy, phase_states
from harness.report.cells import (
    NOTHING,
    Block,
    Cell,
    Inline,
    Line,
    Table,
    count,
    line,
    ms,
    number,
    percent,
    rate,
    seconds,
    table,
)
from harness.report.material import MODE_LABELS, MODES, Material, case_label, of, plan
from harness.report.sections.compiled import Comparison, compare_all, confidence
from harness.report.sections.components import overhead_of
from harness.result import Failure, Result

GROUP_LABELS = {
    "encode": "the VAE encode",
    "hints": "the VACE hints",
    "denoise": "the denoise steps without hints",
    "clean": "the clean-cache pass",
    "decode": "the VAE decode",
    "other": "the rest",
}


@dataclass(frozen=True)
class Absent:
    """A planned case without a result: why, and the last lines it left."""

    name: Cell
    reason: Line
    detail: Block | None


@dataclass(frozen=True)
class Overview:
    """The first screen."""

    sentences: tuple[Line, ...]
    rows: Table | None
    absent: tuple[Absent, ...]
    remarks: tuple[Line, ...]


def overview(material: Material) -> Overview:
    """Everything is computed from the record; a sentence without its case is left out."""
    sentences = [
        _chunk_sentence(material),
        _vace_sentence(material),
        _stage_sentence(material),
        *[_compile_sentence(item) for item in compare_all(material) if item.whole],
        _gpu_sentence(material),
    ]
    return Overview(
        sentences=tuple(sentence for sentence in sentences if sentence is not None),
        rows=_rows(material),
        absent=tuple(_absent(material)),
        remarks=tuple(_remarks(material)),
    )


def headline(material: Material) -> tuple[Result, ChunkTiming] | None:
    """The case that the overview speaks of: inpainting, else depth, else text-only."""
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
    wall, frames = of(result, "/chunks/*/wall_ms"), of(result, "/chunks/*/frames")
    case = result.case
    return line(
        f"{MODE_LABELS[case.mode]}: a steady chunk of ",
        count(round(timing.frames_per_chunk), frames),
        " frames at ",
        Cell(f"{case.width_px}x{case.height_px}", (of(result, "/case/width_px"),)),
        " takes ",
        Cell(ms(timing.wall_ms.median).text, (wall,), "strong"),
        ", that is ",
        Cell(f"{rate(timing.fps).text} FPS", (wall, frames), "strong"),
        " (median of ",
        count(timing.wall_ms.n, wall),
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
    other = chunk_timing(text) if text is not None else None
    if first is not None and text is not None and other is not None and first[0] is not text:
        result, timing = first
        sources = (of(result, "/chunks/*/wall_ms"), of(text, "/chunks/*/wall_ms"))
        gap_ms = timing.wall_ms.median - other.wall_ms.median
        words += ["; " * bool(words), ms(gap_ms, *sources), " or "]
        words += [percent(gap_ms / timing.wall_ms.median, *sources)]
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
        words += [", " * bool(index), f"{GROUP_LABELS[group]} ", percent(value / total_ms, source)]
    return line("Where the chunk goes: ", *words, ".")


def _compile_sentence(item: Comparison) -> Line:
    subject = Cell(item.label.text.removeprefix("Chunk, "), item.label.sources)
    return line(
        "torch.compile of the VACE branch, ",
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


def _rows(material: Material) -> Table | None:
    rows: list[tuple[Inline | str, ...]] = []
    for result in material.end_to_end:
        timing = chunk_timing(result)
        if timing is None:
            continue
        wall, event = of(result, "/chunks/*/wall_ms"), of(result, "/chunks/*/event_ms")
        rows.append(
            (
                case_label(result),
                number(timing.wall_ms.median, wall),
                percent(timing.wall_ms.relative_iqr, wall),
                count(timing.wall_ms.n, wall),
                number(timing.event_ms.median if timing.event_ms else None, event),
                rate(timing.fps, of(result, "/chunks/*/frames"), wall),
                _doubts(result),
            )
        )
    heads = (
        "Case",
        ">Chunk, wall (ms)",
        ">IQR / median",
        ">n",
        ">Chunk, GPU events (ms)",
        ">FPS",
        "Low confidence",
    )
    return table(heads, rows)


def _doubts(result: Result) -> Cell:
    """The rules that found something, in short; the list below the table says what."""
    rules = dict.fromkeys(finding.rule for finding in findings(result))
    return Cell(", ".join(rules)) if rules else NOTHING


def _absent(material: Material) -> list[Absent]:
    cases = {case.id: index for index, case in enumerate(material.run.manifest.cases)}
    rows = []
    for case_id in material.run.missing:
        name = Cell(case_id, (plan(f"/cases/{cases[case_id]}"),), "code")
        failure = material.run.failures.get(case_id)
        if failure is None:
            resume = Cell("invoke bench --resume", form="code")
            rows.append(Absent(name, line("not run yet; ", resume, " goes on"), None))
        else:
            rows.append(_failed(material, name, failure))
    return rows


def _failed(material: Material, name: Cell, failure: Failure) -> Absent:
    message = Cell(failure.message, (material.path_of(failure, "/message"),))
    words: list[Inline | str] = [f"failed ({failure.category}): ", message]
    if failure.exit_code is not None:
        code = count(failure.exit_code, material.path_of(failure, "/exit_code"))
        words += [" (exit code ", code, ")"]
    detail = None
    if failure.detail.strip():
        detail = Block(failure.detail.strip("\n"), (material.path_of(failure, "/detail"),))
    return Absent(name, line(*words), detail)


def _remarks(material: Material) -> list[Line]:
    """Findings, those that say the same of several cases together.

    Their words come from the record, so the record is their source.
    """
    remarks: dict[str, tuple[list[Cell], Line]] = {}
    for result in material.results:
        name = Cell(result.case_id, (of(result, "/case_id"),), "code")
        for finding in findings(result):
            words = [_part(result, part) for part in finding.parts]
            text = line(*words, f". Next: {finding.next_step}.")
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
