"""Planted changes are named first and at their cost, whatever the profiler does to the host."""

import msgspec
import pytest

from harness.analysis.change_evidence import Cause
from harness.analysis.changed_causes import ChangedCause, Changes, changed_causes
from harness.profiled import OperatorPart, PartTime
from harness.result import Result
from tests.analysis.plants import PLANTS, Plant, cached_attention, noisy, plant, slower_profile
from tests.analysis.profiled import (
    CASES,
    COMPILED,
    eager,
    steady,
    with_chunk,
    with_state,
    words,
)
from tests.records import build

EXPECTED: dict[str, tuple[Cause, str | None, str | None]] = {
    "items": ("sync", "base", None),
    "launches": ("launch", "base", "aten::add_"),
    "casts": ("work", "base", "aten::_to_copy"),
    "clones": ("work", "base", "aten::clone"),
    "pause": ("python", "base", None),
    "contention": ("contention", None, None),
    "recompile": ("compile", None, None),
    "graph-break": ("compile", None, None),
}
SEEDS = range(6)


OPERATOR_US = 8.0  # of one small operator on a GPU's host


def gpu_twin() -> Result:
    return with_state(eager(), operator_us=OPERATOR_US)


def twin_of(name: str) -> Result:
    compiled = build.result(CASES[COMPILED])
    return with_state(compiled, operator_us=OPERATOR_US) if name == "graph-break" else gpu_twin()


def changes(a: Result, b: Result) -> Changes:
    found = changed_causes([a], [b])
    assert found is not None
    return found


def first(a: Result, b: Result) -> ChangedCause:
    return changes(a, b).causes[0]


@pytest.mark.parametrize("name", PLANTS)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_plant_is_the_largest_change_and_costs_what_it_costs(name: str, seed: int) -> None:
    twin = twin_of(name)
    a, b = noisy(twin, seed), noisy(plant(twin, PLANTS[name]), seed + 100)
    found = changes(a, b)
    largest = found.causes[0]
    assert (largest.cause, largest.where, largest.operator) == EXPECTED[name]
    if largest.cause == "work":
        assert largest.gpu_ms == pytest.approx(PLANTS[name].device_ms, rel=0.1)
        assert largest.change_ms == pytest.approx(largest.gpu_ms, rel=0.25)
    else:
        assert largest.change_ms == pytest.approx(found.wall_ms, rel=0.1)
    others = [abs(cause.change_ms) for cause in found.causes[1:]]
    assert sum(others) < 0.3 * abs(largest.change_ms)


@pytest.mark.parametrize("name", PLANTS)
def test_taking_a_plant_away_is_the_same_change_backwards(name: str) -> None:
    twin = twin_of(name)
    there, back = (
        first(twin, plant(twin, PLANTS[name])),
        first(plant(twin, PLANTS[name]), twin),
    )
    assert (back.cause, back.where) == (there.cause, there.where)
    assert back.change_ms == pytest.approx(-there.change_ms, rel=0.15)


@pytest.mark.parametrize("seed", range(20))
def test_a_twin_has_no_changed_cause(seed: int) -> None:
    twin = gpu_twin()
    assert changes(noisy(twin, seed), noisy(twin, seed + 1000)).causes == ()


def test_a_result_against_itself_has_no_change_at_all() -> None:
    twin = gpu_twin()
    found = changes(twin, twin)
    assert (found.causes, found.wall_ms, found.unexplained_ms) == ((), 0.0, 0.0)
    assert changed_causes([twin], [build.change(twin, profile=None)]) is None
    cpu = build.result(build.cpu_cases()[2])
    assert changed_causes([twin], [cpu]) is None


def test_all_wall_time_is_handed_out_or_named_unexplained() -> None:
    twin = gpu_twin()
    for name in PLANTS:
        if name == "graph-break":
            continue
        found = changes(noisy(twin, 1), noisy(plant(twin, PLANTS[name]), 2))
        told = sum(cause.change_ms for cause in found.causes) + found.unexplained_ms
        assert told == pytest.approx(found.wall_ms, abs=0.04 * found.both.a.wall_ms)


def test_a_slower_chunk_without_any_evidence_stays_unexplained() -> None:
    twin = gpu_twin()
    chunks = [msgspec.structs.replace(c, wall_ms=c.wall_ms + 80.0) for c in twin.chunks]
    found = changes(twin, build.change(twin, chunks=chunks))
    assert (found.causes, found.unexplained_ms) == ((), pytest.approx(80.0))


def test_the_profilers_distortion_alone_is_no_change() -> None:
    twin = gpu_twin()
    assert changes(twin, slower_profile(twin, 2.5)).causes == ()
    assert changes(twin, slower_profile(twin, 1.0, denoise_2=3.0)).causes == ()


def test_another_backend_is_a_change_of_attention() -> None:
    twin = gpu_twin()
    found = first(noisy(twin, 3), noisy(cached_attention(twin, 0.45), 4))
    assert (found.cause, found.where) == ("attention", "base/attention")
    slower = first(twin, cached_attention(twin, 1.4))
    assert (slower.cause, slower.change_ms > 0) == ("attention", True)


