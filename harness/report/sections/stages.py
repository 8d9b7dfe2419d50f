"""Where the chunk goes: stages by time, and the count pass by operator family and kernel."""

from collections.abc import Callable
from dataclasses import dataclass

from harness.analysis.chunks import StageTime, chunk_timing, stage_times
from harness.analysis.operators import attribution_is_off, family_times, unattributed_ms
from harness.matrix import Case
from harness.record_parts import CountPass
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
from harness.report.material import MODES, Material, case_label, mode_label, of
from harness.result import Result

TOP_KERNELS = 10
TOP_OPERATORS = 20
ATTENTION_LABELS = {
    "cached_self": "Cached self-attention",
    "cross": "Cross-attention",
    "vace_self": "VACE self-attention",
}
STAGE_LABELS = {
    "prepare": "Prepare (noise, conditioning)",
    "recache": "Recache",
    "encode": "VAE encode (VACE context)",
    "clean": "Clean-cache pass",
    "decode": "VAE decode",
    "finish": "Finish (output scaling)",
}


@dataclass(frozen=True)
class Counted:
    """The count pass of one case."""

    title: Cell
    chunk: Line
    families: Table | None
    operators: Table | None
    kernels: Table | None
    mismatch: Line | None


@dataclass(frozen=True)
class StageParts:
    """The columns that a stage table has for each mode."""

    suffixes: tuple[str, ...]
    cells: Callable[[Result, StageTime], list[Inline]]


@dataclass(frozen=True)
class Stages:
    """Stages of each mode, their sum against the chunk, the count passes, attention's proof."""

    rows: Table | None
    details: Table | None
    sums: tuple[Line, ...]
    counted: tuple[Counted, ...]
    attention: Table | None


def stages_section(material: Material) -> Stages:
    """The section over the plain eager case of each mode, and every count pass."""
    plain = [material.plain("e2e", mode) for mode in MODES]
    present = [result for result in plain if result is not None and stage_times(result)]
    return Stages(
        rows=_stage_rows(present, MAIN_PARTS),
        details=_stage_rows(present, DETAIL_PARTS),
        sums=tuple(_sum_line(result) for result in present),
        counted=tuple(
            _counted(result, result.count_pass)
            for result in material.end_to_end
            if result.count_pass is not None
        ),
        attention=_attention(material.end_to_end),
    )


def stage_label(name: str, case: Case) -> str:
    """A stage in words; one of the user's own pipeline has its own."""
    if case.pipeline:
        return name
    kind, _, step = name.partition(".")
    if kind == "denoise" and step:
        return f"Denoise step {int(step) + 1}, without hints"
    if kind == "hints" and step:
        return f"VACE hints of step {int(step) + 1}"
    return STAGE_LABELS.get(name, name)


def _stage_rows(results: list[Result], parts: StageParts) -> Table | None:
    """Rows of stages, with the columns that `parts` makes for each mode."""
    stages = {result.case_id: {s.name: s for s in stage_times(result)} for result in results}
    names = list(dict.fromkeys(name for result in results for name in stages[result.case_id]))
    heads = ["Stage"]
    for result in results:
        heads += [f">{mode_label(result.case)}{suffix}" for suffix in parts.suffixes]
    rows: list[tuple[Inline | str, ...]] = []
    for name in names:
        holders = [result for result in results if name in stages[result.case_id]]
        sources = tuple(of(result, f"/chunks/*/stage_ms/{name}") for result in holders)
        row: list[Inline | str] = [Cell(stage_label(name, holders[0].case), sources)]
        for result in results:
            stage = stages[result.case_id].get(name)
            row += [NOTHING] * len(parts.suffixes) if stage is None else parts.cells(result, stage)
        rows.append(tuple(row))
    return table(heads, rows)


def _main_cells(result: Result, stage: StageTime) -> list[Inline]:
    source = of(result, f"/chunks/*/stage_ms/{stage.name}")
    return [number(stage.device_ms.median, source), percent(stage.share, source)]


def _detail_cells(result: Result, stage: StageTime) -> list[Inline]:
    device = of(result, f"/chunks/*/stage_ms/{stage.name}")
    host = of(result, f"/chunks/*/stage_host_ms/{stage.name}")
    host_ms = stage.host_ms.median if stage.host_ms else None
    return [number(stage.device_ms.iqr, device), number(host_ms, host)]


MAIN_PARTS = StageParts((" (ms)", ", share"), _main_cells)
DETAIL_PARTS = StageParts((", IQR (ms)", ", host (ms)"), _detail_cells)


def _sum_line(result: Result) -> Line:
    timing = chunk_timing(result)
    total_ms = sum(stage.device_ms.median for stage in stage_times(result))
    source = of(result, "/chunks/*/stage_ms")
    words: list[Inline | str] = [
        f"{mode_label(result.case)}: stage medians sum to ",
        ms(total_ms, source),
    ]
    if timing is not None:
        on_gpu = timing.event_ms is not None
        chunk = timing.event_ms if timing.event_ms is not None else timing.wall_ms
        key = of(result, "/chunks/*/event_ms" if on_gpu else "/chunks/*/wall_ms")
        words += [
            ", against a chunk of ",
            ms(chunk.median, key),
            " by GPU events" if on_gpu else " by the host's clock",
            " (",
            percent(abs(1 - total_ms / chunk.median) if chunk.median else None, source, key),
            " apart)",
        ]
    return line(*words, ".")


