"""Idle and host times of an unprofiled chunk: anchored to what was taken without the profiler."""

import msgspec
import pytest

from harness.analysis.profile import Slot, main_slot, wall_ms
from harness.analysis.unprofiled import (
    idle_ms,
    real_gaps,
    real_host,
    real_idle,
    stage_host_ms,
    stage_idle,
    waits_ms,
    what_if,
)
from harness.result import Result
from tests.analysis.profiled import eager, plain, steady, with_chunk, with_wall
from tests.records import build


def slot_of(result: Result) -> Slot:
    slot = main_slot(result.profile)
    assert slot is not None
    return slot


def with_stages(result: Result, **stages_ms: float) -> Result:
    """Device time of some stages of every chunk replaced."""
    chunks = [
        msgspec.structs.replace(chunk, stage_ms={**chunk.stage_ms, **stages_ms})
        for chunk in result.chunks
    ]
    return build.change(result, chunks=chunks)


def by_stage(result: Result) -> dict[str | None, float]:
    found: dict[str | None, float] = {}
    for gap in real_gaps(result, slot_of(result)):
        found[gap.stage] = found.get(gap.stage, 0.0) + gap.idle_ms
    return found


def test_all_idle_time_is_wall_time_less_busy_time_whatever_the_profile_says() -> None:
    result = eager()
    chunk = steady(result)
    profiled_ms = sum(gap.idle_ms for gap in chunk.gaps)
    half = with_wall(result, chunk.busy_ms + profiled_ms / 2)
    assert idle_ms(half, slot_of(half)) == pytest.approx(profiled_ms / 2)
    assert sum(real_idle(half, slot_of(half)).values()) == pytest.approx(profiled_ms / 2)
    gaps = [msgspec.structs.replace(gap, idle_ms=7 * gap.idle_ms) for gap in chunk.gaps]
    distorted = with_chunk(half, gaps=gaps)
    assert real_idle(distorted, slot_of(half)) == pytest.approx(real_idle(half, slot_of(half)))
    slower = with_wall(result, chunk.busy_ms + 10 * profiled_ms)  # the rest is outside of the span
    assert sum(real_idle(slower, slot_of(slower)).values()) == pytest.approx(profiled_ms)


def test_idle_time_lies_in_the_stages_that_took_longer_than_their_work() -> None:
    result = plain(eager())
    busy = sum(part.device_ms for part in steady(result).parts if part.stage == "denoise.2")
    assert stage_idle(with_stages(result, **{"denoise.2": busy}), slot_of(result))["denoise.2"] == 0
    tight = by_stage(with_stages(result, **{"denoise.2": busy}))
    wide = by_stage(with_stages(result, **{"denoise.2": busy + 500.0}))
    assert tight["denoise.2"] == pytest.approx(0.0)
    assert wide["denoise.2"] > 0.8 * sum(wide.values())
    assert sum(tight.values()) == pytest.approx(sum(wide.values()))


def test_a_hiccup_of_the_profiled_host_does_not_move_idle_time_between_stages() -> None:
    result = plain(eager())
    before = by_stage(result)
    gaps = [
        msgspec.structs.replace(gap, idle_ms=gap.idle_ms * (5 if gap.stage == "denoise.2" else 1))
        for gap in steady(result).gaps
    ]
    after = by_stage(with_chunk(result, gaps=gaps))
    assert after == pytest.approx(before)


def test_gaps_of_older_records_are_scaled_evenly() -> None:
    result = plain(eager())
    gaps = [msgspec.structs.replace(gap, stage=None) for gap in steady(result).gaps]
    half = with_wall(with_chunk(result, gaps=gaps), steady(result).busy_ms + 20.0)
    total_ms = sum(gap.idle_ms for gap in gaps)
    for gap, real in zip(gaps, real_gaps(half, slot_of(half)), strict=True):
        assert real.idle_ms == pytest.approx(gap.idle_ms * 20.0 / total_ms)


def test_what_if_never_goes_below_the_busy_time() -> None:
    result = plain(eager())
    cases = {case.name: case for case in what_if(result, slot_of(result))}
    assert cases["no idle time at all"].wall_ms == pytest.approx(steady(result).busy_ms)
    assert cases["no launch gaps"].ratio < cases["no waits for the GPU"].ratio < 1
    bound = with_wall(result, steady(result).busy_ms)
    assert all(case.ratio == 1.0 for case in what_if(bound, slot_of(bound)))
    on_cpu = build.result(build.cpu_cases()[-1])
    assert what_if(on_cpu, slot_of(on_cpu))[-1].ratio == 1.0


def test_waits_are_the_hosts_own_time_in_reads_and_never_more_than_the_gpu_idles() -> None:
    result = plain(eager())
    assert waits_ms(result, slot_of(result)) == 31.0
    bound = with_wall(result, steady(result).busy_ms + 12.0)
    assert waits_ms(bound, slot_of(bound)) == pytest.approx(12.0)
    old = build.change(result, profile=msgspec.structs.replace(result.profile, reads_ms=None))
    assert waits_ms(old, slot_of(old)) is None
    names = [case.name for case in what_if(old, slot_of(old))]
    assert names == ["no launch gaps", "no idle time at all"]


def test_host_time_of_parts_adds_up_to_the_unprofiled_stages() -> None:
    result = plain(eager())
    slot = slot_of(result)
    profiled = {part.stage for part in slot.chunk.parts}
    expected = sum(ms for stage, ms in stage_host_ms(result).items() if stage in profiled)
    assert sum(real_host(result, slot).values()) == pytest.approx(expected)
    slowed = with_chunk(
        result,
        parts=[
            msgspec.structs.replace(part, host_ms=9 * part.host_ms) for part in steady(result).parts
        ],
    )
    assert real_host(slowed, slot_of(slowed)) == pytest.approx(real_host(result, slot))
    unstaged = build.change(
        result,
        chunks=[msgspec.structs.replace(chunk, stage_host_ms={}) for chunk in result.chunks],
    )
    evenly = sum(real_host(unstaged, slot).values())
    scale = wall_ms(result, slot) / slot.chunk.wall_ms
    assert evenly == pytest.approx(scale * sum(part.host_ms for part in slot.chunk.parts))
