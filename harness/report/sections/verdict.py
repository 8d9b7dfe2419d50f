"""The first words of a report: how fast, what the GPU does of that time, how sure it is."""

from collections.abc import Iterable

from harness.analysis.chunks import ChunkTiming, base_arm, chunk_timing
from harness.analysis.comparisons import over_processes
from harness.analysis.findings import case_findings
from harness.matrix import Case, Kind
from harness.report.cells import (
    INTERVAL,
    NOTHING,
    Cell,
    Inline,
    Line,
    between,
    count,
    line,
    ms,
    percent,
)
from harness.report.material import MODES, Material, mode_label, of, of_all
from harness.report.sections.steady import Steady, steady_of
from harness.result import Result
from harness.variants import BASELINE


def verdict(material: Material) -> Line | None:
    """Of the headline's case, else of a paired one's base arm; None without steady chunks."""
    found = headline(material) or _first(material, "paired")
    steady = steady_of(material, found[0]) if found is not None else None
    if found is None or steady is None:
        return None
    result, timing = found
    return line(
        *_speed(result.case, result, timing, steady),
        *_busy(material, result, steady),
        *_sureness(material, result),
    )


def headline(material: Material) -> tuple[Result, ChunkTiming] | None:
    """The case that the overview speaks of: inpainting, else depth, text-only or the user's own."""
    return _first(material, "e2e")


def _first(material: Material, kind: Kind) -> tuple[Result, ChunkTiming] | None:
    for mode in MODES:
        result = material.plain(kind, mode)
        timing = chunk_timing(result) if result is not None else None
        if result is not None and timing is not None:
            return result, timing
    return None


def _speed(
    case: Case, result: Result, timing: ChunkTiming, steady: Steady
) -> tuple[Inline | str, ...]:
    return (
        Cell(_subject(case), (of(result, "/case"),)),
        ": a steady chunk of ",
        count(round(timing.frames_per_chunk), *steady.frames),
        " frames",
        *_size(result),
        " takes ",
        Cell(ms(steady.chunk_ms.value).text, steady.wall, "strong"),
        *_basis(steady),
        " Over whole blocks, slow chunks too, that is ",
        Cell(f"{steady.fps_cell().text} FPS", (*steady.wall, *steady.frames), "strong"),
        ".",
    )


def _size(result: Result) -> tuple[Inline | str, ...]:
    """The frames' size; that of a pipeline of the user's own is not known."""
    case = result.case
    if case.pipeline:
        return ()
    return (" at ", Cell(f"{case.width_px}x{case.height_px}", (of(result, "/case/width_px"),)))


def _subject(case: Case) -> str:
    changed = "" if case.variant == BASELINE else f", variant {case.variant}"
    paired = ", base arm of a paired case" if case.arms else ""
    return mode_label(case) + changed + paired


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


def _busy(material: Material, result: Result, steady: Steady) -> tuple[Inline | str, ...]:
    """What of the chunk the GPU works; nothing where that was not measured."""
    processes = material.processes(result)
    busy = over_processes(processes, "busy", base_arm(result.case))
    if busy is None:
        return ()
    at = of_all(processes, "/busy/*/busy_ms")
    share = percent(busy.value / steady.chunk_ms.value, *at, *steady.wall)
    return (" The GPU is busy for ", ms(busy.value, *at), " of a chunk, ", share, ".")


def _sureness(material: Material, result: Result) -> tuple[Inline | str, ...]:
    told = doubts(material, [result])
    if told is NOTHING:
        return (" No rule lowers the confidence in this.",)
    return (" Low confidence: ", told, ".")


def doubts(material: Material, results: Iterable[Result]) -> Cell:
    """The rules that found something, in short; the remarks say what."""
    told = [one for result in results for one in case_findings(material.processes(result))]
    rules = dict.fromkeys(item.finding.rule for item in told)
    return Cell(", ".join(rules)) if rules else NOTHING
