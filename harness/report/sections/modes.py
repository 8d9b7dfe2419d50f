"""Depth against Inpainting against text-only: every end-to-end case in one table."""

from dataclasses import dataclass

from harness.analysis.chunks import start_of
from harness.cost_memory import memory_need
from harness.matrix import Mode
from harness.report.cells import (
    NOTHING,
    Cell,
    Inline,
    Line,
    Table,
    count,
    gibibytes,
    line,
    ms,
    number,
    percent,
    seconds,
    table,
)
from harness.report.material import (
    BUILT_IN_MODES,
    MODE_LABELS,
    Material,
    case_label,
    mode_label,
    of,
)
from harness.report.sections.steady import Steady, chunk_heads, steady_of
from harness.result import Result


@dataclass(frozen=True)
class Modes:
    """Steady state, start and memory of the end-to-end cases, and how the modes differ."""

    steady: Table | None
    start: Table | None
    memory: Table | None
    memory_reasons: tuple[Line, ...]
    differences: tuple[Line, ...]
    missing: Line | None


def modes_section(material: Material) -> Modes:
    """The section over all finished end-to-end cases."""
    steady = [(one, found) for one in material.end_to_end if (found := steady_of(material, one))]
    results = [result for result, _ in steady]
    wanted = () if material.own else BUILT_IN_MODES
    absent = [mode for mode in wanted if material.plain("e2e", mode) is None]
    missing = None
    if absent:
        words = ", ".join(MODE_LABELS[mode] for mode in absent)
        missing = line(f"Missing: no finished eager end-to-end case of {words}.")
    return Modes(
        steady=_steady(steady),
        start=_start(results),
        memory=_memory(results),
        memory_reasons=tuple(_memory_reasons(results)),
        differences=tuple(_differences(material)),
        missing=missing,
    )


def _steady(steady: list[tuple[Result, Steady]]) -> Table | None:
    several = any(len(found.results) > 1 for _, found in steady)
    rows: list[tuple[Inline | str, ...]] = [
        (
            case_label(result),
            *found.chunk_cells(several),
            *found.range_cells(),
            found.samples_cell(),
            found.event_cell(),
            found.fps_cell(),
        )
        for result, found in steady
    ]
    heads = (
        "Case",
        *chunk_heads(several),
        ">IQR",
        ">Min",
        ">Max",
        ">n",
        ">Chunk, GPU events (ms)",
        ">FPS",
    )
    return table(heads, rows)


def _start(results: list[Result]) -> Table | None:
    rows: list[tuple[Inline | str, ...]] = []
    for result in results:
        start = start_of(result)
        if start is None:
            continue
        before = of(result, "/chunks/*/start_s")
        rows.append(
            (
                case_label(result),
                phase_seconds(result, "load"),
                number(start.first_wall_ms, of(result, "/chunks/0/wall_ms")),
                count(start.first_frames, of(result, "/chunks/0/frames")),
                seconds(start.to_steady_s, before),
                count(start.chunks_before, before),
            )
        )
    heads = (
        "Case",
        ">Load",
        ">First chunk (ms)",
        ">Frames in it",
        ">First chunk to steady state",
        ">Chunks before it",
    )
    return table(heads, rows)


def _memory(results: list[Result]) -> Table | None:
    rows: list[tuple[Inline | str, ...]] = []
    for result in results:
        memory = result.memory
        if memory is None:
            continue
        peaks = (memory.allocated_peak_bytes, memory.reserved_peak_bytes, memory.device_peak_bytes)
        if not any(peak is not None for peak in peaks):
            continue
        names = ("allocated_peak_bytes", "reserved_peak_bytes", "device_peak_bytes")
        cells = [
            gibibytes(peak, of(result, f"/memory/{name}"))
            for peak, name in zip(peaks, names, strict=True)
        ]
        estimated: Inline | str = NOTHING
        if not result.case.pipeline:
            need = memory_need(result.case).allocated_bytes
            estimated = gibibytes(need, of(result, "/case"))
        rows.append((case_label(result), *cells, estimated))
    heads = ("Case", ">Allocated peak", ">Reserved peak", ">Device peak", ">Estimated allocation")
    return table(heads, rows)


def _memory_reasons(results: list[Result]) -> list[Line]:
    """Why peaks are missing, each reason once."""
    reasons: dict[str, Line] = {}
    for result in results:
        if result.memory is not None and result.memory.reason:
            reason = Cell(result.memory.reason, (of(result, "/memory/reason"),))
            words = line("Peak memory is not available in full (", reason, ").")
            reasons.setdefault(result.memory.reason, words)
    return list(reasons.values())


def _differences(material: Material) -> list[Line]:
    """Each conditioned mode against text-only, and depth against inpainting."""
    lines = []
    pairs: tuple[tuple[Mode, Mode], ...] = (
        ("inpainting", "text"),
        ("depth", "text"),
        ("depth", "inpainting"),
    )
    for mode, other in pairs:
        first, second = material.plain("e2e", mode), material.plain("e2e", other)
        if first is None or second is None:
            continue
        a, b = steady_of(material, first), steady_of(material, second)
        if a is None or b is None:
            continue
        sources = (*a.wall, *b.wall)
        gap_ms = a.chunk_ms.value - b.chunk_ms.value
        lines.append(
            line(
                f"{mode_label(first.case)} takes ",
                ms(abs(gap_ms), *sources),
                " more" if gap_ms >= 0 else " less",
                f" a chunk than {mode_label(second.case).lower()} (",
                percent(abs(gap_ms) / b.chunk_ms.value, *sources),
                ").",
            )
        )
    return lines


def phase_seconds(result: Result, phase: str) -> Cell:
    """Seconds of a phase, all its stretches together."""
    marks = [mark for mark in result.phases if mark.name == phase]
    total = sum(mark.end_s - mark.start_s for mark in marks)
    return seconds(total, of(result, "/phases/*/end_s")) if marks else NOTHING
