"""harness.analysis.shown_frames: which proof's frames a report shows, and which of them."""

from typing import Any

import msgspec

from harness.analysis.shown_frames import MOST_ARMS, shown_frames
from harness.record_parts import FrameSample
from harness.result import Result
from tests import samples


def frame(arm: str | None, **changes: Any) -> FrameSample:
    difference, largest = (None, 0.0) if arm is None else ("ff" * 4, 0.1)
    made = FrameSample(
        arm=arm,
        chunk=3,
        frame=11,
        width_px=2,
        height_px=2,
        rgb="00" * 12,
        difference=difference,
        largest_difference=largest,
    )
    return msgspec.structs.replace(made, **changes)


def proof(*arms: str, frames: list[FrameSample] | None = None) -> Result:
    case = samples.case(kind="quality", device="cuda", arms=("base", *arms))
    made = [frame(arm) for arm in (None, "base", *arms, "attention-sdpa")]
    return samples.result(case, frames=made if frames is None else frames)


def test_the_fastest_stack_comes_before_the_first_proof() -> None:
    other, fastest = proof("fp8-linears"), proof("fastest")
    for found in ({"a": [other], "b": [fastest]}, {"b": [fastest]}):
        shown = shown_frames(found)
        assert shown is not None and shown.result is fastest
        assert [one.sample.arm for one in shown.arms] == ["base", "fastest", "attention-sdpa"]
        assert [one.index for one in (shown.reference, *shown.arms)] == [0, 1, 2, 3]
    first = shown_frames({"a": [other], "c": [proof("lossless")]})
    assert first is not None and first.result is other


def test_without_a_reference_or_an_arm_there_is_nothing_to_show() -> None:
    for frames in ([], [frame("base")], [frame(None)], [frame(None), frame("unknown")]):
        assert shown_frames({"a": [proof(frames=frames)]}) is None


def test_only_what_shows_the_same_frame_stands_beside_it() -> None:
    frames = [frame(None), frame("base", chunk=4), frame("fastest", largest_difference=0.3)]
    shown = shown_frames({"a": [proof("fastest", frames=frames)]})
    assert shown is not None
    assert [one.sample.arm for one in shown.arms] == ["fastest"]
    assert shown.largest.index == 2


def test_what_a_figure_has_no_room_for_is_counted() -> None:
    arms = [f"x{number}" for number in range(2 * MOST_ARMS)]
    shown = shown_frames({"a": [proof(*arms)]})
    assert shown is not None
    assert (len(shown.arms), shown.left_out) == (MOST_ARMS, MOST_ARMS + 2)
