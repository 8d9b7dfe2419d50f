"""Against the published report: each published figure beside ours, and why they may differ."""

from dataclasses import dataclass

from harness.analysis import published
from harness.analysis.chunks import grouped_stages
from harness.analysis.operators import calls_of
from harness.analysis.published import DIFFERENCES, Figure
from harness.analysis.stats import spread
from harness.report.cells import (
    NOTHING,
    Cell,
    Line,
    Table,
    line,
    ms,
    percent,
    table,
)
from harness.report.material import MODES, Material, of, of_all
from harness.report.sections.compiled import chunk_change
from harness.report.sections.components import overhead_of
from harness.report.sections.published_claims import published_verdicts
from harness.report.sections.published_counts import OperatorCounts, operator_counts
from harness.report.sections.vae_choice import vae_verdict
from harness.result import Result

LABELS: tuple[tuple[Figure, str], ...] = (
    (published.CHUNK, "Inpainting chunk, end to end"),
    (published.VACE_FORWARD, "VACE forward, isolated"),
    (published.PATCH_EMBEDDING, "VACE patch embedding, isolated"),
    (published.ENCODE_SINGLE, "VAE encode, isolated, single stream"),
    (published.ENCODE_DUAL, "VAE encode, isolated, dual stream"),
    (published.ENCODE_END_TO_END_LOW, "VAE encode, end to end, lower figure"),
    (published.ENCODE_END_TO_END_HIGH, "VAE encode, end to end, higher figure"),
    (published.VACE_FORWARD_SHARE, "One VACE forward, share of the chunk"),
    (published.VACE_OVERHEAD, "VACE overhead, counting one forward"),
    (published.VACE_OVERHEAD_SHARE, "VACE overhead, counting one forward, share"),
    (published.VACE_CORRECTED, "VACE overhead, counting all forwards"),
    (published.VACE_CORRECTED_SHARE, "VACE overhead, counting all forwards, share"),
    (published.LORA, "LoRA adapters (mm), GPU time"),
    (published.LORA_SHARE, "LoRA adapters (mm), share of GPU time"),
    (published.COMPILE_GAIN, "Gain by torch.compile"),
)
CORRECTED = ("vace_corrected", "vace_corrected_share")
STRUCTURAL = ("gpu", "weights", "cross_attention", "not_steady")
CORRECTIONS = ("vace_share", "encode", "lora", "sage", "flex")


@dataclass(frozen=True)
class Against:
    """Published figures beside ours, operator counts, and the explanations."""

    note: Line | None
    figures: Table | None
    counts: OperatorCounts | None
    structural: tuple[Line, ...]
    corrections: tuple[Line, ...]
    verdicts: Table | None
    vae: Line | None  # the recommendation about the VAE, where both were measured


def against(material: Material) -> Against:
    """The section. Ours is empty where no case of the run measured the same."""
    ours, counted = _ours(material), _counted(material)
    note = None
    if material.functional_only:
        note = line("A functional check: its own figures are not set beside the published ones.")
        ours, counted = {}, None
    elif material.shows_variant:
        note = line(
            "This run is of a changed workload: its figures and counts are its own, and are not "
            "set beside the published ones."
        )
        ours, counted = {}, None
    seeded = any(case.weights == "seeded" for case in material.run.manifest.cases)
    structural = tuple(name for name in STRUCTURAL if seeded or name != "weights")
    shown = [(item, label) for item, label in LABELS if item.name in ours] if ours else LABELS
    rows = [
        (label, _published(item), ours.get(item.name, NOTHING), Cell(item.source, _at(item)))
        for item, label in shown
    ]
    if len(shown) < len(LABELS):
        note = line("Published figures that this run has no counterpart of are left out.")
    return Against(
        note=note,
        figures=table(("Figure", ">Published", ">Ours", "Stated in"), rows),
        counts=operator_counts(material, counted) if counted is not None else None,
        structural=_differences(structural),
        corrections=_differences(CORRECTIONS),
        verdicts=None
        if material.functional_only or material.shows_variant
        else published_verdicts(material),
        vae=None if material.functional_only else vae_verdict(material),
    )


