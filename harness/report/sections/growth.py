"""How cost grows: a table an axis, errors of the cost model, real time, cold starts."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.cold_start import ColdStart, cold_starts
from harness.analysis.growth import REAL_TIME_FPS, Axis, AxisName, GrowthPoint, growth_axes
from harness.report.cells import (
    NOTHING,
    Cell,
    Column,
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

TITLES: dict[AxisName, str] = {
    "size": "Size of a frame",
    "steps": "Denoising steps",
    "window": "Window of the KV cache, latent frames",
}
SHORT: dict[AxisName, str] = {
    "size": "the size of a frame",
    "steps": "the number of steps",
    "window": "the window",
}
WALL = "/chunks/*/wall_ms"


@dataclass(frozen=True)
class GrowthGroup:
    """The points of all variants on one axis."""

    title: str
    rows: Table | None


@dataclass(frozen=True)
class GrowthSection:
    """The section, in its order."""

    groups: tuple[GrowthGroup, ...]
    errors: Table | None
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
        real_time=_real_time(axes),
        breaks=(*_breaks(axes), *_memory_line(material, axes)),
        failed=tuple(_failed(material)),
    )


def growth_sentences(material: Material) -> list[Line]:
    """What the overview says: where each variant first loses real time."""
    return [line("Real time of ", told) for told in _breaks(growth_axes(material.results))]


def cold_section(material: Material) -> ColdSection | None:
    """None without a baseline and a variant, each cold."""
    starts = cold_starts(material.results)
    return ColdSection(_cold_table(starts)) if starts else None


def _group(name: AxisName, axes: Sequence[Axis]) -> GrowthGroup:
    heads = (
        f">{TITLES[name]}",
        "Variant",
        ">Wall (ms)",
        ">FPS",
        ">Predicted (ms)",
        ">Error",
        ">Peak memory",
        ">Predicted memory",
        ">Energy a frame (J)",
    )
    rows = [_point(axis, point) for axis in axes for point in axis.points]
    return GrowthGroup(TITLES[name], table(heads, rows))


def _point(axis: Axis, point: GrowthPoint) -> tuple[Inline | str, ...]:
    wall, own = _wall(point), point is axis.anchor
    both = (*wall, *_wall(axis.anchor), of(point.result, "/case"))
    case = of(point.result, "/case")
    power = of(point.result, "/gpu")
    return (
        place_cell(axis.name, point),
        Cell(axis.variant, (case,), "code"),
        number(point.wall_ms, *wall),
        rate(point.fps, *wall, of(point.result, "/chunks/*/frames")),
        "its base" if own else number(point.predicted_ms, *both),
        NOTHING if own else percent(point.error, *both),
        gibibytes(point.peak_bytes, of(point.result, "/memory")),
        gibibytes(point.predicted_bytes, case),
        number(point.joules_per_frame, *(() if point.joules_per_frame is None else (power,))),
    )


def place_cell(name: AxisName, point: GrowthPoint) -> Cell:
    """Where a point stands on its axis."""
    case = point.case
    if name == "size":
        sources = (of(point.result, "/case/width_px"), of(point.result, "/case/height_px"))
        return Cell(f"{case.width_px}x{case.height_px}", sources)
    value = case.steps if name == "steps" else case.window
    return Cell(str(value), (of(point.result, f"/case/{name}"),))


def _errors(axes: Sequence[Axis]) -> Table | None:
    """The cost model's error of each axis and variant."""
    rows: list[tuple[Inline | str, ...]] = []
    for axis in axes:
        at = tuple(source for point in axis.points for source in _wall(point))
        worst = axis.worst
        rows.append(
            (
                TITLES[axis.name],
                Cell(axis.variant, (of(worst.result, "/case"),), "code"),
                count(len(axis.others), *at),
                percent(axis.mean_error, *at),
                percent(worst.error, *_wall(worst), *_wall(axis.anchor)),
                place_cell(axis.name, worst),
            )
        )
    return table(("Axis", "Variant", ">Points", ">Mean error", ">Worst error", ">At"), rows)


def _real_time(axes: Sequence[Axis]) -> Table | None:
    """How far each rate holds along each axis, by what was measured."""
    rows: list[tuple[Inline | str, ...]] = []
    for axis in axes:
        cells = [_reach(axis, name) for name in REAL_TIME_FPS]
        variant = Cell(axis.variant, (of(axis.anchor.result, "/case"),), "code")
        rows.append((TITLES[axis.name], variant, *cells))
    heads = [
        Column(Cell(f"Holds {fps:g} FPS", (f"rule#{name}",))) for name, fps in REAL_TIME_FPS.items()
    ]
    return table(("Axis", "Variant", *heads), rows)


def _reach(axis: Axis, name: str) -> Line:
    """The last measured point that holds a rate, and the first that does not."""
    last, first = axis.holds(REAL_TIME_FPS[name])
    if first is None and last is not None:
        return line("at every point, up to ", place_cell(axis.name, last))
    if last is None and first is not None:
        return line("nowhere, from ", place_cell(axis.name, first), " on")
    assert last is not None and first is not None
    words = ("up to ", place_cell(axis.name, last), "; breaks at ", place_cell(axis.name, first))
    return line(*words)


def _breaks(axes: Sequence[Axis]) -> list[Line]:
    """What breaks first in each variant: the cheapest point, by its arithmetic, without a rate."""
    lines = []
    for variant in dict.fromkeys(axis.variant for axis in axes):
        own = [axis for axis in axes if axis.variant == variant]
        words: list[Inline | str] = [Cell(variant, form="code"), ": "]
        for position, (name, fps) in enumerate(REAL_TIME_FPS.items()):
            rate_cell = Cell(f"{fps:g} FPS", (f"rule#{name}",))
            failing = [(axis, point) for axis in own if (point := axis.holds(fps)[1]) is not None]
            words += ["; " * bool(position), rate_cell]
            if not failing:
                words += [" holds at every point"]
                continue
            axis, point = min(failing, key=lambda pair: pair[1].predicted_ms)
            words += [f" breaks first with {SHORT[axis.name]} at "]
            words += [place_cell(axis.name, point)]
        lines.append(line(*words, "."))
    return lines


def _memory_line(material: Material, axes: Sequence[Axis]) -> list[Line]:
    """The largest peak beside the GPU's memory, where both are known."""
    known = [(p.peak_bytes, p) for axis in axes for p in axis.points if p.peak_bytes is not None]
    fact = material.fact("gpu.memory_total_bytes")
    if not known or fact is None or not isinstance(fact[0].value, int):
        return []
    peak, point = max(known, key=lambda pair: pair[0])
    at = of(point.result, "/memory")
    share = percent(peak / fact[0].value, at, fact[1])
    case = Cell(point.result.case_id, (of(point.result, "/case_id"),), "code")
    most = ("Memory: the most is ", gibibytes(peak, at), " in ", case)
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


def _wall(point: GrowthPoint) -> tuple[Source, ...]:
    return (of(point.result, WALL),)
