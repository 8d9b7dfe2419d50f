"""Which figures a run has, and what they show: the record's numbers handed to the plots."""

from collections.abc import Iterator

from harness.analysis.chunks import grouped_stages
from harness.analysis.comparisons import TIMES, compare_arms, process_values
from harness.analysis.components import component_times
from harness.analysis.experiment import MIN_EFFECT, Verdict
from harness.analysis.interval import median
from harness.analysis.part_groups import grouping
from harness.analysis.profile import Slot, main_slot
from harness.analysis.repeatability import COMPILED
from harness.analysis.trust import Trust
from harness.analysis.unprofiled import real_idle
from harness.arms import BASE_ARM
from harness.matrix import Case, Kind
from harness.profiled import Timeline
from harness.report.figures_fixes import alone_svg, fixes_svg, stacks_svg
from harness.report.figures_frames import frames_svg
from harness.report.figures_limit import floors_svg, growth_svg, leave_out_svg, map_svg, vae_svg
from harness.report.figures_power import power_svg
from harness.report.material import MODES, Material, case_label, mode_label
from harness.report.plots import (
    STAGE_COLOURS,
    CaseTrack,
    Percent,
    component_figure,
    gpu_figure,
    own_colours,
    stage_figure,
)
from harness.report.plots_profile import idle_figure, parts_figure
from harness.report.plots_timeline import timeline_figure
from harness.report.plots_trust import ArmRow, trust_figure
from harness.report.sections.components import component_label
from harness.report.sections.profiling import profiled_modes
from harness.result import Result
from harness.variants import BASELINE

KINDS: dict[Kind, str] = {
    "isolated": "isolated",
    "e2e": "end to end",
    "paired": "paired",
    "quality": "output",
}


def draw(material: Material, trust: Trust | None) -> dict[str, bytes]:
    """File name -> SVG of every figure that the run has numbers for."""
    drawn = {
        "stages.svg": _stages(material),
        "profile_parts.svg": _profile_parts(material),
        "idle.svg": _idle(material),
        "timeline.svg": _timeline(material),
        "components.svg": _components(material),
        "fixes.svg": fixes_svg(material),
        "stacks.svg": stacks_svg(material),
        "alone.svg": alone_svg(material),
        "power.svg": power_svg(material),
        "frames.svg": frames_svg(material),
        "floors.svg": floors_svg(material),
        "vae.svg": vae_svg(material),
        "leave_out.svg": leave_out_svg(material),
        "growth.svg": growth_svg(material),
        "growth_map.svg": map_svg(material),
        "gpu_state.svg": _gpu_state(material),
        "trust.svg": _trust(trust) if trust is not None else None,
    }
    return {name: blob for name, blob in drawn.items() if blob is not None}


def _stages(material: Material) -> bytes | None:
    bars = []
    for mode in MODES:
        result = material.plain("e2e", mode)
        if result is None:
            continue
        parts = grouped_stages(material.processes(result))
        if any(parts.values()):
            bars.append((_bar_label(result.case), parts))
    if not bars:
        return None
    return stage_figure(bars, own_colours(bars[0][1]) if material.own else STAGE_COLOURS)


def _bar_label(case: Case) -> str:
    """The mode, and the variant where it is not the baseline."""
    return mode_label(case) + ("" if case.variant == BASELINE else f", {case.variant}")


def _profile_parts(material: Material) -> bytes | None:
    """Of the first profiled mode: kinds of work, each split by its parts' last names."""
    found = next(_on_gpu(material), None)
    if found is None:
        return None
    slot = found[1]
    bars: dict[str, tuple[str, dict[str, float]]] = {}
    group_of = grouping(found[0].case)
    for part in slot.chunk.parts:
        group = group_of(part.stage, part.part)
        parts = bars.setdefault(group.name, (group.family, {}))[1]
        parts[part.part] = parts.get(part.part, 0.0) + part.device_ms
    ranked = [
        (name, family, sorted(parts.items(), key=lambda item: -item[1]))
        for name, (family, parts) in sorted(
            bars.items(), key=lambda item: -sum(item[1][1].values())
        )
        if any(parts.values())
    ]
    return parts_figure(ranked) if ranked else None


