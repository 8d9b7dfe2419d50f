"""Isolated Component Timings: each part alone, its share of the chunk, and VACE's whole cost."""

from dataclasses import dataclass

from harness.analysis.chunks import ChunkTiming, chunk_timing
from harness.analysis.components import (
    RESIDUAL_LIMIT,
    ComponentTime,
    Overhead,
    Residual,
    component_times,
    residual,
    vace_overhead,
)
from harness.matrix import Case
from harness.report.cells import (
    NOTHING,
    Cell,
    Inline,
    Line,
    Table,
    count,
    line,
    ms,
    number,
    percent,
    table,
)
from harness.report.material import Material, case_label, of
from harness.result import Result

COMPONENT_LABELS = {
    "vae_encode_single": "VAE encode, single stream",
    "context_encode": "VACE context encode, dual stream",
    "vace_patch_embedding": "VACE patch embedding",
    "vace_forward": "VACE forward, all VACE blocks",
    "vae_decode": "VAE decode",
}


@dataclass(frozen=True)
class ComponentGroup:
    """The components of one isolated case."""

    title: Cell
    rows: Table
    chunk: Line
    overhead: Line | None
    residual: Line | None


def component_groups(material: Material) -> list[ComponentGroup]:
    """One group for each finished isolated eager case, or own case with components."""
    groups = []
    for result in material.results:
        alone = result.case.kind == "isolated" and not result.case.compiled
        if not (alone or result.case.pipeline) or not result.components:
            continue
        whole = result if result.case.pipeline else material.chunk_of(result)
        timing = chunk_timing(whole) if whole is not None else None
        chunk_ms = timing.wall_ms.median if timing is not None else None
        times = component_times(result, chunk_ms)
        rows = _component_rows(result, times, whole)
        if rows is None:
            continue
        groups.append(
            ComponentGroup(
                title=case_label(result),
                rows=rows,
                chunk=_chunk_line(whole, timing),
                overhead=_overhead_line(material, result, times, whole),
                residual=_residual_line(result, times, whole, timing),
            )
        )
    return groups


def component_label(name: str, case: Case) -> str:
    """A component in words; one of the user's own pipeline has its own."""
    return name if case.pipeline else COMPONENT_LABELS.get(name, name)


def overhead_of(material: Material, result: Result) -> Overhead:
    """VACE overhead in both ways for an isolated case."""
    whole = material.chunk_of(result)
    timing = chunk_timing(whole) if whole is not None else None
    chunk_ms = timing.wall_ms.median if timing is not None else None
    text = material.timing("text")
    text_ms = text.wall_ms.median if text is not None else None
    return vace_overhead(component_times(result, chunk_ms), chunk_ms, text_ms)


def _component_rows(
    result: Result, times: list[ComponentTime], whole: Result | None
) -> Table | None:
    chunk_sources = (of(whole, "/chunks/*/wall_ms"),) if whole is not None else ()
    rows: list[tuple[Inline | str, ...]] = []
    for index, item in enumerate(times):
        wall = of(result, f"/components/{index}/wall_ms")
        event = of(result, f"/components/{index}/event_ms")
        calls = of(result, f"/components/{index}/calls_per_chunk")
        part = item.calls_per_chunk > 0
        rows.append(
            (
                Cell(component_label(item.name, result.case), (wall,)),
                count(item.wall_ms.n, wall),
                number(item.wall_ms.median, wall),
                number(item.wall_ms.iqr, wall),
                number(item.event_ms.median if item.event_ms else None, event),
                count(item.calls_per_chunk, calls),
                number(item.per_chunk_ms, wall, calls) if part else NOTHING,
                percent(item.share, wall, calls, *chunk_sources) if part else NOTHING,
            )
        )
    heads = (
        "Component",
        ">n",
        ">Median (ms)",
        ">IQR (ms)",
        ">GPU events (ms)",
        ">Calls per chunk",
        ">ms per chunk",
        ">Share of the chunk",
    )
    return table(heads, rows)


def _chunk_line(whole: Result | None, timing: ChunkTiming | None) -> Line:
    if whole is None or timing is None:
        return line("Shares are missing: the end-to-end case of the same settings has no result.")
    what = "same process" if whole.case.pipeline else "same settings"
    return line(
        f"Shares are of the end-to-end chunk of the {what}, ",
        ms(timing.wall_ms.median, of(whole, "/chunks/*/wall_ms")),
        ".",
    )


def _overhead_line(
    material: Material, result: Result, times: list[ComponentTime], whole: Result | None
) -> Line | None:
    cost = overhead_of(material, result)
    if cost.bottom_up_ms is None:
        return None
    parts = tuple(of(result, f"/components/{i}/wall_ms") for i, _ in enumerate(times))
    chunk = (of(whole, "/chunks/*/wall_ms"),) if whole is not None else ()
    words: list[Inline | str] = [
        "Total VACE overhead, bottom-up (forwards, patch embeddings and context encode, each "
        "times its calls): ",
        ms(cost.bottom_up_ms, *parts),
    ]
    if cost.bottom_up_share is not None:
        words += [" or ", percent(cost.bottom_up_share, *parts, *chunk), " of the chunk"]
    text = material.plain("e2e", "text")
    if cost.top_down_ms is None or text is None:
        return line(*words, ". Top-down is missing: it needs the text-only case.")
    both = (*chunk, of(text, "/chunks/*/wall_ms"))
    words += [
        "; top-down (this chunk minus the text-only chunk): ",
        ms(cost.top_down_ms, *both),
        " or ",
        percent(cost.top_down_share, *both),
        ".",
    ]
    return line(*words)


def _residual_line(
    result: Result,
    times: list[ComponentTime],
    whole: Result | None,
    timing: ChunkTiming | None,
) -> Line | None:
    if whole is None or timing is None:
        return None
    rest = residual(times, whole, timing.wall_ms.median)
    if rest is None:
        return None
    sources = (of(result, "/components/*/wall_ms"), of(whole, "/chunks/*/stage_ms"))
    words: list[Inline | str] = [
        "Components times calls, plus the passes of the loop, sum to ",
        ms(rest.sum_ms, *sources),
        "; the residual is ",
        percent(rest.share, *sources, of(whole, "/chunks/*/wall_ms")),
        " of the chunk",
    ]
    return line(*words, *_residual_names(rest, sources), ".")


def _residual_names(rest: Residual, sources: tuple[str, ...]) -> list[Inline | str]:
    limit = percent(RESIDUAL_LIMIT, "rule#RESIDUAL_LIMIT")
    if not rest.named:
        return [" (limit ", limit, ")"]
    words: list[Inline | str] = [", over the limit of ", limit, ". It lies in: "]
    for gap in rest.gaps:
        words += [
            f"{gap.name} (",
            ms(gap.in_loop_ms, *sources),
            " in the loop, ",
            ms(gap.isolated_ms, *sources),
            " isolated), ",
        ]
    words[-1] = " isolated)"
    return words
