"""Detailed Profiling: profiled chunks by part, operator and stage, the host's time, idle time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.analysis.part_groups import grouping
from harness.analysis.profile import (
    OTHER_PARTS,
    OperatorUse,
    Portion,
    Slot,
    Where,
    busy_share,
    by_group,
    by_operator,
    distortion,
    main_slot,
    named_parts,
    wall_ms,
)
from harness.report.cells import (
    Cell,
    Inline,
    Line,
    Link,
    Source,
    Table,
    count,
    line,
    ms,
    number,
    percent,
    ratio,
    table,
)
from harness.report.material import MODES, Material, case_label, of
from harness.report.sections.profile_host import HostTables, host_tables
from harness.report.sections.profile_stages import kind_table, stage_table
from harness.report.sections.profile_trust import ProfileTrust, profile_trust
from harness.result import Result

TOP_OPERATORS = 20
LEAST_UNATTRIBUTED = 0.001  # of GPU-busy time; less is not worth a word


@dataclass(frozen=True)
class ProfiledMode:
    """One profiled case."""

    title: Cell
    sentences: tuple[Line, ...]
    groups: Table | None
    group_parts: Table | None
    operators: Table | None
    stages: Table | None


@dataclass(frozen=True)
class Profiling:
    """The section; `modes` is not empty."""

    modes: tuple[ProfiledMode, ...]
    host: HostTables
    trust: ProfileTrust
    kinds: Table | None
    problems: tuple[Line, ...]
    traces: tuple[Line, ...]
    excerpts: tuple[Link, ...]
    on_gpu: bool


def profiling(material: Material) -> Profiling | None:
    """The section over the plain eager cases; None where no record has a profile."""
    results = profiled_modes(material)
    shown = [(result, slot) for result in results if (slot := main_slot(result.profile))]
    if not shown:
        return None
    return Profiling(
        modes=tuple(_mode(result, slot) for result, slot in shown),
        host=host_tables(shown),
        trust=profile_trust(shown),
        kinds=kind_table(shown[0][0]),
        problems=tuple(line_ for result, _ in shown for line_ in _problems(result)),
        traces=tuple(trace for result, _ in shown if (trace := _trace(result)) is not None),
        excerpts=tuple(_excerpts(material, [result for result, _ in shown])),
        on_gpu=bool(shown[0][1].chunk.busy_ms),
    )


def profiled_modes(material: Material) -> list[Result]:
    """The profiled plain eager result of each mode."""
    found = (material.profiled(mode) for mode in MODES)
    return [result for result in found if result is not None]


def part_cell(part: str, *sources: Source) -> Cell:
    """A part's path as code; what lies in no range has words."""
    return Cell(part, sources, "code") if part else Cell("in no part", sources)


def _excerpts(material: Material, results: Sequence[Result]) -> Iterator[Link]:
    """What lies beside the records of `harness.measure.trace_excerpt`."""
    for result in results:
        name = f"excerpts/{result.case_id}.json.gz"
        if (material.run.path / name).is_file():
            yield Link(Cell(result.case_id, (of(result, "/case_id"),), "code"), name)


def _mode(result: Result, slot: Slot) -> ProfiledMode:
    return ProfiledMode(
        title=case_label(result),
        sentences=_sentences(result, slot),
        groups=_portions(result, slot, by_group(slot, grouping(result.case)), "Kind of work"),
        group_parts=_group_parts(result, slot),
        operators=_operators(result, slot),
        stages=stage_table(result, slot),
    )


def _sentences(result: Result, slot: Slot) -> tuple[Line, ...]:
    chunk, base = slot.chunk, slot.path
    profile = result.profile
    wall = of(result, "/profile/wall_median_ms")
    first: list[Inline | str] = ["Steady chunk ", count(chunk.chunk, of(result, f"{base}/chunk"))]
    if chunk.busy_ms:
        busy = of(result, f"{base}/busy_ms")
        first += [": ", count(chunk.kernels, of(result, f"{base}/kernels"))]
        first += [" kernels and copies keep the GPU busy for ", ms(chunk.busy_ms, busy), ", "]
        first += [percent(busy_share(result, slot), busy, wall), " of the ", _wall(result, slot)]
        first += [" that the chunk takes without the profiler"]
    else:
        first += [": a CPU has no device events, so times are the host's"]
    found = [line(*first, ".")]
    if profile is not None and (bent := distortion(profile)) is not None:
        walls = of(result, "/profile/steady_wall_ms")
        words = " times as long."
        if chunk.busy_ms:
            words += (
                " It slows the host and not the GPU. So GPU times below are as profiled and host "
                "times are named so. How much the GPU idles, in the chunk and in each stage, is "
                "of chunks without the profiler; only the split by cause and part is profiled."
            )
        found.append(line("Under the profiler a chunk takes ", ratio(bent, walls, wall), words))
    if chunk.busy_ms and chunk.unattributed_ms > LEAST_UNATTRIBUTED * chunk.busy_ms:
        at = of(result, f"{base}/unattributed_ms")
        found.append(line(ms(chunk.unattributed_ms, at), " of GPU time could not be attributed."))
    return tuple(found)


