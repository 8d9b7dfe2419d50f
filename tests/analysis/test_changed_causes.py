"""Planted changes are named first, and a twin has none."""

import msgspec
import pytest

from harness.analysis.changed_causes import ChangedCause, changed_causes
from harness.profiled import Gap, PartTime
from harness.result import CompileStats, Result
from tests.analysis.profiled import (
    CASES,
    COMPILED,
    eager,
    plain,
    planted,
    steady,
    with_chunk,
    with_state,
    with_wall,
    words,
)
from tests.records import build

PLANTS = {
    "items": {
        "part": "base", "kernels": 3750, "device_ms": 5.0, "calls": 3750, "operator": "aten::item",
        "idle": {"sync": 12.0, "copy": 20.0, "python": 25.0, "launch": 30.0, "operator": 10.0},
    },
    "launches": {
        "part": "base", "kernels": 18_000, "device_ms": 30.0, "operator": "aten::add_",
        "calls": 18_000, "idle": {"launch": 30.0, "operator": 25.0},
    },
    "pause": {"part": "base", "idle": {"python": 90.0}},
    "casts": {
        "part": "base", "kernels": 6000, "device_ms": 200.0, "calls": 6000,
        "operator": "aten::copy_",
    },
    "clones": {
        "part": "", "kernels": 6000, "device_ms": 150.0, "calls": 6000, "operator": "aten::clone",
    },
}  # fmt: skip
EXPECTED = {
    "items": ("sync", "base"),
    "launches": ("launch", "base"),
    "pause": ("python", "base"),
    "casts": ("work", "base"),
    "clones": ("work", None),
}


def first(found: list[ChangedCause]) -> ChangedCause:
    assert found
    return found[0]


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_cost_is_the_largest_change(name: str) -> None:
    twin = plain(eager())
    found = changed_causes(twin, planted(twin, **PLANTS[name]))  # type: ignore[arg-type]
    largest = first(found)
    assert (largest.cause, largest.part) == EXPECTED[name]
    assert largest.change_ms > 0.7 * sum(change.change_ms for change in found)
    back = first(changed_causes(planted(twin, **PLANTS[name]), twin))  # type: ignore[arg-type]
    assert (back.cause, back.change_ms) == (largest.cause, pytest.approx(-largest.change_ms))


def test_the_change_of_wall_time_is_accounted_for() -> None:
    twin = plain(eager())
    after = planted(twin, part="base", device_ms=150.0, kernels=3000, calls=3000)
    assert sum(c.change_ms for c in changed_causes(twin, after)) == pytest.approx(150.0)
    assert first(changed_causes(twin, after)).share == pytest.approx(
        150.0 / (twin.profile.wall_median_ms or 0.0)  # type: ignore[union-attr]
    )


def test_the_operator_that_was_added_is_named_with_its_calls() -> None:
    twin = plain(eager())
    told = first(changed_causes(twin, planted(twin, **PLANTS["casts"])))  # type: ignore[arg-type]
    assert words(told.words) == "most by aten::copy_, calls: <0> before, <6000> after"
    assert told.what == "device time in base"


def test_twins_have_no_changes() -> None:
    result = plain(eager())
    assert changed_causes(result, result) == []
    chunk = steady(result)
    parts = [
        msgspec.structs.replace(part, device_ms=part.device_ms * (1.01 if i % 2 else 0.99))
        for i, part in enumerate(chunk.parts)
    ]
    gaps = [
        msgspec.structs.replace(gap, idle_ms=gap.idle_ms * (1.1 if i % 2 else 0.93))
        for i, gap in enumerate(chunk.gaps)
    ]
    noisy = with_state(with_chunk(result, parts=parts, gaps=gaps), loop_us=500.0)
    assert changed_causes(result, noisy) == []
    assert changed_causes(result, build.change(result, profile=None)) == []


def slower_attention(result: Result, times: float) -> Result:
    chunk = steady(result)
    parts: list[PartTime] = [
        msgspec.structs.replace(p, device_ms=p.device_ms * times)
        if p.part == "base/attention"
        else p
        for p in chunk.parts
    ]
    return with_chunk(result, parts=parts)


def test_another_backend_is_a_change_of_attention() -> None:
    twin = plain(eager())
    told = first(changed_causes(twin, slower_attention(twin, 1.4)))
    assert (told.cause, told.part) == ("attention", "base/attention")


