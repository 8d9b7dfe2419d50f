"""Evidence of what changed from A to B: GPU work, kernels, reads, host time, compiling, the host.

Each piece says what it did to the GPU's work (measured), and what it may have done to the GPU's
idle time (an estimate from counts and fixed unprofiled costs). How much idle time there really is
to hand out is settled in `changed_causes`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from harness.analysis.change_sides import Sides
from harness.analysis.claims import Measured, Words
from harness.analysis.part_cells import ITEM_OPERATORS, HostKind
from harness.analysis.part_groups import within

Cause = Literal[
    "attention", "work", "launch", "sync", "python", "operator", "compile", "contention", "memory",
    "clock",
]  # fmt: skip

LEAST_WORK = 0.005  # of A's wall time, by which the device time of a part changes
LEAST_WORK_CHANGE = 0.05  # of the part's device time
LEAST_HOST = 0.05  # of A's wall time, by which the host's time in a part changes
LEAST_COUNT = 5  # kernels, reads, calls
LEAST_COUNT_CHANGE = 0.02
READ_OPERATORS = 2.0  # a read costs the host about as much as that many small operators
# Operators that launch nothing themselves and say what the inner one was called for.
ENCLOSING = {"aten::copy_": ("aten::_to_copy", "aten::clone")}
MOST_OF = 0.8  # of the calls that an inner operator gained, for the outer one to be the reason
ATTENTION = ("base/attention", "vace/attention")
HOST_CAUSES: dict[HostKind, Cause] = {
    "python": "python", "operator": "operator", "launch": "launch",
}  # fmt: skip


@dataclass(frozen=True)
class Evidence:
    """One thing that changed.

    A general one takes the idle time that nothing else explains, if that has its sign (0: any).
    """

    cause: Cause
    part: str | None  # None: of the whole chunk
    operator: str | None
    gpu_ms: float  # change of the device's work
    idle_ms: float  # estimated change of idle time
    words: Words
    general: bool = False
    sign: int = 0


def part_evidence(both: Sides, part: str, *, clock: float, counted_only: bool) -> list[Evidence]:
    """What changed in one part: reads, kernels and work, else the host's time.

    `clock` is what B's device times are multiplied by to be those of A's clock. `counted_only`
    leaves the host's time out, where something about the whole chunk explains it.
    """
    if not both.a.cells.on_gpu:
        return _on_cpu(both, part, counted_only=counted_only)
    found = []
    a, b = both.a.cells, both.b.cells
    work_ms = clock * b.device_ms.get(part, 0.0) - a.device_ms.get(part, 0.0)
    reads = a.reads.get(part, 0), b.reads.get(part, 0)
    kernels = a.kernels.get(part, 0), b.kernels.get(part, 0)
    if count_changed(*reads):
        kernels = _without_reads(kernels, reads[1] - reads[0])
        copies_ms = _read_ms(both, part)
        found.append(_reads(both, part, reads, copies_ms))
        work_ms -= copies_ms
    launched = count_changed(*kernels)
    if launched or _work_changed(both, part, work_ms):
        found.append(_work(both, part, work_ms, kernels if launched else (0, 0)))
    elif not found and not counted_only:
        found += _host_time(both, part)
    return found


def _without_reads(kernels: tuple[int, int], more: int) -> tuple[int, int]:
    """Kernels of A and B without those that `more` reads brought; reads of the CPU bring none."""
    one, other = kernels
    if more > 0:
        return one, other - min(more, max(other - one, 0))
    return one - min(-more, max(one - other, 0)), other


def count_changed(one: float, other: float) -> bool:
    """Whether a count differs by more than a few and by more than a little."""
    size = abs(other - one)
    return size >= LEAST_COUNT and size >= LEAST_COUNT_CHANGE * max(one, other)


def numbers(both: Sides, counts: tuple[float, float], path: str) -> Words:
    """A count of A and of B from the profiled chunks; an empty list is its own source."""
    sides = []
    for side, value in zip((both.a, both.b), counts, strict=True):
        slot = side.cells.slot
        field = path.split("/")[1]
        known = f"{slot.path}{path}" if getattr(slot.chunk, field) else f"{slot.path}/{field}"
        sides.append(Measured(value, "count", (side.result,), (known,)))
    return (sides[0], " before, ", sides[1], " after")


def _reads(both: Sides, part: str, reads: tuple[int, int], copies_ms: float) -> Evidence:
    cost_ms = READ_OPERATORS * both.operator_us / 1e3
    words = ("values read: ", *numbers(both, reads, "/operators/*/calls"))
    return Evidence("sync", part, None, copies_ms, (reads[1] - reads[0]) * cost_ms, words)


def _read_ms(both: Sides, part: str) -> float:
    """Change of the device time of the copies behind a part's reads."""
    return sum(
        both.b.cells.operator_ms.get((name, part), 0.0)
        - both.a.cells.operator_ms.get((name, part), 0.0)
        for name in ITEM_OPERATORS
    )


