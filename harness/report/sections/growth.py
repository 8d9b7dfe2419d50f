"""How cost grows: tables of each axis, errors of the cost model, real time, cold starts."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.cold_start import ColdStart, cold_starts
from harness.analysis.growth import (
    Axis,
    AxisError,
    AxisName,
    GrowthPoint,
    growth_axes,
    tendency,
)
from harness.report.cells import (
    NOTHING,
    Cell,
    Inline,
    Line,
    Source,
    Table,
    count,
    gibibytes,
    line,
    number,
    percent,
    rate,
    seconds,
    table,
)
from harness.report.material import Material, of
from harness.report.sections.fix_cells import WALL
from harness.report.sections.growth_cells import (
    TITLES,
    busy_of,
    fps_sources,
    place_cell,
    wall_of,
)
from harness.report.sections.growth_reach import break_lines, reach_table


@dataclass(frozen=True)
class GrowthGroup:
    """The points of all variants on one axis."""

    times: Table | None
    memory: Table | None  # and energy


@dataclass(frozen=True)
class GrowthSection:
    """The section, in its order."""

    groups: tuple[GrowthGroup, ...]
    errors: Table | None
    tendency: Line
    real_time: Table | None
    breaks: tuple[Line, ...]
    failed: tuple[Line, ...]


@dataclass(frozen=True)
class ColdSection:
    """Cold starts of every variant that was measured in a process of its own."""

    rows: Table | None


def growth_section(material: Material) -> GrowthSection | None:
    """None where no axis has enough points."""
    axes = growth_axes(material.results)
    if not axes:
        return None
    names = dict.fromkeys(axis.name for axis in axes)
    return GrowthSection(
        groups=tuple(_group(name, [a for a in axes if a.name == name]) for name in names),
        errors=_errors(axes),
        tendency=_tendency(axes),
        real_time=reach_table(axes),
        breaks=(*break_lines(axes), *_memory_line(material, axes)),
        failed=tuple(_failed(material)),
    )


def cold_section(material: Material) -> ColdSection | None:
    """None without a baseline and a variant, each cold."""
    starts = cold_starts(material.results)
    return ColdSection(_cold_table(starts)) if starts else None


def _group(name: AxisName, axes: Sequence[Axis]) -> GrowthGroup:
    place = (f">{TITLES[name]}", "Variant")
    clock = (">Wall (ms)", ">FPS", ">Predicted (ms)", ">Error")
    busy = (">GPU busy (ms)", ">Error, GPU-busy")
    memory = (">Allocated", ">Allocated, predicted", ">Device in use", ">Needed, at least")
    points = [(axis, point) for axis in axes for point in axis.points]
    return GrowthGroup(
        times=table((*place, *clock, *busy), [_times(*one) for one in points]),
        memory=table((*place, *memory, ">Energy a frame (J)"), [_memory(*one) for one in points]),
    )


def _times(axis: Axis, point: GrowthPoint) -> tuple[Inline | str, ...]:
    wall, busy, own = wall_of(point), busy_of(point), point is axis.anchor
    both = (*wall, *wall_of(axis.anchor), of(point.result, "/case"))
    both_busy = (*busy, *busy_of(axis.anchor), of(point.result, "/case"))
    return (
        *_place(axis, point),
        number(point.wall_ms, *wall),
        rate(point.fps, *fps_sources(point)),
        "its base" if own else number(point.predicted_ms, *both),
        NOTHING if own else percent(point.error, *both),
        number(point.busy_ms, *busy),
        NOTHING if own else percent(point.busy_error, *both_busy),
    )


def _memory(axis: Axis, point: GrowthPoint) -> tuple[Inline | str, ...]:
    power = () if point.joules_per_frame is None else (of(point.result, "/gpu"),)
    return (
        *_place(axis, point),
        gibibytes(point.peak_bytes, of(point.result, "/memory")),
        gibibytes(point.predicted_bytes, of(point.result, "/case")),
        gibibytes(point.device_bytes, of(point.result, "/memory")),
        gibibytes(point.least_bytes, of(point.result, "/case")),
        number(point.joules_per_frame, *power),
    )


def _place(axis: Axis, point: GrowthPoint) -> tuple[Cell, Cell]:
    case = of(point.result, "/case")
    return place_cell(axis.name, point), Cell(axis.variant, (case,), "code")


def _errors(axes: Sequence[Axis]) -> Table | None:
    """The cost model's error of each axis and variant."""
    rows: list[tuple[Inline | str, ...]] = []
    for axis in axes:
        variant = Cell(axis.variant, (of(axis.anchor.result, "/case"),), "code")
        at = tuple(source for point in axis.points for source in wall_of(point))
        at_busy = tuple(source for point in axis.points for source in busy_of(point))
        points = count(len(axis.others), *at)
        wall, busy = _error(axis, axis.wall_error, at), _error(axis, axis.busy_error, at_busy)
        rows.append((TITLES[axis.name], variant, points, *wall, *busy))
    heads = ("Axis", "Variant", ">Points", ">Mean error", ">Worst error", ">At")
    by_busy = (">Mean error, GPU-busy", ">Worst error, GPU-busy", ">At")
    return table((*heads, *by_busy), rows)


