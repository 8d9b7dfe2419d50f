"""Where real time holds: a row an axis, and what breaks first in each variant."""

from collections.abc import Sequence

from harness.analysis.growth import REAL_TIME_FPS, Axis, GrowthPoint, growth_axes
from harness.analysis.growth_reach import Break, first_break, reach
from harness.report.cells import Cell, Column, Inline, Line, Table, line, percent, rate, table
from harness.report.material import Material, of
from harness.report.sections.growth_cells import (
    SHORT,
    TITLES,
    busy_of,
    fps_sources,
    place_cell,
    wall_of,
)

Words = list[Inline | str]


def growth_sentences(material: Material) -> list[Line]:
    """What the overview says: where each variant first loses real time."""
    return [line("Real time of ", told) for told in break_lines(growth_axes(material.results))]


def reach_table(axes: Sequence[Axis]) -> Table | None:
    """How far each rate holds along each axis, by what was measured."""
    rows: list[tuple[Inline | str, ...]] = []
    for axis in axes:
        cells = [_reach(axis, fps) for fps in REAL_TIME_FPS.values()]
        variant = Cell(axis.variant, (of(axis.anchor.result, "/case"),), "code")
        rows.append((TITLES[axis.name], variant, *cells))
    heads = [
        Column(Cell(f"Holds {fps:g} FPS", (f"rule#{name}",))) for name, fps in REAL_TIME_FPS.items()
    ]
    return table(("Axis", "Variant", *heads), rows)


def _reach(axis: Axis, fps: float) -> Line:
    found = reach(axis, fps)
    if found.last is None:
        place = place_cell(axis.name, axis.anchor)
        words: Words = ["not at the own point, ", place, *_at_rate(axis.anchor)]
        besides: Words = ["; holds at ", *_places(axis, found.besides)]
        return line(*words, *(besides if found.besides else [", nor at any other"]))
    everywhere = found.first is None and not found.cheaper
    words = ["at every point, up to " if everywhere else "up to "]
    words.append(place_cell(axis.name, found.last))
    if found.first is not None:
        words += ["; breaks at ", place_cell(axis.name, found.first)]
    if found.besides:
        words += ["; holds again at ", *_places(axis, found.besides)]
    if found.cheaper:
        words += ["; not at ", *_places(axis, found.cheaper), ", cheaper by arithmetic"]
    return line(*words)


def _places(axis: Axis, points: Sequence[GrowthPoint]) -> Words:
    words: Words = []
    for number, point in enumerate(points):
        words += [", " * bool(number), place_cell(axis.name, point)]
    return words


def _at_rate(point: GrowthPoint) -> Words:
    return [" (", rate(point.fps, *fps_sources(point)), " FPS)"]


def break_lines(axes: Sequence[Axis]) -> list[Line]:
    """What each variant meets first from the preset's own point upward, in order of arithmetic."""
    lines = []
    for variant in dict.fromkeys(axis.variant for axis in axes):
        own = [axis for axis in axes if axis.variant == variant]
        found = {name: first_break(own, fps) for name, fps in REAL_TIME_FPS.items()}
        words: Words = [Cell(variant, form="code"), ": "]
        for number, clause in enumerate((*_answers(found), *_cheaper(found))):
            words += ["; " * bool(number), *clause]
        lines.append(line(*words, "."))
    return lines


def _answers(found: dict[str, Break]) -> list[Words]:
    """One clause for all rates with the same answer."""
    groups: dict[tuple[object, ...], list[str]] = {}
    for name, met in found.items():
        first = (met.first[0].name, met.first[1].result.case_id) if met.first else ()
        groups.setdefault((met.own is None, *first, bool(met.cheaper)), []).append(name)
    return [_answer(names, found[names[0]]) for names in groups.values()]


def _answer(names: Sequence[str], met: Break) -> Words:
    one, rates = len(names) == 1, _rates(names)
    if met.own is not None:
        lacks = f" {'does' if one else 'do'} not hold at the preset's own point"
        return [rates, lacks, *_at_rate(met.own)]
    if met.first is not None:
        axis, point = met.first
        breaks = f" {'breaks' if one else 'break'} first with {SHORT[axis.name]}, at "
        return [rates, breaks, place_cell(axis.name, point)]
    place = "the preset's own point and above" if met.cheaper else "every point"
    return [rates, f" {'holds' if one else 'hold'} at {place}"]


def _cheaper(found: dict[str, Break]) -> list[Words]:
    """A clause for each point that lacks rates although it is cheaper than the own one."""
    groups: dict[str, tuple[Axis, GrowthPoint, list[str]]] = {}
    for name, met in found.items():
        for axis, point in met.cheaper:
            groups.setdefault(point.result.case_id, (axis, point, []))[2].append(name)
    clauses = []
    for axis, point, names in groups.values():
        words: Words = [f"with {SHORT[axis.name]} at ", place_cell(axis.name, point), ", "]
        verb = "does" if len(names) == 1 else "do"
        words += [_rates(names), f" {verb} not hold although the arithmetic is less"]
        words += [" (", rate(point.fps, *fps_sources(point)), " FPS"]
        if point.busy_ms is not None:
            share = percent(point.busy_ms / point.wall_ms, *busy_of(point), *wall_of(point))
            words += [", the GPU busy for ", share, " of a chunk"]
        clauses.append([*words, ")"])
    return clauses


def _rates(names: Sequence[str]) -> Cell:
    """Rates in words: all but the last with commas."""
    values = [f"{REAL_TIME_FPS[name]:g}" for name in names]
    rest = ", ".join(values[:-1])
    text = f"{rest} and {values[-1]}" if rest else values[-1]
    return Cell(f"{text} FPS", tuple(f"rule#{name}" for name in names))