def _work_changed(both: Sides, part: str, work_ms: float) -> bool:
    most_ms = max(side.cells.device_ms.get(part, 0.0) for side in (both.a, both.b))
    size_ms = abs(work_ms)
    return size_ms >= LEAST_WORK * both.a.wall_ms and size_ms >= LEAST_WORK_CHANGE * most_ms


def _work(both: Sides, part: str, work_ms: float, kernels: tuple[int, int]) -> Evidence:
    """Device time of a part, and the launches of its kernels as far as they outlast the work."""
    launch_ms = (kernels[1] - kernels[0]) * both.operator_us / 1e3
    idle_ms = max(launch_ms - max(work_ms, 0.0), 0.0)
    if launch_ms < 0:
        idle_ms = min(launch_ms - min(work_ms, 0.0), 0.0)
    cause: Cause = "launch" if abs(idle_ms) > abs(work_ms) else "work"
    if within(part, *ATTENTION) and not both.a.result.case.pipeline:
        cause = "attention"
    operator = _operator(both, part)
    words: Words = ()
    if kernels[0] != kernels[1]:
        words = ("kernels: ", *numbers(both, kernels, "/parts/*/kernels"))
    if operator is not None:
        words += ("; " * bool(words) + f"most by {operator}, calls: ",)
        words += numbers(both, _calls(both, operator, part), "/operators/*/calls")
    return Evidence(cause, part, operator, work_ms, idle_ms, words)


def _operator(both: Sides, part: str) -> str | None:
    """The operator of a part whose device time changed most; calls decide where none has any.

    Where one around it gained the same calls, that one says what they are for.
    """
    a, b = both.a.cells, both.b.cells
    name = _largest(a.operator_ms, b.operator_ms, part)
    name = name or _largest(a.operator_calls, b.operator_calls, part)
    if name is None:
        return None
    gained = _gained(both, name, part)
    for outer in ENCLOSING.get(name, ()):
        if gained and _gained(both, outer, part) / gained >= MOST_OF:
            return outer
    return name


def _gained(both: Sides, operator: str, part: str) -> int:
    before, after = _calls(both, operator, part)
    return after - before


def _calls(both: Sides, operator: str, part: str) -> tuple[int, int]:
    sides = (both.a.cells.operator_calls, both.b.cells.operator_calls)
    return sides[0].get((operator, part), 0), sides[1].get((operator, part), 0)


def _largest(
    before: Mapping[tuple[str, str], float], after: Mapping[tuple[str, str], float], part: str
) -> str | None:
    names = dict.fromkeys(name for side in (before, after) for name, own in side if own == part)
    changes = {
        name: abs(after.get((name, part), 0.0) - before.get((name, part), 0.0)) for name in names
    }
    largest = max(changes, key=lambda name: changes[name], default=None)
    return largest if largest is not None and changes[largest] > 0 else None


def _host_time(both: Sides, part: str) -> list[Evidence]:
    """The host's time in a part of which no count changed."""
    grown = {kind: both.growth(part, kind) for kind in HOST_CAUSES}
    largest = max(grown, key=lambda kind: abs(grown[kind]))
    sign = 1 if grown[largest] > 0 else -1
    total_ms = sum(ms for ms in grown.values() if ms * sign > 0)
    if abs(total_ms) < LEAST_HOST * both.a.wall_ms:
        return []
    words = _host_words(both, total_ms)
    return [Evidence(HOST_CAUSES[largest], part, None, 0.0, total_ms, words)]


def _host_words(both: Sides, total_ms: float) -> Words:
    paths = [f"{side.cells.slot.path}/parts/*/host_ms" for side in (both.a, both.b)]
    at = tuple(dict.fromkeys(paths))
    change = Measured(total_ms, "ms", (both.a.result, both.b.result), at)
    return ("the host's time there, profiled: ", change, " more" if total_ms > 0 else " less")


def _on_cpu(both: Sides, part: str, *, counted_only: bool) -> list[Evidence]:
    """On a CPU the host's time is the work: reads, then operators by their calls, else Python."""
    reads = both.a.cells.reads.get(part, 0), both.b.cells.reads.get(part, 0)
    grown_ms = sum(both.growth(part, kind) for kind in ("operator", "python"))
    if count_changed(*reads):
        words: Words = ("values read: ", *numbers(both, reads, "/operators/*/calls"))
        return [Evidence("sync", part, None, 0.0, grown_ms, words)]
    if abs(grown_ms) < LEAST_HOST * both.a.wall_ms:
        return []
    a, b = both.a.cells, both.b.cells
    operator = _largest(a.operator_calls, b.operator_calls, part)
    if operator is not None and count_changed(0, _gained(both, operator, part)):
        calls = _calls(both, operator, part)
        words = (f"most by {operator}, calls: ", *numbers(both, calls, "/operators/*/calls"))
        return [Evidence("work", part, operator, 0.0, grown_ms, words)]
    return [] if counted_only else _host_time(both, part)
