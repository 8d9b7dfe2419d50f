"""Arms held by the power cap: a recorded run of an H200, and what cannot be said."""

import itertools
from pathlib import Path

import msgspec
import pytest

from harness.analysis.arm_power import (
    CAP_COUNTER,
    POWER_CAPPED,
    ArmPower,
    arm_power,
    arms_power,
    capped_words,
    case_power,
)
from harness.analysis.fix_arms import ArmTimes, arm_times
from harness.analysis.interval import median
from harness.measure.flags import POWER_CAPPED as FLAG
from harness.result import Result
from harness.store import RunFolder
from tests.analysis.profiled import words

RUN = Path(__file__).parents[2] / "reports" / "nvidia-h200" / "20261127-162601-fixes"


@pytest.fixture(scope="module")
def recorded() -> list[Result]:
    """The first process: the run may go on."""
    return RunFolder(RUN).load().processes["paired-inpainting-stack"][:1]


def times(results: list[Result], arm: str) -> ArmTimes:
    found = arm_times(results, arm)
    assert found is not None
    return found


def test_the_stack_is_held_and_the_baseline_is_not(recorded: list[Result]) -> None:
    base, stack = (arm_power(times(recorded, arm)) for arm in ("base", "lossless"))
    assert base is not None and stack is not None
    assert POWER_CAPPED == FLAG
    assert not base.held and base.sm_clock_mhz == base.highest_mhz and base.at_most == 0
    assert stack.held and stack.chunks == base.chunks == 10
    assert stack.watts is not None and stack.limit_watts is not None
    assert base.watts is not None and stack.at_most is not None
    assert stack.watts > 0.98 * stack.limit_watts > 1.5 * base.watts
    assert stack.at_most == pytest.approx(1 - stack.sm_clock_mhz / 1980)
    assert 0.01 < stack.at_most < 0.1


def test_all_arms_are_told_where_one_is_held(recorded: list[Result]) -> None:
    arms = [times(recorded, arm) for arm in recorded[0].case.arms]
    assert [one.arm for one in arms_power(arms)] == list(recorded[0].case.arms)
    assert arms_power(arms[:4]) == ()  # none of them is held


def test_more_than_half_of_the_chunks_must_be_capped(recorded: list[Result]) -> None:
    def with_flags(count: int) -> ArmPower:
        left, chunks = count, []
        for chunk in recorded[0].chunks:
            capped = chunk.arm == "lossless" and chunk.phase == "steady" and left > 0
            left -= capped
            chunks.append(msgspec.structs.replace(chunk, flags=[FLAG] if capped else []))
        changed = msgspec.structs.replace(recorded[0], chunks=chunks)
        found = arm_power(times([changed], "lossless"))
        assert found is not None and found.capped == count
        return found

    assert not with_flags(5).held and with_flags(6).held


def test_without_samples_nothing_is_said(recorded: list[Result]) -> None:
    chunks = [msgspec.structs.replace(chunk, state=None) for chunk in recorded[0].chunks]
    changed = msgspec.structs.replace(recorded[0], chunks=chunks)
    assert arm_power(times([changed], "lossless")) is None
    facts = {k: v for k, v in recorded[0].provenance.items() if not k.startswith("gpu.")}
    unknown = arm_power(times([msgspec.structs.replace(recorded[0], provenance=facts)], "lossless"))
    assert unknown is not None and unknown.at_most is None and unknown.limit_watts is None


def test_the_end_of_blocks_shows_a_clock_that_still_falls(recorded: list[Result]) -> None:
    base, stack = (arm_power(times(recorded, arm)) for arm in ("base", "lossless"))
    assert base is not None and stack is not None and stack.last_mhz is not None
    assert base.last_mhz == base.sm_clock_mhz
    ends = [
        chunk.state.sm_clock_mhz
        for chunk, after in itertools.pairwise(recorded[0].chunks)
        if chunk.arm == "lossless" and chunk.phase == "steady" and chunk.state is not None
        if (after.arm, after.block) != (chunk.arm, chunk.block)
    ]
    assert len(ends) == 5
    assert stack.last_mhz == median(end for end in ends if end is not None)
    assert stack.last_mhz < stack.sm_clock_mhz - 20


def test_the_counter_tells_the_time_that_an_arm_was_held(recorded: list[Result]) -> None:
    shares = {arm: arm_power(times(recorded, arm)) for arm in ("stack-1", "base", "lossless")}
    told = {arm: power.capped_share for arm, power in shares.items() if power is not None}
    assert told["stack-1"] == 0
    assert told["base"] is not None and 0.1 < told["base"] < 0.25  # after a held arm
    assert told["lossless"] is not None and 0.8 < told["lossless"] < 1
    counters = [
        msgspec.structs.replace(reading, values=reading.values | {CAP_COUNTER: None})
        if reading.label == "steady.2.lossless.end"
        else reading
        for reading in recorded[0].gpu.counters
    ]
    gpu = msgspec.structs.replace(recorded[0].gpu, counters=counters)
    broken = arm_power(times([msgspec.structs.replace(recorded[0], gpu=gpu)], "lossless"))
    assert broken is not None and broken.capped_share is None and broken.held


def test_what_it_costs_is_told_where_it_is_held_alone(recorded: list[Result]) -> None:
    base, stack = (case_power(recorded, arm) for arm in ("base", "lossless"))
    assert base is not None and stack is not None
    assert words(capped_words(stack)).startswith("the power cap held <8> of <10> steady chunks: ")
    assert "costs at most <0.05" in words(capped_words(stack))
    assert "held <3> of <10>" in words(capped_words(base))
    assert "costs" not in words(capped_words(base))
