"""Described cost: what a pipeline of the user's own says of its work, beside the profiled times."""

from harness.analysis.part_groups import grouping
from harness.analysis.profile import by_group, main_slot
from harness.report.cells import Cell, Inline, Table, decimals, number, table
from harness.report.material import Material, of
from harness.result import Result


def described_cost(material: Material) -> Table | None:
    """A row a part, of the first profiled process; None where no cost is described."""
    if not material.own:
        return None
    result = material.profiled("own")
    return _rows(result) if result is not None and result.described else None


def _rows(result: Result) -> Table | None:
    """Times are those of the GPU, on a CPU the host's, both as profiled."""
    slot = main_slot(result.profile)
    assert slot is not None
    on_gpu = bool(slot.chunk.busy_ms)
    portions = {portion.name: portion for portion in by_group(slot, grouping(result.case))}
    rows: list[tuple[Inline | str, ...]] = []
    for name, work in result.described.items():
        flops, moved = (of(result, f"/described/{name}/{key}") for key in ("flops", "moved_bytes"))
        portion = portions.get(name)
        indices = portion.indices if portion is not None else ()
        at = tuple(of(result, f"{slot.path}/parts/{index}") for index in indices)
        time_ms = None
        if portion is not None:
            time_ms = portion.device_ms if on_gpu else portion.host_ms
        rows.append(
            (
                Cell(name, (flops,), "code"),
                Cell(decimals(work.flops / 1e9), (flops,)),
                Cell(decimals(work.moved_bytes / 1e6), (moved,)),
                number(time_ms, *at),
                number(work.flops / time_ms / 1e6 if time_ms else None, flops, *at),
                number(work.moved_bytes / time_ms / 1e6 if time_ms else None, moved, *at),
            )
        )
    time = ">GPU time (ms)" if on_gpu else ">Host, profiled (ms)"
    return table(("Part", ">GFLOP", ">MB", time, ">GFLOP/s", ">GB/s"), rows)