def _at(figure: Figure) -> tuple[str, ...]:
    return (f"published#{figure.name}",)


def _published(figure: Figure) -> Cell:
    note = " (corrected)" if figure.name in CORRECTED else ""
    return Cell(figure.stated + note, _at(figure))


def _ours(material: Material) -> dict[str, Cell]:
    cells: dict[str, Cell] = {}
    whole = material.plain("e2e", "inpainting")
    timing = material.timing("inpainting")
    eager = whole or material.plain("paired", "inpainting")
    location = material.chunk(eager) if eager is not None else None
    if eager is not None and location is not None:
        wall = of_all(material.processes(eager), "/chunks/*/wall_ms")
        cells["chunk"] = ms(location.value, *wall)
    if whole is not None and timing is not None:
        processes = material.processes(whole)
        encode_ms = grouped_stages(processes).get("encode")
        encode = ms(encode_ms, *of_all(processes, "/chunks/*/stage_ms/encode"))
        if encode_ms is not None:
            cells["encode_end_to_end_low"] = cells["encode_end_to_end_high"] = encode
        cells |= _lora(whole)
    isolated = material.plain("isolated", "inpainting")
    if isolated is not None:
        chunk_ms = timing.wall_ms.median if timing is not None else None
        cells |= _components(material, isolated, whole, chunk_ms)
    change = chunk_change(material)
    if change is not None:
        gain = percent(1 - change.ratio, *change.sources)
        cells["compile_gain"] = Cell(f"{gain.text} ({change.call})", gain.sources)
    return cells


def _components(
    material: Material, isolated: Result, whole: Result | None, chunk_ms: float | None
) -> dict[str, Cell]:
    names = {
        "vace_forward": "vace_forward",
        "vace_patch_embedding": "patch_embedding",
        "vae_encode_single": "encode_single",
        "context_encode": "encode_dual",
    }
    cells: dict[str, Cell] = {}
    medians: dict[str, float] = {}
    for index, component in enumerate(isolated.components):
        summary = spread(component.wall_ms)
        if component.name in names and summary is not None:
            medians[component.name] = summary.median
            source = of(isolated, f"/components/{index}/wall_ms")
            cells[names[component.name]] = ms(summary.median, source)
    parts = of(isolated, "/components/*/wall_ms")
    if not {"vace_forward", "vace_patch_embedding", "context_encode"} <= medians.keys():
        return cells
    once_ms = sum(medians[name] for name in names if name != "vae_encode_single")
    cost = overhead_of(material, isolated)
    cells["vace_overhead"] = ms(once_ms, parts)
    cells["vace_corrected"] = ms(cost.bottom_up_ms, parts)
    if chunk_ms and whole is not None:
        both = (parts, of(whole, "/chunks/*/wall_ms"))
        cells["vace_forward_share"] = percent(medians["vace_forward"] / chunk_ms, *both)
        cells["vace_overhead_share"] = percent(once_ms / chunk_ms, *both)
        cells["vace_corrected_share"] = percent(cost.bottom_up_share, *both)
    return cells


def _lora(whole: Result) -> dict[str, Cell]:
    """GPU time of mm, which only the adapters call."""
    counts = whole.count_pass
    found = calls_of(counts, "aten::mm") if counts is not None else None
    if counts is None or found is None:
        return {}
    index = found[1]
    mm_ms = counts.operators[index].device_ms
    total_ms = sum(operator.device_ms or 0.0 for operator in counts.operators)
    if mm_ms is None or not total_ms:
        return {}
    source = of(whole, f"/count_pass/operators/{index}/device_ms")
    total = of(whole, "/count_pass/operators/*/device_ms")
    return {"lora": ms(mm_ms, source), "lora_share": percent(mm_ms / total_ms, source, total)}


def _counted(material: Material) -> Result | None:
    for mode in MODES:
        result = material.plain("e2e", mode)
        if result is not None and result.count_pass is not None:
            return result
    return None


def _differences(names: tuple[str, ...]) -> tuple[Line, ...]:
    return tuple(line(Cell(DIFFERENCES[name], (f"published#{name}",))) for name in names)
