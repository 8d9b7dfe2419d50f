"""Depth against Inpainting against text-only: every end-to-end case in one table."""

from dataclasses import dataclass

from harness.analysis.chunks import chunk_timing, start_of
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
    rate,
    seconds,
    table,
)
from harness.report.material import MODE_LABELS, MODES, Material, case_label, of
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
    results = [result for result in material.end_to_end if chunk_timing(result) is not None]
    absent = [mode for mode in MODES if material.plain("e2e", mode) is None]
    missing = None
    if absent:
        words = ", ".join(MODE_LABELS[mode] for mode in absent)
        missing = line(f"Missing: no finished eager end-to-end case of {words}.")
    return Modes(
        steady=_steady(results),
        start=_start(results),
        memory=_memory(results),
        memory_reasons=tuple(_memory_reasons(results)),
        differences=tuple(_differences(material)),
        missing=missing,
    )


def _steady(results: list[Result]) -> Table | None:
    rows: list[tuple[Inline | str, ...]] = []
    for result in results:
        timing = chunk_timing(result)
        if timing is None:
            continue
        wall, event = of(result, "/chunks/*/wall_ms"), of(result, "/chunks/*/event_ms")
        frames = of(result, "/chunks/*/frames")
        rows.append(
            (
                case_label(result),
                number(timing.wall_ms.median, wall),
                number(timing.wall_ms.iqr, wall),
                number(timing.wall_ms.minimum, wall),
                number(timing.wall_ms.maximum, wall),
                count(timing.wall_ms.n, wall),
                number(timing.event_ms.median if timing.event_ms else None, event),
                rate(timing.fps, frames, wall),
            )
        )
    heads = (
        "Case",
        ">Chunk, wall (ms)",
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
        rows.append((case_label(result), *cells))
    return table(("Case", ">Allocated peak", ">Reserved peak", ">Device peak"), rows)


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
        a, b = chunk_timing(first), chunk_timing(second)
        if a is None or b is None or not b.wall_ms.median:
            continue
        sources = (of(first, "/chunks/*/wall_ms"), of(second, "/chunks/*/wall_ms"))
        gap_ms = a.wall_ms.median - b.wall_ms.median
        lines.append(
            line(
                f"{MODE_LABELS[first.case.mode]} takes ",
                ms(abs(gap_ms), *sources),
                " more" if gap_ms >= 0 else " less",
                f" a chunk than {MODE_LABELS[second.case.mode].lower()} (",
                percent(abs(gap_ms) / b.wall_ms.median, *sources),
                ").",
            )
        )
    return lines


def phase_seconds(result: Result, phase: str) -> Cell:
    """Seconds of a phase, all its stretches together."""
    marks = [mark for mark in result.phases if mark.name == phase]
    total = sum(mark.end_s - mark.start_s for mark in marks)
    return seconds(total, of(result, "/phases/*/end_s")) if marks else NOTHING