def _error(axis: Axis, error: AxisError | None, at: tuple[Source, ...]) -> tuple[Cell, Cell, Cell]:
    if error is None:
        return NOTHING, NOTHING, NOTHING
    return percent(error.mean, *at), percent(error.worst, *at), place_cell(axis.name, error.at)


def _tendency(axes: Sequence[Axis]) -> Line:
    """Which direction the errors have."""
    found = tendency(axes)
    of_point = busy_of if found.by_busy else wall_of
    at = tuple(source for axis in axes for point in axis.points for source in of_point(point))
    words: list[Inline | str] = ["By ", "GPU-busy" if found.by_busy else "wall", " time, of "]
    words += [count(found.more, *at), " points with more arithmetic than the preset's own "]
    words += [count(found.more_took_less, *at), " took less than predicted, and of "]
    words += [count(found.less, *at), " with less ", count(found.less_took_more, *at)]
    return line(*words, " took more.")


def _memory_line(material: Material, axes: Sequence[Axis]) -> list[Line]:
    """The most that was in use of the GPU's memory, where both are known."""
    points = [point for axis in axes for point in axis.points]
    known = [(one.device_bytes, one) for one in points if one.device_bytes is not None]
    fact = material.fact("gpu.memory_total_bytes")
    if not known or fact is None or not isinstance(fact[0].value, int):
        return []
    peak, point = max(known, key=lambda pair: pair[0])
    at = of(point.result, "/memory")
    share = percent(peak / fact[0].value, at, fact[1])
    case = Cell(point.result.case_id, (of(point.result, "/case_id"),), "code")
    most = ("Memory: the most in use is ", gibibytes(peak, at), " in ", case)
    return [line(*most, ", ", share, " of the GPU's.")]


def _failed(material: Material) -> list[Line]:
    """Planned points that could not be run: what broke there."""
    lines = []
    for case_id, failure in material.run.failures.items():
        if failure.case.kind == "e2e":
            at = material.path_of(failure, "/message")
            name = Cell(case_id, (at,), "code")
            reason = Cell(failure.message, (at,))
            lines.append(line(name, f" did not run ({failure.category}): ", reason))
    return lines


def _cold_table(starts: Sequence[ColdStart]) -> Table | None:
    heads = (
        "Variant",
        ">Steady (ms)",
        ">Changing the pipeline",
        ">Compiling",
        ">Capture and other first chunks",
        ">Cold start",
        ">Chunks until it pays",
        ">Video until it pays",
    )
    return table(heads, [_cold(start, starts[0]) for start in starts])


def _cold(start: ColdStart, base: ColdStart) -> tuple[Inline | str, ...]:
    result, chunks = start.result, of(start.result, WALL)
    both = (chunks, of(base.result, WALL))
    pays: Inline | str = count(start.chunks_to_pay, *both)
    video: Inline = NOTHING
    if start.chunks_to_pay is None:
        pays = "–" if start is base else "never"
    else:
        frames = next(c.frames for c in reversed(result.chunks))
        video = Cell(f"{start.chunks_to_pay * frames:,d} frames", both)
    return (
        Cell(result.case.variant, (of(result, "/case"),), "code"),
        number(start.steady_ms, chunks),
        seconds(start.prepared_s, *_prepared(start)),
        seconds(start.compile_s, chunks),
        seconds(start.capture_s, chunks),
        seconds(start.whole_s, chunks, *_prepared(start)),
        pays,
        video,
    )


def _prepared(start: ColdStart) -> tuple[Source, ...]:
    return () if start.prepared_s is None else (of(start.result, "/prepared_s"),)
