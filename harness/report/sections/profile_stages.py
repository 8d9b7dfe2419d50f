"""The profiled chunk stage by stage, and the chunk kinds beside each other by kind of work."""

from harness.analysis.part_cells import reads_of
from harness.analysis.part_groups import GROUPS, grouping
from harness.analysis.profile import Kind, Portion, Slot, by_group, by_stage, slots
from harness.analysis.unprofiled import stage_idle, stage_ms
from harness.report.cells import (
    NOTHING,
    Cell,
    Inline,
    Table,
    count,
    decimals,
    number,
    percent,
    table,
)
from harness.report.material import of
from harness.report.sections.profile_trust import KIND_WORDS
from harness.report.sections.stages import stage_label
from harness.result import Result

STAGE_TIMES = "/chunks/*/stage_ms"


def stage_table(result: Result, slot: Slot) -> Table | None:
    """GPU time and host time as profiled; on a GPU, time and idle time without the profiler."""
    on_gpu = bool(slot.chunk.busy_ms)
    times, idle = stage_ms(result), stage_idle(result, slot)
    rows: list[tuple[Inline | str, ...]] = []
    for item in by_stage(slot):
        at = tuple(of(result, f"{slot.path}/parts/{index}") for index in item.indices)
        label = stage_label(item.name, result.case) if item.name else "Between and after the stages"
        row: list[Inline | str] = [Cell(label, at)]
        if on_gpu:
            unprofiled = of(result, STAGE_TIMES)
            row += [number(item.device_ms, *at), percent(item.share, *at)]
            row += [count(item.kernels, *at), number(times.get(item.name), unprofiled)]
            row += [number(idle.get(item.name), unprofiled, *at), number(item.host_ms, *at)]
        else:
            row += [number(item.host_ms, *at), percent(item.share, *at)]
        rows.append(tuple(row))
    heads = [">GPU time (ms)", ">Share", ">Kernels", ">Unprofiled (ms)", ">GPU idle (ms)"]
    host = ">Host, profiled (ms)"
    return table(["Stage", *heads, host] if on_gpu else ["Stage", host, ">Share"], rows)


def kind_table(result: Result) -> Table | None:
    """Chunk by chunk: the first, one while the cache fills, a steady one; by kind of work."""
    profile = result.profile
    kinds: tuple[Kind, ...] = ("first", "filling", "steady")
    chosen = [slots(profile, kind)[:1] for kind in kinds] if profile is not None else []
    shown = [slot for found in chosen for slot in found]
    if len(shown) < 2:
        return None
    heads = ["Kind of work"] + [f">{KIND_WORDS[slot.chunk.kind]} (ms)" for slot in shown]
    group = grouping(result.case)
    columns = [{portion.name: portion for portion in by_group(slot, group)} for slot in shown]
    names = [known.name for known in GROUPS]
    if result.case.pipeline:
        names = list(dict.fromkeys(name for column in reversed(columns) for name in column))
    rows: list[tuple[Inline | str, ...]] = []
    for name in names:
        row = [_kind_cell(result, s, c.get(name)) for s, c in zip(shown, columns, strict=True)]
        if any(_time_ms(s, c.get(name)) for s, c in zip(shown, columns, strict=True)):
            rows.append((name, *row))
    for label, field in (("GPU busy", "busy_ms"), ("Kernels and copies", "kernels")):
        rows.append((label, *(_field(result, slot, field) for slot in shown)))
    rows.append(("Values read by the host", *(_reads(result, slot) for slot in shown)))
    return table(heads, rows)


def _time_ms(slot: Slot, portion: Portion | None) -> float:
    if portion is None:
        return 0.0
    return portion.device_ms if slot.chunk.busy_ms else portion.host_ms


def _kind_cell(result: Result, slot: Slot, portion: Portion | None) -> Cell:
    if portion is None:
        return NOTHING
    at = tuple(of(result, f"{slot.path}/parts/{index}") for index in portion.indices)
    return number(_time_ms(slot, portion), *at)


def _field(result: Result, slot: Slot, field: str) -> Cell:
    value = getattr(slot.chunk, field)
    at = of(result, f"{slot.path}/{field}")
    return count(value, at) if isinstance(value, int) else Cell(decimals(value), (at,))


def _reads(result: Result, slot: Slot) -> Cell:
    return count(sum(reads_of(slot.chunk).values()), of(result, f"{slot.path}/operators"))
