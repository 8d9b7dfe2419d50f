"""Evidence that concerns the whole chunk: compiling, the host, memory, waits, the GPU's clock."""

from collections.abc import Sequence

from harness.analysis.change_evidence import Cause, Evidence, count_changed, numbers
from harness.analysis.change_sides import Side, Sides
from harness.analysis.claims import Measured, Unit, Words
from harness.analysis.interval import median
from harness.analysis.part_groups import within
from harness.record_parts import ChunkState
from harness.runtime_calls import Role

LEAST_SLOWER = 1.2  # of one small operator, the slower side over the other
LEAST_CLOCK = 0.02
COUNTERS = {"graph_breaks": "graph breaks", "recompiles": "recompiles", "graphs": "graphs"}
CIRCUMSTANCES: dict[str, tuple[str, Unit]] = {
    "operator_us": ("one small operator", "us"),
    "loop_us": ("a fixed loop", "us"),
    "run_queue": ("tasks that want to run", "ratio"),
    "other_cpu_share": ("share of all cores that others take", "share"),
}


def chunk_evidence(both: Sides) -> list[Evidence]:
    """What concerns the whole chunk; the first that may explain idle time comes first."""
    return [
        *_compiling(both),
        *_slower_host(both),
        *_calls(both, "memory", "memory", "calls that take or give back memory"),
        *_calls(both, "sync", "sync", "calls that wait for the GPU"),
    ]


def explains_host_time(found: Sequence[Evidence], both: Sides, part: str) -> bool:
    """Whether the host's time in a part follows from what concerns the whole chunk."""
    if any(item.cause == "contention" for item in found):
        return True
    if not any(item.cause == "compile" for item in found):
        return False
    return both.a.compiling != both.b.compiling or not part or within(part, "vace")


def clock_factor(both: Sides) -> float:
    """What B's device times are multiplied by to be those of A's clock: B's clock over A's."""
    one, other = (_middle(side, "sm_clock_mhz") for side in (both.a, both.b))
    if not one or not other or abs(one / other - 1) < LEAST_CLOCK or not both.a.cells.on_gpu:
        return 1.0
    return other / one


def clock_evidence(both: Sides, factor: float) -> list[Evidence]:
    """Another SM clock: all device time scales with it."""
    if factor == 1.0:
        return []
    device_ms = sum(both.b.cells.device_ms.values())
    paths = ("/chunks/*/state/sm_clock_mhz",)
    ratio = Measured(factor, "ratio", (both.a.result, both.b.result), paths)
    change_ms = device_ms * (1 - factor)
    return [Evidence("clock", None, None, change_ms, 0.0, ("SM clock over A's: ", ratio))]


def _compiling(both: Sides) -> list[Evidence]:
    """Compile counters that changed, and steady chunks that compile."""
    words: list[str | Measured] = []
    a, b = both.a.result, both.b.result
    sign = _sign(both.b.compiling - both.a.compiling)
    if sign:
        path = ("/chunks/*/state/compile_work",)
        words += ["share of steady chunks that compile: "]
        words += [Measured(both.a.compiling, "share", (a,), path), " before, "]
        words += [Measured(both.b.compiling, "share", (b,), path), " after"]
    if a.compile is not None and b.compile is not None:
        for field, label in COUNTERS.items():
            one, other = getattr(a.compile, field), getattr(b.compile, field)
            if one != other:
                sign = sign or _sign(other - one)
                words += ["; " * bool(words), f"{label}: "]
                words += [Measured(one, "count", (a,), (f"/compile/{field}",)), " before, "]
                words += [Measured(other, "count", (b,), (f"/compile/{field}",)), " after"]
    return [_general("compile", tuple(words), sign)] if words else []


def _slower_host(both: Sides) -> list[Evidence]:
    """Fixed host work that takes longer on the side whose chunks do: so the host is the reason."""
    one, other = (side.mean_state("operator_us") for side in (both.a, both.b))
    if not one or not other or max(one, other) < LEAST_SLOWER * min(one, other):
        return []
    if (other > one) != (both.b.wall_ms > both.a.wall_ms):
        return []
    words: list[str | Measured] = []
    for field, (label, unit) in CIRCUMSTANCES.items():
        values = [side.mean_state(field) for side in (both.a, both.b)]
        if values[0] is not None and values[1] is not None:
            path = (f"/chunks/*/state/{field}",)
            words += ["; " * bool(words), f"{label}: "]
            words += [Measured(values[0], unit, (both.a.result,), path), " before, "]
            words += [Measured(values[1], unit, (both.b.result,), path), " after"]
    return [_general("contention", tuple(words), _sign(other - one))]


def _calls(both: Sides, role: Role, cause: Cause, label: str) -> list[Evidence]:
    """Runtime calls of one kind that became more or fewer; those of reads are told by part."""
    made = both.a.calls[role], both.b.calls[role]
    reads = 0
    if role == "sync":
        reads = sum(both.b.cells.reads.values()) - sum(both.a.cells.reads.values())
    if not any(made) or not count_changed(made[0], made[1] - reads):
        return []
    words = (f"{label}: ", *numbers(both, made, "/host_calls"))
    return [_general(cause, words, _sign(made[1] - reads - made[0]))]


def _general(cause: Cause, words: Words, sign: int) -> Evidence:
    return Evidence(cause, None, None, 0.0, 0.0, words, general=True, sign=sign)


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _middle(side: Side, field: str) -> float | None:
    states = [chunk.state or ChunkState() for chunk in side.result.chunks]
    steady = [s for s, c in zip(states, side.result.chunks, strict=True) if c.phase == "steady"]
    known = [value for state in steady if (value := getattr(state, field)) is not None]
    return median(known) if known else None
