"""Made-up plants as a GPU would show them: counts and GPU work exact, everything of the host noisy.

A plant adds to the unprofiled wall time what it costs there, and to the profile what the profiler
makes of it: host times several times as long, and idle time that is the profiler's own.
"""

import random
from dataclasses import dataclass, field
from typing import Any

import msgspec

from harness.analysis.part_groups import within
from harness.profiled import OperatorPart, PartTime
from harness.result import Result
from tests.analysis.profiled import CASES, EAGER, steady, with_chunk
from tests.records import build

PASSES = ("denoise.0", "denoise.1", "denoise.2", "denoise.3", "clean")
DISTORTION = 2.2


@dataclass(frozen=True)
class Plant:
    """What is added to a chunk: GPU work, launches and calls of a part, and host time."""

    wall_ms: float  # of an unprofiled chunk
    part: str = "base"
    device_ms: float = 0.0
    kernels: int = 0
    operators: dict[str, int] = field(default_factory=dict)  # the first one launches
    python_ms: float = 0.0  # profiled
    operator_ms: float = 0.0
    host_calls: dict[str, int] = field(default_factory=dict)
    state: dict[str, float] = field(default_factory=dict)  # circumstances, as factors
    compile_work: int = 0
    breaks: int = 0
    slower: float = 1.0  # of the whole profiled host


PLANTS = {
    "items": Plant(
        wall_ms=70.0, device_ms=5.6, kernels=3750, python_ms=40.0, operator_ms=60.0,
        operators={"aten::_local_scalar_dense": 3750, "aten::item": 3750},
        host_calls={"cudaMemcpyAsync": 3750, "cudaStreamSynchronize": 3750},
    ),
    "launches": Plant(
        wall_ms=135.0, device_ms=22.0, kernels=18_000, python_ms=160.0, operator_ms=170.0,
        operators={"aten::add_": 18_000}, host_calls={"cudaLaunchKernel": 18_000},
    ),
    "casts": Plant(
        wall_ms=70.0, device_ms=67.0, kernels=6000, python_ms=60.0, operator_ms=160.0,
        operators={"aten::copy_": 6000, "aten::_to_copy": 6000, "aten::to": 6000},
        host_calls={"cudaLaunchKernel": 6000},
    ),
    "clones": Plant(
        wall_ms=112.0, device_ms=110.0, kernels=6000, python_ms=60.0, operator_ms=120.0,
        operators={"aten::copy_": 6000, "aten::clone": 6000},
        host_calls={"cudaMemcpyAsync": 6000},
    ),
    "pause": Plant(wall_ms=88.0, python_ms=90.0),
    "contention": Plant(
        wall_ms=700.0, slower=2.8,
        state={"operator_us": 2.6, "loop_us": 2.4, "run_queue": 3.0},
    ),
    "recompile": Plant(wall_ms=1500.0, python_ms=1900.0, compile_work=3),
    "graph-break": Plant(wall_ms=60.0, part="vace", python_ms=150.0, breaks=1500),
}  # fmt: skip


def plant(result: Result, planted: Plant) -> Result:
    """The result with the plant in it."""
    chunk = steady(result)
    share = 1 / len(PASSES)
    added = [
        PartTime(
            stage=stage,
            part=planted.part,
            calls=30,
            kernels=round(planted.kernels * share),
            device_ms=planted.device_ms * share,
            host_ms=(planted.python_ms + planted.operator_ms) * share,
            launch_ms=0.0,
            sync_ms=0.0,
            operator_ms=planted.operator_ms * share,
            python_ms=planted.python_ms * share,
        )
        for stage in PASSES
    ]
    rows = [
        OperatorPart(
            operator=name,
            part=planted.part,
            calls=calls,
            device_ms=planted.device_ms if index == 0 else 0.0,
        )
        for index, (name, calls) in enumerate(planted.operators.items())
    ]
    made = dict(chunk.host_calls)
    for name, calls in planted.host_calls.items():
        made[name] = made.get(name, 0) + calls
    result = with_chunk(
        result,
        parts=[*chunk.parts, *added],
        operators=[*chunk.operators, *rows],
        host_calls=made,
        busy_ms=chunk.busy_ms + planted.device_ms,
        kernels=chunk.kernels + planted.kernels,
    )
    return plant_times(slower_profile(result, planted.slower), planted)


