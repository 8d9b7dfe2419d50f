"""Circumstances of the steady chunks: what the host did meanwhile, and the chunks' flags."""

from collections import Counter
from dataclasses import dataclass

from harness.analysis.causes import circumstance
from harness.analysis.stats import spread
from harness.record_parts import ChunkSample
from harness.report.cells import (
    NOTHING,
    Cell,
    Inline,
    Line,
    Table,
    count,
    line,
    table,
)
from harness.report.material import Material, of, of_all
from harness.result import Result

# Column head, field of a chunk's state, format.
COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("Run queue", "run_queue", ".1f"),
    ("CPU share of others", "other_cpu_share", ".1%"),
    ("CPU core (MHz)", "core_mhz", ",.0f"),
    ("Fixed Python loop (us)", "loop_us", ",.0f"),
    ("Small operator (us)", "operator_us", ".2f"),
)


@dataclass(frozen=True)
class Circumstances:
    """One row a case; none where no chunk has its state recorded."""

    rows: Table | None
    notes: tuple[Line, ...]


def circumstances(material: Material) -> Circumstances:
    """The table over all cases whose chunks have a state, and what the host did not tell."""
    rows = []
    for result in material.results:
        processes = material.processes(result)
        chunks = [c for one in processes for c in one.chunks if c.phase == "steady"]
        if any(chunk.state is not None for chunk in chunks):
            rows.append(_row(processes, chunks))
    heads = ("Case", ">Chunks", *(f">{label}" for label, *_ in COLUMNS), "Flags")
    return Circumstances(table(heads, rows), tuple(_notes(material)) if rows else ())


def _row(processes: list[Result], chunks: list[ChunkSample]) -> tuple[Inline | str, ...]:
    first = processes[0]
    row: list[Inline | str] = [
        Cell(first.case_id, (of(first, "/case_id"),), "code"),
        count(len(chunks), *of_all(processes, "/chunks/*/phase")),
    ]
    for _, field, form in COLUMNS:
        values = [circumstance(chunk.state, field) for chunk in chunks]
        summary = spread(value for value in values if value is not None)
        if summary is None:
            row.append(NOTHING)
            continue
        middle, low, high = (
            f"{value:{form}}".replace("%", " %")
            for value in (summary.median, summary.minimum, summary.maximum)
        )
        sources = of_all(processes, f"/chunks/*/state/{field}")
        row.append(Cell(middle if low == high else f"{middle} ({low}–{high})", sources))
    return (*row, _flags(processes, chunks))


def _flags(processes: list[Result], chunks: list[ChunkSample]) -> Cell | Line:
    """Each flag with the number of chunks that carry it."""
    counted = Counter(flag for chunk in chunks for flag in chunk.flags)
    words: list[Inline | str] = []
    sources = of_all(processes, "/chunks/*/flags")
    for flag, carriers in counted.most_common():
        words += [", " * bool(words), Cell(f"{flag}: ", sources), count(carriers, *sources)]
    return line(*words) if words else Cell("none")


def _notes(material: Material) -> list[Line]:
    """What the host does not tell, each once."""
    notes: dict[tuple[str, str], Line] = {}
    for result in material.results:
        for field, reason in (result.host.unsupported if result.host else {}).items():
            source = of(result, f"/host/unsupported/{field}")
            text = line(Cell(field, (source,), "code"), ": ", Cell(reason, (source,)))
            notes.setdefault((field, reason), text)
    return list(notes.values())
