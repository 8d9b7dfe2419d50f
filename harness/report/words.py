"""Claims of the analysis as cells: their numbers formatted, with the record paths as sources."""

from harness.analysis.claims import Ceiling, Measured, Unit, Words
from harness.report.cells import Cell, Inline, Line, Source, count, decimals, line, ms, percent
from harness.report.material import of
from harness.result import Result

UNITS: dict[Unit, str] = {"us": "µs", "seconds": "s"}
WHOLE: dict[Unit, str] = {"mhz": "MHz", "watts": "W"}  # told without decimals


def sources(results: tuple[Result, ...], paths: tuple[str, ...]) -> tuple[Source, ...]:
    """Every path in every result; limits stay what they are."""
    found: list[Source] = []
    for path in paths:
        found += [path] if path.startswith("rule#") else [of(result, path) for result in results]
    return tuple(found)


def cell(number: Measured) -> Cell:
    """One number of a claim."""
    at = sources(number.results, number.paths)
    if number.unit == "count":
        return count(round(number.value), *at)
    if number.unit == "share":
        return percent(number.value, *at)
    if number.unit == "ms":
        return ms(number.value, *at)
    if number.unit in WHOLE:
        return Cell(f"{number.value:,.0f} {WHOLE[number.unit]}", at)
    unit = UNITS.get(number.unit, "")
    return Cell(f"{decimals(number.value)} {unit}".strip(), at)


def sentence(words: Words, *more: Inline | str, of_result: Result) -> Line:
    """The words of a claim; those that come from a record have it as their source."""
    parts: list[Inline | str] = [
        Cell(part, (of(of_result),)) if isinstance(part, str) else cell(part) for part in words
    ]
    return line(*parts, *more)


def ceiling_cells(ceiling: Ceiling | None, at: tuple[Source, ...]) -> list[Cell]:
    """Wall ms, share of wall, GPU-busy ms, share of GPU-busy time."""
    if ceiling is None:
        return [Cell("not known")] + [Cell("–")] * 3
    return [
        Cell(decimals(ceiling.wall_ms), at),
        percent(ceiling.wall_share, *at),
        Cell(decimals(ceiling.busy_ms), at),
        percent(ceiling.busy_share, *at),
    ]