def plant_times(result: Result, planted: Plant) -> Result:
    """What a process without a profile shows of the plant: wall and busy time, circumstances."""
    busy = [
        msgspec.structs.replace(sample, busy_ms=sample.busy_ms + planted.device_ms)
        for sample in result.busy
    ]
    result = build.change(result, busy=busy)
    chunks = []
    for chunk in result.chunks:
        assert chunk.state is not None
        factors = {
            name: (getattr(chunk.state, name) or 1.0) * by for name, by in planted.state.items()
        }
        state = msgspec.structs.replace(
            chunk.state, compile_work=chunk.state.compile_work + planted.compile_work, **factors
        )
        wall_ms = chunk.wall_ms + planted.wall_ms
        chunks.append(msgspec.structs.replace(chunk, wall_ms=wall_ms, state=state))
    changes: dict[str, Any] = {"chunks": chunks}
    if result.compile is not None and planted.breaks:
        more = result.compile.graph_breaks + planted.breaks
        changes["compile"] = msgspec.structs.replace(result.compile, graph_breaks=more)
    return build.change(result, **changes)


def slower_profile(result: Result, factor: float, **stages: float) -> Result:
    """Host times of the profiled chunk longer by a factor, those of some stages by another."""

    def slow(part: PartTime) -> PartTime:
        by = factor * stages.get(part.stage.replace(".", "_"), 1.0)
        times = {
            name: (getattr(part, name) or 0.0) * by
            for name in ("host_ms", "launch_ms", "operator_ms", "python_ms")
        }
        return msgspec.structs.replace(part, **times)

    gaps = [
        msgspec.structs.replace(gap, idle_ms=gap.idle_ms * factor) for gap in steady(result).gaps
    ]
    return with_chunk(result, parts=[slow(part) for part in steady(result).parts], gaps=gaps)


def noisy(result: Result, seed: int) -> Result:
    """Another process of the same: its host wanders, its profile has a hiccup in one pass."""
    drawn = random.Random(seed)
    wander_ms = drawn.gauss(0, 25)
    chunks = [
        msgspec.structs.replace(chunk, wall_ms=chunk.wall_ms + wander_ms) for chunk in result.chunks
    ]
    chunk = steady(result)
    parts = [
        msgspec.structs.replace(part, device_ms=part.device_ms * drawn.uniform(0.99, 1.01))
        for part in chunk.parts
    ]
    calmer = with_chunk(build.change(result, chunks=chunks), parts=parts)
    hiccup = drawn.choice(PASSES).replace(".", "_")
    return slower_profile(calmer, DISTORTION * drawn.uniform(0.85, 1.2), **{hiccup: 2.0})


def cached_attention(result: Result, factor: float) -> Result:
    """Another backend: other kernels in the cached self-attention, which take another time."""

    def other(part: PartTime) -> PartTime:
        if not within(part.part, "base/attention"):
            return part
        device_ms, kernels = part.device_ms * factor, part.kernels // 4
        return msgspec.structs.replace(part, device_ms=device_ms, kernels=kernels)

    profiled = result if result.profile is not None else build.result(CASES[EAGER])
    parts = [other(part) for part in steady(profiled).parts]
    change_ms = sum(part.device_ms for part in parts)
    change_ms -= sum(part.device_ms for part in steady(profiled).parts)
    changed = with_chunk(result, parts=parts) if result.profile is not None else result
    busy = [msgspec.structs.replace(b, busy_ms=b.busy_ms + change_ms) for b in result.busy]
    return plant_times(build.change(changed, busy=busy), Plant(wall_ms=change_ms))
