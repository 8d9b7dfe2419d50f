"""Figures of the limit: numbers of floors, VAEs, leave-one-out and growth handed to the plots."""

from harness.analysis.chunks import chunk_timing
from harness.analysis.comparisons import TIMES, TimeMeasure
from harness.analysis.growth import (
    REAL_TIME_FPS,
    Axis,
    arithmetic_ratio,
    growth_axes,
    with_place,
)
from harness.analysis.interactions import net_alone, net_brings
from harness.analysis.leave_out import LeftOut, by_bundle, left_out_fixes
from harness.analysis.saved_time import Saved
from harness.analysis.vae_choice import FORMS, VaeForm, vae_forms
from harness.analysis.work_kinds import PLACES
from harness.report.material import Material, case_label
from harness.report.plots_floors import FloorBar, floors_figure
from harness.report.plots_growth import Curve, FpsMap, MapField, growth_figure, map_figure
from harness.report.plots_limit import Dot, SavedPair, SavedRow, leave_out_figure
from harness.report.plots_vae import VaeBar, vae_figure
from harness.report.sections.growth_cells import TITLES, place_cell
from harness.report.sections.interactions import Alone, alone_beside
from harness.report.sections.roofline_stack import stack_rooflines
from harness.report.sections.vae_choice import LABELS

MAP_STEPS = tuple(range(1, 9))


def floors_svg(material: Material) -> bytes | None:
    """None where no variant has a profile with floors."""
    found = stack_rooflines(material)
    if not found:
        return None
    stacks = [case_label(one.result).text for one in found]
    rows = []
    for place in PLACES:
        bars = [
            FloorBar(stack, kind.device_ms, kind.floor_ms)
            for stack, one in enumerate(found)
            for kind in one.kinds
            if kind.name == place
        ]
        if bars:
            rows.append((place, bars))
    return floors_figure(stacks, rows)


def vae_svg(material: Material) -> bytes | None:
    """None where the run does not have both autoencoders."""
    found = vae_forms(material.run.processes)
    if not found:
        return None
    forms = ([_vae_bar(one) for one in found if one.form == form] for form in FORMS)
    timing = chunk_timing(found[0].times.results[0], found[0].times.arm)
    frames = timing.frames_per_chunk if timing is not None else 0.0
    limits = [(fps, 1e3 * frames / fps) for fps in REAL_TIME_FPS.values()]
    return vae_figure([form for form in forms if form], limits)


def _vae_bar(one: VaeForm) -> VaeBar:
    return VaeBar(
        label=f"{LABELS[one.vae]}, {one.form}",
        wall_ms=one.times.wall.value,
        encode_ms=one.encode_ms,
        decode_ms=one.decode_ms,
        over_tae=one.wall_over_tae.ratio if one.wall_over_tae is not None else None,
    )


def leave_out_svg(material: Material) -> bytes | None:
    """None where no case leaves a fix out."""
    rows = saved_rows(material)
    return leave_out_figure(rows) if rows else None


def saved_rows(material: Material) -> list[SavedRow]:
    """What each fix saves by itself: by stack, what saves most there first; no pairs of fixes."""
    left = left_out_fixes(material.run.processes)
    if not left:
        return []
    alone = alone_beside(material, left[0])
    bundles = by_bundle(left)
    rows: list[SavedRow] = []
    for own in bundles:
        stack = f"{own[0].bundle}: " if len(bundles) > 1 else ""
        found = [
            SavedRow(f"{stack}{one.fix}", *(_saved_pair(one, own, alone, m) for m in TIMES))
            for one in own
            if one.one_fix
        ]
        rows += sorted(found, key=_most_in_the_stack)
    return rows


def _most_in_the_stack(row: SavedRow) -> float:
    """What saves most GPU-busy time first; wall time where that is not known."""
    dot = row.busy.brings or row.wall.brings
    return -dot.value_ms if dot is not None else 0.0


def _saved_pair(
    left: LeftOut, others: list[LeftOut], alone: Alone, measure: TimeMeasure
) -> SavedPair:
    """By itself, alone and in the stack: without what it needs, and without what needs it."""
    found = net_alone(alone.singles, left.fix, measure), net_brings(left, others, measure)
    return SavedPair(*(_dot(one) if one is not None else None for one in found))


def _dot(one: Saved) -> Dot:
    return Dot(one.value, *(one.interval or (None, None)))


def growth_svg(material: Material) -> bytes | None:
    """None where no axis has enough points."""
    axes = growth_axes(material.results)
    if not axes:
        return None
    panels = [
        (TITLES[name], [_curve(axis) for axis in axes if axis.name == name])
        for name in dict.fromkeys(axis.name for axis in axes)
    ]
    frames = axes[0].anchor.timing.frames_per_chunk
    limits = [(fps, 1e3 * frames / fps) for fps in REAL_TIME_FPS.values()]
    return growth_figure(panels, limits)


def _curve(axis: Axis) -> Curve:
    return Curve(
        axis.variant,
        tuple(place_cell(axis.name, point).text for point in axis.points),
        tuple(point.wall_ms for point in axis.points),
        tuple(point.predicted_ms for point in axis.points),
    )


def map_svg(material: Material) -> bytes | None:
    """Over the measured sizes; None without an axis of sizes."""
    maps = fps_maps(material)
    return map_figure(maps, tuple(REAL_TIME_FPS.values())) if maps else None


def fps_maps(material: Material) -> list[FpsMap]:
    """One of each variant with an axis of sizes."""
    axes = growth_axes(material.results)
    return [_map(axis, axes) for axis in axes if axis.name == "size"]


def _map(sizes: Axis, axes: list[Axis]) -> FpsMap:
    """Measured where a point is on the axis of sizes or of steps.

    Else predicted by arithmetic from the row's measured point with the preset's own steps.
    """
    own = [axis for axis in axes if axis.variant == sizes.variant and axis.name != "window"]
    known = {
        (point.case.width_px, point.case.height_px, point.case.steps): point.fps
        for axis in own
        for point in axis.points
    }
    rows = []
    for point in sizes.points:
        size = (point.case.width_px, point.case.height_px)
        row = []
        for steps in MAP_STEPS:
            case = with_place(point.case, size=size, steps=steps)
            guess = point.fps / arithmetic_ratio(case, point.case)
            fps = known.get((*size, steps))
            row.append(MapField(guess if fps is None else fps, fps is not None))
        rows.append(tuple(row))
    labels = tuple(place_cell("size", point).text for point in sizes.points)
    return FpsMap(sizes.variant, labels, MAP_STEPS, tuple(rows))