def _counted(result: Result, counts: CountPass) -> Counted:
    families = _families(result, counts)
    return Counted(
        title=case_label(result),
        chunk=_chunk_line(result, counts),
        families=families,
        operators=_operators(result, counts),
        kernels=_kernels(result, counts),
        mismatch=_mismatch(result, counts),
    )


def _families(result: Result, counts: CountPass) -> Table | None:
    """Families with their GPU time, or with their calls alone where nothing ran on a GPU."""
    base = "/count_pass/operators"
    rows: list[tuple[Inline | str, ...]] = []
    for item in family_times(counts):
        calls = tuple(of(result, f"{base}/{i}/calls") for i in item.indices)
        # What a family is for, in brackets, is said of the built-in workload.
        name = item.name.partition(" (")[0] if result.case.pipeline else item.name
        row: list[Inline | str] = [name, count(item.calls, *calls)]
        if counts.kernels:
            times = tuple(of(result, f"{base}/{i}/device_ms") for i in item.indices)
            row += [number(item.device_ms, *times), percent(item.share, *times)]
        rows.append(tuple(row))
    heads = ["Family", ">Calls"]
    heads += [">GPU time (ms)", ">Share of GPU time"] if counts.kernels else []
    return table(heads, rows)


def _chunk_line(result: Result, counts: CountPass) -> Line:
    words: list[Inline | str] = ["Chunk ", count(counts.chunk, of(result, "/count_pass/chunk"))]
    if counts.kernels:
        source = of(result, "/count_pass/kernels/*/device_ms")
        busy_ms = sum(kernel.device_ms for kernel in counts.kernels)
        launches = sum(kernel.calls for kernel in counts.kernels)
        words += [
            ": ",
            count(launches, of(result, "/count_pass/kernels/*/calls")),
            " kernels and copies, ",
            ms(busy_ms, source),
            " of GPU time",
        ]
    return line(*words, ".")


def _operators(result: Result, counts: CountPass) -> Table | None:
    """Operators by GPU time, where there is one."""
    total_ms = sum(operator.device_ms or 0.0 for operator in counts.operators)
    ranked = sorted(
        ((operator.device_ms or 0.0, index) for index, operator in enumerate(counts.operators)),
        key=lambda item: (-item[0], item[1]),
    )
    rows: list[tuple[Inline | str, ...]] = []
    for device_ms, index in ranked[:TOP_OPERATORS]:
        if not device_ms:
            break
        base = of(result, f"/count_pass/operators/{index}")
        operator = counts.operators[index]
        rows.append(
            (
                Cell(operator.name, (base,), "code"),
                count(operator.calls, base),
                number(device_ms, base),
                percent(device_ms / total_ms, base),
            )
        )
    return table(("Operator", ">Calls", ">GPU time (ms)", ">Share"), rows)


def _kernels(result: Result, counts: CountPass) -> Table | None:
    total_ms = sum(kernel.device_ms for kernel in counts.kernels)
    ranked = sorted(enumerate(counts.kernels), key=lambda item: -item[1].device_ms)[:TOP_KERNELS]
    rows: list[tuple[Inline | str, ...]] = []
    for index, kernel in ranked:
        base = of(result, f"/count_pass/kernels/{index}")
        rows.append(
            (
                Cell(_shortened(kernel.name), (base,), "code"),
                count(kernel.calls, base),
                number(kernel.device_ms, base),
                percent(kernel.device_ms / total_ms if total_ms else None, base),
            )
        )
    return table(("Kernel", ">Calls", ">GPU time (ms)", ">Share"), rows)


def _shortened(name: str) -> str:
    limit = 96
    return name if len(name) <= limit else name[: limit - 1] + "…"


def _mismatch(result: Result, counts: CountPass) -> Line | None:
    gap_ms = unattributed_ms(counts)
    if gap_ms is None or not attribution_is_off(counts):
        return None
    times = "/count_pass/operators/*/device_ms" if counts.operators else "/count_pass/operators"
    sources = (of(result, "/count_pass/kernels/*/device_ms"), of(result, times))
    return line(
        "Operators and kernels disagree: ",
        ms(abs(gap_ms), *sources),
        " of GPU time has no operator." if gap_ms > 0 else " is counted at two operators.",
    )


def _attention(results: list[Result]) -> Table | None:
    """Kernels seen inside each use of attention; cases that agree share a row."""
    seen: dict[tuple[str, tuple[str, ...]], list[Result]] = {}
    for result in results:
        if result.count_pass is not None and result.count_pass.kernels:
            for role, names in result.count_pass.attention_kernels.items():
                seen.setdefault((role, tuple(names)), []).append(result)
    rows: list[tuple[Inline | str, ...]] = []
    for (role, kernels), users in sorted(seen.items(), key=lambda item: item[0][0]):
        sources = tuple(of(user, f"/count_pass/attention_kernels/{role}") for user in users)
        shown = ", ".join(_shortened(name) for name in kernels) or "no kernel seen"
        cases = "; ".join(case_label(user).text for user in users)
        label = ATTENTION_LABELS.get(role, role)
        rows.append((Cell(label, sources), Cell(shown, sources, "code"), Cell(cases, sources)))
    return table(("Attention", "Kernels seen", "Cases"), rows)