def test_contention_takes_all_idle_time_of_the_host() -> None:
    twin = plain(eager())
    chunk = steady(twin)
    gaps = [
        msgspec.structs.replace(g, idle_ms=g.idle_ms * (1 if g.cause == "queue" else 3))
        for g in chunk.gaps
    ]
    slow = plain(with_chunk(twin, gaps=gaps))
    crowded = with_state(slow, loop_us=1500.0, operator_us=12.0)
    assert [change.cause for change in changed_causes(twin, crowded)] == ["contention"]
    assert {change.cause for change in changed_causes(twin, slow)} == {"launch", "sync", "python"}


def test_a_queue_for_the_cores_is_contention_and_one_disturbed_block_is_none() -> None:
    twin = plain(eager())
    gaps = [msgspec.structs.replace(gap, idle_ms=gap.idle_ms * 3) for gap in steady(twin).gaps]
    slow = plain(with_chunk(twin, gaps=gaps))
    assert first(changed_causes(twin, with_state(slow, run_queue=3.0))).cause == "contention"
    quicker_host = with_state(slow, loop_us=100.0)
    assert "contention" not in {change.cause for change in changed_causes(twin, quicker_host)}
    crowded = with_state(slow, operator_us=40.0)
    chunks = [*slow.chunks[:-1], crowded.chunks[-1]]
    disturbed = build.change(slow, chunks=chunks)
    assert "contention" not in {change.cause for change in changed_causes(twin, disturbed)}


def test_compile_counters_are_named_even_where_no_time_changed() -> None:
    before = plain(build.result(CASES[COMPILED]))
    stats = before.compile
    assert isinstance(stats, CompileStats)
    broken = msgspec.structs.replace(stats, graph_breaks=15, graphs=31)
    found = changed_causes(before, build.change(before, compile=broken))
    assert [change.cause for change in found] == ["compile"]
    assert "graph breaks: <0> before, <15> after" in words(found[0].words)


def test_compiling_in_every_chunk_takes_the_idle_time_before_the_branch() -> None:
    before = plain(build.result(CASES[COMPILED]))
    waiting = planted(before, part="vace", idle={"python": 3000.0, "operator": 200.0})
    after = with_state(waiting, compile_work=4)
    found = changed_causes(before, after)
    assert (found[0].cause, found[0].change_ms) == ("compile", pytest.approx(3200.0))
    assert len(found) == 1


def test_another_clock_is_one_change_and_not_many() -> None:
    twin = plain(eager())
    chunk = steady(twin)
    parts = [msgspec.structs.replace(p, device_ms=p.device_ms * 1.1) for p in chunk.parts]
    slow = plain(with_chunk(twin, parts=parts, busy_ms=chunk.busy_ms * 1.1))
    cool = with_state(slow, sm_clock_mhz=1800.0)
    assert [change.cause for change in changed_causes(twin, cool)] == ["clock"]


def test_time_outside_of_the_span() -> None:
    twin = plain(eager())
    wall = (twin.profile.wall_median_ms or 0.0) + 80.0  # type: ignore[union-attr]
    told = first(changed_causes(twin, with_wall(twin, wall)))
    assert (told.cause, told.change_ms) == ("outside", pytest.approx(80.0))


def test_eager_and_compiled_are_compared_with_the_branch_as_one_part() -> None:
    before, after = plain(eager()), plain(build.result(CASES[COMPILED]))
    work = [change for change in changed_causes(before, after) if change.cause == "work"]
    assert {change.part for change in work} <= {"vace"}
    assert work and work[0].change_ms < 0


def test_a_cpu_is_compared_by_the_hosts_time_in_each_part() -> None:
    twin = build.result(build.cpu_cases()[2])
    chunk = steady(twin)
    pause = PartTime(
        stage="denoise.0", part="base", calls=150, kernels=0, device_ms=0.0, host_ms=90.0,
        launch_ms=0.0, sync_ms=0.0,
    )  # fmt: skip
    paused = with_chunk(twin, parts=[*chunk.parts, pause])
    assert first(changed_causes(twin, paused)).cause == "python"
    assert changed_causes(twin, twin) == []


def test_queued_gaps_are_no_launches() -> None:
    twin = plain(eager())
    gap = Gap(cause="queue", part="base/ffn", gaps=100, idle_ms=40.0)
    after = plain(with_chunk(twin, gaps=[*steady(twin).gaps, gap]))
    assert first(changed_causes(twin, after)).cause == "queue"