def _wall(result: Result, slot: Slot) -> Cell:
    at = (of(result, "/profile/wall_median_ms"), of(result, f"{slot.path}/wall_ms"))
    return ms(wall_ms(result, slot), *at)


def _portions(
    result: Result, slot: Slot, portions: list[Portion], head: str, *, parts: bool = False
) -> Table | None:
    on_gpu = bool(slot.chunk.busy_ms)
    rows: list[tuple[Inline | str, ...]] = []
    for item in portions:
        at = tuple(of(result, f"{slot.path}/parts/{index}") for index in item.indices)
        row: list[Inline | str] = [part_cell(item.name, *at) if parts else Cell(item.name, at)]
        if on_gpu:
            row += [number(item.device_ms, *at), percent(item.share, *at)]
            row += [count(item.kernels, *at), number(item.host_ms, *at)]
        else:
            row += [number(item.host_ms, *at), percent(item.share, *at)]
        rows.append(tuple(row))
    heads = [head, ">GPU time (ms)", ">Share", ">Kernels", ">Host, profiled (ms)"]
    return table(heads if on_gpu else [head, ">Host, profiled (ms)", ">Share"], rows)


def _group_parts(result: Result, slot: Slot) -> Table | None:
    """Every part path below its group, groups in their own order of time."""
    group = grouping(result.case)
    order = {portion.name: place for place, portion in enumerate(by_group(slot, group))}
    found: dict[tuple[str, str], list[int]] = {}
    for index, part in enumerate(slot.chunk.parts):
        found.setdefault((group(part.stage, part.part).name, part.part), []).append(index)
    on_gpu = bool(slot.chunk.busy_ms)
    rows = []
    for (name, path), indices in found.items():
        at = tuple(of(result, f"{slot.path}/parts/{index}") for index in indices)
        members = [slot.chunk.parts[index] for index in indices]
        time_ms = sum(item.device_ms if on_gpu else item.host_ms for item in members)
        calls = sum(item.calls for item in members)
        row = (part_cell(path, *at), Cell(name, at), number(time_ms, *at), count(calls, *at))
        rows.append((order[name], -time_ms, row))
    ordered = [row for *_, row in sorted(rows, key=lambda item: item[:2])]
    time = ">GPU time (ms)" if on_gpu else ">Host, profiled (ms)"
    return table(("Part", "Kind of work", time, ">Calls"), ordered)


def _operators(result: Result, slot: Slot) -> Table | None:
    """Operators by GPU time, on a CPU by calls, with the parts that they serve."""
    on_gpu = bool(slot.chunk.busy_ms)
    rows: list[tuple[Inline | str, ...]] = []
    for use in by_operator(slot)[:TOP_OPERATORS]:
        if on_gpu and not use.device_ms:
            break
        at = tuple(of(result, f"{slot.path}/operators/{index}") for index in use.indices)
        row: list[Inline | str] = [Cell(use.name, at, "code"), count(use.calls, *at)]
        row += [number(use.device_ms, *at), percent(use.share, *at)] if on_gpu else []
        rows.append((*row, _described(use, at)))
    heads = ["Operator", ">Calls", *([">GPU time (ms)", ">Share"] if on_gpu else [])]
    by = "Where its GPU time belongs" if on_gpu else "Where its calls belong"
    return table([*heads, by], rows)


def _described(use: OperatorUse, at: tuple[Source, ...]) -> Cell:
    """The measured description: parts with their share, the rest together."""
    named, rest = named_parts(use)
    words = [f"{_place(where)} {percent(where.share).text}" for where in named]
    if rest >= LEAST_UNATTRIBUTED:
        words.append(f"{OTHER_PARTS} {percent(rest).text}")
    return Cell(", ".join(words), at)


def _place(where: Where) -> str:
    return where.part or "in no part"


def _problems(result: Result) -> list[Line]:
    problems = result.profile.problems if result.profile else []
    name = Cell(result.case_id, (of(result, "/case_id"),), "code")
    at = of(result, "/profile/problems")
    return [line(name, ": ", Cell(problem, (at,))) for problem in problems]


def _trace(result: Result) -> Line | None:
    trace = result.profile.trace if result.profile else None
    if trace is None:
        return None
    return line(Cell(trace, (of(result, "/profile/trace"),), "code"))
