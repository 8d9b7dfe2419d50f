"""Arms held by the power cap: a recorded run of an H200, and what cannot be said."""

from pathlib import Path

import msgspec
import pytest

from harness.analysis.arm_power import POWER_CAPPED, ArmPower, arm_power, arms_power
from harness.analysis.fix_arms import ArmTimes, arm_times
from harness.measure.flags import POWER_CAPPED as FLAG
from harness.result import Result
from harness.store import RunFolder

RUN = Path(__file__).parents[2] / "reports" / "nvidia-h200" / "20261127-162601-fixes"


@pytest.fixture(scope="module")
def recorded() -> list[Result]:
    return RunFolder(RUN).load().processes["paired-inpainting-stack"]


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
    assert [one.times.arm for one in arms_power(arms)] == list(recorded[0].case.arms)
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
