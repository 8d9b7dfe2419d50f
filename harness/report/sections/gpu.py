"""GPU State: clocks, power, temperature, memory and throttling beside every number; energy."""

from dataclasses import dataclass

from harness.analysis.gpu_state import REASONS_FIELD, PhaseState, energy, phase_states
from harness.analysis.stats import Spread
from harness.report.cells import (
    NOTHING,
    Cell,
    Inline,
    Line,
    Table,
    count,
    line,
    number,
    seconds,
    table,
)
from harness.report.material import Material, case_label, of
from harness.result import Result

# Column head, field of the record, divisor to the shown unit, decimals.
COLUMNS: tuple[tuple[str, str, float, int], ...] = (
    ("SM clock (MHz)", "sm_clock_mhz", 1, 0),
    ("Memory clock (MHz)", "memory_clock_mhz", 1, 0),
    ("Power (W)", "power_mw", 1e3, 0),
    ("Temperature (°C)", "temperature_c", 1, 0),
    ("Memory in use (GiB)", "memory_used_bytes", 2**30, 1),
    ("Utilisation (%)", "utilisation_percent", 1, 0),
)


@dataclass(frozen=True)
class GpuSection:
    """State by phase, energy, what was not available and why."""

    steady: Table | None
    phases: Table | None
    energy: Table | None
    notes: tuple[Line, ...]
    missing: Line | None


def gpu_section(material: Material) -> GpuSection:
    """The section over every finished case that was sampled."""
    sampled = [result for result in material.results if result.gpu.series.t_s]
    missing = None
    if not sampled:
        missing = _why_missing(material)
    return GpuSection(
        steady=_rows(sampled, only="steady"),
        phases=_rows(sampled),
        energy=_energy(sampled),
        notes=tuple(_notes(sampled)),
        missing=missing,
    )


def _why_missing(material: Material) -> Line:
    for result in material.results:
        if result.gpu.reason:
            reason = Cell(result.gpu.reason, (of(result, "/gpu/reason"),))
            return line("Not available: ", reason, ".")
    return line("Not available: no finished case holds GPU samples.")


def _rows(results: list[Result], only: str | None = None) -> Table | None:
    rows = [
        _row(result, state, named=only is None)
        for result in results
        for state in phase_states(result)
        if state.samples and only in (None, state.phase)
    ]
    heads = ["Case", *(["Phase"] if only is None else []), ">Length", ">Samples"]
    heads += [f">{label}" for label, *_ in COLUMNS]
    return table([*heads, "Clocks held back by"], rows)


def _row(result: Result, state: PhaseState, *, named: bool) -> tuple[Inline | str, ...]:
    case = Cell(result.case_id, (of(result, "/case_id"),), "code")
    row: list[Inline | str] = [case, *([state.phase] if named else [])]
    row.append(seconds(state.duration_s, of(result, "/phases/*/end_s")))
    row.append(count(state.samples, of(result, "/gpu/series/t_s")))
    for _, field, divisor, places in COLUMNS:
        source = of(result, f"/gpu/series/fields/{field}")
        row.append(_range(state.fields.get(field), divisor, places, source))
    row.append(_held_back(result, state))
    return tuple(row)


def _range(spread: Spread | None, divisor: float, places: int, source: str) -> Cell:
    """Median, with least and most in brackets where they differ."""
    if spread is None:
        return NOTHING
    middle, low, high = (
        f"{value / divisor:,.{places}f}"
        for value in (spread.median, spread.minimum, spread.maximum)
    )
    return Cell(middle if low == high else f"{middle} ({low}–{high})", (source,))


def _held_back(result: Result, state: PhaseState) -> Cell | Line:
    parts: list[Inline | str] = []
    for label, samples in state.reasons.items():
        source = of(result, f"/gpu/series/fields/{REASONS_FIELD}")
        parts += [", " * bool(parts), f"{label}: ", count(samples, source), " samples"]
    for name, nanoseconds in state.counters_ns.items():
        source = of(result, f"/gpu/counters/*/values/{name}")
        label = name.removesuffix("_ns").replace("_", " ")
        parts += [", " * bool(parts), f"{label} counter: ", seconds(nanoseconds / 1e9, source)]
    known = REASONS_FIELD in result.gpu.series.fields or result.gpu.counters
    return line(*parts) if parts else Cell("nothing" if known else "not available")


def _energy(results: list[Result]) -> Table | None:
    rows: list[tuple[Inline | str, ...]] = []
    for result in results:
        if result.case.kind != "e2e":
            continue
        used, reason = energy(result)
        if used is None:
            why = Cell(f"not available ({reason})", (of(result, "/gpu"),))
            rows.append((case_label(result), NOTHING, NOTHING, NOTHING, why))
            continue
        counted = used.method == "counter"
        source = of(
            result, "/gpu/counters/*/values/energy_mj" if counted else "/gpu/series/fields/power_mw"
        )
        method = "total-energy counter" if counted else "integral of the power samples"
        chunks, frames = of(result, "/chunks/*/phase"), of(result, "/chunks/*/frames")
        rows.append(
            (
                case_label(result),
                number(used.per_chunk_j, source, chunks),
                number(used.per_frame_j, source, frames),
                seconds(used.seconds, source, of(result, "/chunks/*/start_s")),
                method,
            )
        )
    heads = ("Case", ">Energy per chunk (J)", ">Energy per frame (J)", ">Window", "From")
    return table(heads, rows)


def _notes(results: list[Result]) -> list[Line]:
    """What the GPU or the driver does not report, once for all cases that say the same."""
    notes: dict[tuple[str, str], Line] = {}
    for result in results:
        for field, reason in result.gpu.unsupported.items():
            source = of(result, f"/gpu/unsupported/{field}")
            text = line(Cell(field, (source,), "code"), ": ", Cell(reason, (source,)))
            notes.setdefault((field, reason), text)
        for index, event in enumerate(result.gpu.events):
            source = of(result, f"/gpu/events/{index}")
            notes.setdefault(("event", event), line(Cell(event, (source,))))
    return list(notes.values())
