"""The host's clock against the trace: the chunk's own factor is no disagreement, a stage's is."""

import msgspec
import pytest

from harness.profile_witness import witnessed
from harness.profiled import Profile
from tests.analysis.profiled import eager, steady


def profile(factor: float = 1.0, **stages: float) -> Profile:
    """A profile whose clock is the trace's host time over `factor`, some stages by another."""
    result = eager()
    assert result.profile is not None
    clock: dict[str, float] = {}
    for part in steady(result).parts:
        own = stages.get(part.stage.replace(".", "_"), 1.0) / factor
        clock[part.stage] = clock.get(part.stage, 0.0) + part.host_ms * own
    return msgspec.structs.replace(
        result.profile,
        stages_host_ms=clock,
        stages_synchronised_ms={stage: 10 * time_ms for stage, time_ms in clock.items()},
    )


@pytest.mark.parametrize("factor", [1.0, 2.5])
def test_a_chunk_that_is_slower_as_a_whole_agrees(factor: float) -> None:
    seen = witnessed(profile(factor))
    assert len(seen) > 10
    assert all(stage.agrees for stage in seen)
    assert [stage.deviation for stage in seen] == [pytest.approx(0.0)] * len(seen)


def test_a_stage_of_its_own_factor_is_apart() -> None:
    seen = {stage.stage: stage for stage in witnessed(profile(2.5, clean=0.5))}
    assert not seen["clean"].agrees and seen["clean"].deviation > 0.5
    near = {stage.stage: stage for stage in witnessed(profile(2.5, clean=0.97))}
    assert near["clean"].agrees


def test_a_stage_cannot_be_shorter_than_the_device_works_in_it() -> None:
    known = profile()
    drained = dict(known.stages_synchronised_ms)
    busy = {stage.stage: stage.busy_ms for stage in witnessed(known)}
    drained["clean"] = 0.9 * busy["clean"]
    seen = witnessed(msgspec.structs.replace(known, stages_synchronised_ms=drained))
    assert [stage.stage for stage in seen if not stage.agrees] == ["clean"]


def test_without_the_clock_or_a_steady_chunk_nothing_is_said() -> None:
    known = profile()
    without = msgspec.structs.replace(known, stages_host_ms={}, stages_synchronised_ms={})
    assert witnessed(without) == []
    assert witnessed(msgspec.structs.replace(known, chunks=known.chunks[1:])) == []