def _idle(material: Material) -> bytes | None:
    bars = [
        (_bar_label(result.case), {"busy": slot.chunk.busy_ms, **real_idle(result, slot)})
        for result, slot in _on_gpu(material)
    ]
    return idle_figure(bars) if bars else None


def shown_timeline(material: Material) -> tuple[Case, Timeline] | None:
    """Of the first profiled mode; older records hold none."""
    found = next(_on_gpu(material), None)
    line = found[1].chunk.timeline if found is not None else None
    return (found[0].case, line) if found is not None and line is not None else None


def _timeline(material: Material) -> bytes | None:
    shown = shown_timeline(material)
    return timeline_figure(shown[1]) if shown is not None else None


def _on_gpu(material: Material) -> Iterator[tuple[Result, Slot]]:
    """Profiled modes with GPU time."""
    for result in profiled_modes(material):
        slot = main_slot(result.profile)
        if slot is not None and slot.chunk.busy_ms:
            yield result, slot


def _components(material: Material) -> bytes | None:
    if material.own:
        result = next((one for one in material.end_to_end if one.components), None)
    else:
        result = material.plain("isolated", "inpainting") or material.plain("isolated", "depth")
    if result is None:
        return None
    bars = [
        (component_label(item.name, result.case), item.wall_ms.median, item.calls_per_chunk)
        for item in component_times(result, None)
        if item.per_chunk_ms > 0
    ]
    return component_figure(bars) if bars else None


def _gpu_state(material: Material) -> bytes | None:
    tracks = [track for result in material.results if (track := _track(result)) is not None]
    return gpu_figure(tracks) if tracks else None


def _track(result: Result) -> CaseTrack | None:
    """A case's samples on its own axis, from its first phase to its last."""
    series = result.gpu.series
    if not series.t_s or not result.phases:
        return None
    first_s = min(mark.start_s for mark in result.phases)
    length_s = max(mark.end_s for mark in result.phases) - first_s
    if length_s <= 0:
        return None
    return CaseTrack(
        label=f"{case_label(result).text}, {KINDS[result.case.kind]}",
        length_s=length_s,
        phases=tuple((m.name, m.start_s - first_s, m.end_s - first_s) for m in result.phases),
        t_s=tuple(t_s - first_s for t_s in series.t_s),
        fields={name: tuple(column) for name, column in series.fields.items()},
    )


def _trust(trust: Trust) -> bytes | None:
    """Arms against the base and the processes' base medians, all in percent."""
    if not trust.results:
        return None
    planted = {item.arm: item.planted_share for item in trust.planted}
    groups = {trust.results[0].case_id: trust.results}
    groups |= {item.results[0].case_id: item.results for item in trust.planted}
    rows = []
    for results, arm in ((r, arm) for r in groups.values() for arm in r[0].case.arms[1:]):
        bars: dict[str, Percent] = {}
        for measure in TIMES:
            if (found := compare_arms(results, arm, measure)) is not None:
                bars[measure] = _bar(found)
        share = planted.get(arm)
        if bars and arm != COMPILED:
            rows.append(ArmRow(arm, None if share is None else 100 * share, bars))
    dots: dict[str, list[float]] = {}
    for measure in TIMES:
        values = process_values(trust.results, measure, BASE_ARM)
        dots[measure] = [100 * (value / median(values) - 1) for value in values]
    return trust_figure(rows, dots, 100 * MIN_EFFECT) if rows else None


def _bar(found: Verdict) -> Percent:
    ratio = found.ratio
    low, high = (None if end is None else 100 * (end - 1) for end in (ratio.low, ratio.high))
    return Percent(100 * (ratio.value - 1), low, high)
