"""A profiled result cell by cell: device time, idle time by cause, kernels, reads, operator calls.

Device and idle time of all parts and what lies outside of the span fill the unprofiled wall time.
On a CPU the host's time of a part takes the place of its device time.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from harness.analysis.part_groups import within
from harness.analysis.profile import Slot, main_slot, wall_ms
from harness.analysis.unprofiled import real_gaps
from harness.profiled import ProfiledChunk
from harness.result import Result

ITEM_OPERATORS = ("aten::item", "aten::_local_scalar_dense")  # from the outermost inwards
Key = TypeVar("Key")
Number = TypeVar("Number", int, float)
Name = Callable[[str], str]


@dataclass(frozen=True)
class Cells:
    """Times in ms of a steady chunk, by part or by part and cause or operator."""

    slot: Slot
    on_gpu: bool
    wall_ms: float
    work_ms: dict[str, float]
    idle_ms: dict[tuple[str, str], float]  # (cause, part)
    outside_ms: float  # of the wall time: before the first device event and after the last
    kernels: dict[str, int]
    reads: dict[str, int]  # calls that read one value, by part
    operator_ms: dict[tuple[str, str], float]  # (operator, part)
    operator_calls: dict[tuple[str, str], int]


def cells(result: Result, *, fold_vace: bool) -> Cells | None:
    """The cells of a result; None without a profiled steady chunk.

    `fold_vace` takes the branch as one part: a compiled one has no ranges inside.
    """
    slot = main_slot(result.profile)
    if slot is None:
        return None
    chunk, on_gpu = slot.chunk, bool(slot.chunk.busy_ms)

    def name(part: str) -> str:
        return "vace" if fold_vace and within(part, "vace") else part

    work = _sums((name(p.part), p.device_ms if on_gpu else p.host_ms) for p in chunk.parts)
    idle: dict[tuple[str, str], float] = _sums(
        ((str(gap.cause), name(gap.part)), gap.idle_ms) for gap in real_gaps(result, slot)
    )
    wall = wall_ms(result, slot)
    return Cells(
        slot=slot,
        on_gpu=on_gpu,
        wall_ms=wall,
        work_ms=work,
        idle_ms=idle,
        outside_ms=max(wall - sum(work.values()) - sum(idle.values()), 0.0) if on_gpu else 0.0,
        kernels=_sums((name(part.part), part.kernels) for part in chunk.parts),
        reads=reads_of(chunk, name),
        operator_ms=_sums(((o.operator, name(o.part)), o.device_ms) for o in chunk.operators),
        operator_calls=_sums(((o.operator, name(o.part)), o.calls) for o in chunk.operators),
    )


def reads_of(chunk: ProfiledChunk, name: Name = str) -> dict[str, int]:
    """Calls that read one value, by part: those of the outermost operator, as reads nest."""
    for operator in ITEM_OPERATORS:
        rows = [o for o in chunk.operators if o.operator == operator and o.calls]
        if rows:
            return _sums((name(row.part), row.calls) for row in rows)
    return {}


def _sums(pairs: Iterable[tuple[Key, Number]]) -> dict[Key, Number]:
    found: dict[Key, Number] = {}
    for key, value in pairs:
        found[key] = found[key] + value if key in found else value
    return found