HELD_OUT = {
    # A wait for the whole device in each block: no read, no kernel.
    "waits": (
        Plant(wall_ms=80.0, host_calls={"cudaDeviceSynchronize": 150}), ("sync", None),
    ),
    # Memory given back and taken again in each block.
    "memory": (
        Plant(wall_ms=120.0, host_calls={"cudaFree": 900, "cudaMalloc": 900}), ("memory", None),
    ),
    # A matrix product of the CPU in each block.
    "cpu": (
        Plant(wall_ms=75.0, operator_ms=80.0, operators={"aten::mm": 150}), ("operator", "base"),
    ),
    # Garbage collection in the first hint stage of each block.
    "garbage": (Plant(wall_ms=70.0, part="vace/norm", python_ms=75.0), ("python", "vace/norm")),
    # One large kernel a block.
    "matmul": (
        Plant(
            wall_ms=90.0, part="base/ffn", device_ms=90.0, kernels=150,
            operators={"aten::mm": 150}, host_calls={"cudaLaunchKernel": 150},
        ),
        ("work", "base linears"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HELD_OUT)
@pytest.mark.parametrize("seed", range(3))
def test_a_cost_that_no_rule_was_written_for_is_named_by_what_grew(name: str, seed: int) -> None:
    planted, expected = HELD_OUT[name]
    twin = gpu_twin()
    found = first(noisy(twin, seed), noisy(plant(twin, planted), seed + 50))
    assert found.cause == expected[0]
    assert found.where in (expected[1], planted.part)
    assert found.change_ms == pytest.approx(planted.wall_ms, abs=60.0)


def test_evidence_in_words() -> None:
    twin = gpu_twin()
    told = first(twin, plant(twin, PLANTS["casts"]))
    assert told.what == "GPU work by aten::_to_copy in base"
    assert words(told.words) == (
        "kernels: <0> before, <6000> after; most by aten::_to_copy, calls: <0> before, <6000> after"
    )
    reads = first(twin, plant(twin, PLANTS["items"]))
    assert words(reads.words) == "values read: <0> before, <3750> after"
    crowded = first(twin, plant(twin, PLANTS["contention"]))
    assert "one small operator: " in words(crowded.words)
    again = first(twin, plant(twin, PLANTS["recompile"]))
    assert words(again.words).startswith("share of steady chunks that compile: <0> before, <1>")


def test_compile_counters_are_named_even_where_no_time_changed() -> None:
    twin = build.result(CASES[COMPILED])
    assert twin.compile is not None
    more = msgspec.structs.replace(twin.compile, graph_breaks=15, graphs=31)
    found = changes(twin, build.change(twin, compile=more)).causes
    assert [cause.cause for cause in found] == ["compile"]
    assert "graph breaks: <0> before, <15> after" in words(found[0].words)


def test_a_quicker_host_makes_no_chunk_slower() -> None:
    twin = gpu_twin()
    slow = plant(twin, Plant(wall_ms=80.0))
    quicker = with_state(slow, operator_us=2.0)
    assert "contention" not in {cause.cause for cause in changes(twin, quicker).causes}


def test_another_clock_is_one_change_and_not_many() -> None:
    twin = gpu_twin()
    chunk = steady(twin)
    parts = [msgspec.structs.replace(p, device_ms=p.device_ms * 1.1) for p in chunk.parts]
    slow = with_chunk(twin, parts=parts, busy_ms=chunk.busy_ms * 1.1)
    cool = with_state(slow, sm_clock_mhz=1800.0)
    found = changes(twin, cool).causes
    assert [cause.cause for cause in found] == ["clock"]
    assert found[0].gpu_ms == pytest.approx(0.1 * chunk.busy_ms)


def test_eager_and_compiled_are_compared_with_the_branch_as_one_part() -> None:
    found = changes(gpu_twin(), build.result(CASES[COMPILED])).causes
    assert {cause.where for cause in found if cause.cause in ("work", "launch")} <= {"vace"}
    assert any(cause.change_ms < 0 for cause in found)


def test_on_a_cpu_the_hosts_time_is_the_work() -> None:
    twin = build.result(build.cpu_cases()[2])

    def with_base(python_ms: float, operator_ms: float, calls: dict[str, int]) -> Result:
        row = PartTime(
            stage="denoise.0", part="base", calls=150, kernels=0, device_ms=0.0,
            host_ms=python_ms + operator_ms, launch_ms=0.0, sync_ms=0.0,
            operator_ms=operator_ms, python_ms=python_ms,
        )  # fmt: skip
        rows = [
            OperatorPart(operator=name, part="base", calls=n, device_ms=0.0)
            for name, n in calls.items()
        ]
        chunk = steady(twin)
        made = with_chunk(twin, parts=[*chunk.parts, row], operators=[*chunk.operators, *rows])
        walls = [
            msgspec.structs.replace(c, wall_ms=c.wall_ms + python_ms + operator_ms)
            for c in twin.chunks
        ]
        return build.change(made, chunks=walls)

    paused = first(twin, with_base(90.0, 0.0, {}))
    assert (paused.cause, paused.change_ms) == ("python", pytest.approx(90.0))
    cloned = first(twin, with_base(5.0, 80.0, {"aten::clone": 6000}))
    assert (cloned.cause, cloned.operator) == ("work", "aten::clone")
    read = first(twin, with_base(40.0, 50.0, {"aten::item": 3750}))
    assert read.cause == "sync"
    assert changes(twin, twin).causes == ()
