"""Where the chunk goes: stages by time, and the count pass by operator family and kernel."""

from collections.abc import Callable
from dataclasses import dataclass

from harness.analysis.chunks import StageTime, event_over_processes, stage_times
from harness.analysis.comparisons import over_processes
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
from harness.report.material import MODES, Material, case_label, mode_label, of, of_all
from harness.result import Result

SEVERAL = (
    "Where a case has several processes, times are geometric means of their medians and quartiles "
    "are of the process where they lie furthest apart."
)
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
    """The columns that a stage table has for each mode, of a case's processes."""

    suffixes: tuple[str, ...]
    cells: Callable[[list[Result], StageTime], list[Inline]]


@dataclass(frozen=True)
class Stages:
    """Stages of each mode, their sum against the chunk, the count passes, attention's proof."""

    rows: Table | None
    note: Line | None  # what the times are where a case has several processes
    details: Table | None
    sums: tuple[Line, ...]
    counted: tuple[Counted, ...]
    attention: Table | None


def stages_section(material: Material) -> Stages:
    """The section over the plain eager case of each mode, and every count pass."""
    plain = [material.plain("e2e", mode) for mode in MODES]
    found = [material.processes(result) for result in plain if result is not None]
    present = [processes for processes in found if stage_times(processes)]
    several = any(len(processes) > 1 for processes in present)
    return Stages(
        note=line(SEVERAL) if several else None,
        rows=_stage_rows(present, MAIN_PARTS),
        details=_stage_rows(present, DETAIL_PARTS),
        sums=tuple(_sum_line(processes) for processes in present),
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


def _stage_rows(cases: list[list[Result]], parts: StageParts) -> Table | None:
    """Rows of stages, with the columns that `parts` makes for the processes of each mode's case."""
    stages = [{stage.name: stage for stage in stage_times(processes)} for processes in cases]
    both = list(zip(cases, stages, strict=True))
    heads = ["Stage"]
    for processes in cases:
        heads += [f">{mode_label(processes[0].case)}{suffix}" for suffix in parts.suffixes]
    rows: list[tuple[Inline | str, ...]] = []
    for name in dict.fromkeys(name for known in stages for name in known):
        holders = [result for processes, known in both if name in known for result in processes]
        sources = of_all(holders, f"/chunks/*/stage_ms/{name}")
        row: list[Inline | str] = [Cell(stage_label(name, holders[0].case), sources)]
        for processes, known in both:
            stage = known.get(name)
            empty = [NOTHING] * len(parts.suffixes)
            row += empty if stage is None else parts.cells(processes, stage)
        rows.append(tuple(row))
    return table(heads, rows)


def _main_cells(processes: list[Result], stage: StageTime) -> list[Inline]:
    sources = of_all(processes, f"/chunks/*/stage_ms/{stage.name}")
    return [number(stage.device_ms, *sources), percent(stage.share, *sources)]


def _detail_cells(processes: list[Result], stage: StageTime) -> list[Inline]:
    device = of_all(processes, f"/chunks/*/stage_ms/{stage.name}")
    host = of_all(processes, f"/chunks/*/stage_host_ms/{stage.name}")
    return [number(stage.iqr_ms, *device), number(stage.host_ms, *host)]


MAIN_PARTS = StageParts((" (ms)", ", share"), _main_cells)
DETAIL_PARTS = StageParts((", IQR (ms)", ", host (ms)"), _detail_cells)


def _sum_line(processes: list[Result]) -> Line:
    total_ms = sum(stage.device_ms for stage in stage_times(processes))
    sources = of_all(processes, "/chunks/*/stage_ms")
    words: list[Inline | str] = [
        f"{mode_label(processes[0].case)}: stage medians sum to ",
        ms(total_ms, *sources),
    ]
    event = event_over_processes(processes)
    chunk = event or over_processes(processes, "wall")
    if chunk is not None:
        keys = of_all(processes, "/chunks/*/event_ms" if event else "/chunks/*/wall_ms")
        words += [
            ", against a chunk of ",
            ms(chunk.value, *keys),
            " by GPU events" if event else " by the host's clock",
            " (",
            percent(abs(1 - total_ms / chunk.value), *sources, *keys),
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
