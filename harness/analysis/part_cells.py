"""A profiled chunk cell by cell: device time, kernels, reads, operators, host time by part.

Counts and device times are those of any chunk. Host times are the profiler's: they are kept stage
by stage, so that a hiccup of the host in one pass can be told from a change in all of them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeVar

from harness.analysis.part_groups import within
from harness.analysis.profile import Slot, main_slot
from harness.profiled import PartTime, ProfiledChunk
from harness.result import Result

ITEM_OPERATORS = ("aten::item", "aten::_local_scalar_dense")  # from the outermost inwards
HostKind = Literal["launch", "sync", "operator", "python"]
HOST_KINDS: tuple[HostKind, ...] = ("launch", "sync", "operator", "python")
Key = TypeVar("Key")
Number = TypeVar("Number", int, float)
Name = Callable[[str], str]
Passes = dict[str, float]  # ms by stage


@dataclass(frozen=True)
class Cells:
    """A steady chunk by part, or by part and kind of host time or operator."""

    slot: Slot
    on_gpu: bool
    device_ms: dict[str, float]
    kernels: dict[str, int]
    reads: dict[str, int]  # of one value, by the host
    host: dict[tuple[str, HostKind], Passes]  # profiled
    operator_ms: dict[tuple[str, str], float]  # (operator, part), device time
    operator_calls: dict[tuple[str, str], int]

    @property
    def parts(self) -> list[str]:
        """Every part, in the order of the chunk."""
        return list(self.device_ms)


def cells(result: Result, *, fold_vace: bool) -> Cells | None:
    """The cells of a result; None without a profiled steady chunk.

    `fold_vace` takes the branch as one part: a compiled one has no ranges inside.
    """
    slot = main_slot(result.profile)
    if slot is None:
        return None
    chunk = slot.chunk

    def name(part: str) -> str:
        return "vace" if fold_vace and within(part, "vace") else part

    on_gpu = bool(chunk.busy_ms)
    return Cells(
        slot=slot,
        on_gpu=on_gpu,
        device_ms=_sums((name(part.part), part.device_ms) for part in chunk.parts),
        kernels=_sums((name(part.part), part.kernels) for part in chunk.parts),
        reads=reads_of(chunk, name),
        host=_host(chunk, name),
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


def _host(chunk: ProfiledChunk, name: Name) -> dict[tuple[str, HostKind], Passes]:
    found: dict[tuple[str, HostKind], Passes] = {}
    for part in chunk.parts:
        for kind, time_ms in _kinds(part).items():
            passes = found.setdefault((name(part.part), kind), {})
            passes[part.stage] = passes.get(part.stage, 0.0) + time_ms
    return found


def _kinds(part: PartTime) -> dict[HostKind, float]:
    """Host time by kind; what a record does not tell apart counts as Python."""
    operator_ms = part.operator_ms or 0.0
    python_ms = part.python_ms
    if python_ms is None:
        python_ms = max(part.host_ms - part.launch_ms - part.sync_ms, 0.0)
    return {
        "launch": part.launch_ms,
        "sync": part.sync_ms,
        "operator": operator_ms,
        "python": python_ms,
    }


def _sums(pairs: Iterable[tuple[Key, Number]]) -> dict[Key, Number]:
    found: dict[Key, Number] = {}
    for key, value in pairs:
        found[key] = found[key] + value if key in found else value
    return found
