"""harness.measure.frame_samples: small pictures that say what the large ones did."""

import pytest
import torch

from harness.measure.frame_samples import LONGEST_SIDE_PX, frame_sample
from harness.result import decode, encode
from tests import samples


def pixels(digits: str, *size: int) -> torch.Tensor:
    return torch.tensor(list(bytes.fromhex(digits))).reshape(size)


def test_small_frames_stay_as_they_are_and_the_last_one_is_taken() -> None:
    frames = torch.rand(3, 4, 6, 3)
    one = frame_sample(None, 7, frames, frames)
    assert (one.arm, one.chunk, one.frame) == (None, 7, 2)
    assert (one.width_px, one.height_px, one.difference) == (6, 4, None)
    assert torch.equal(pixels(one.rgb, 4, 6, 3), (frames[-1] * 255).round().long())


@pytest.mark.parametrize(
    ("size", "small"), [((512, 512), (128, 128)), ((480, 832), (74, 128)), ((2, 300), (1, 128))]
)
def test_large_frames_keep_their_shape(size: tuple[int, int], small: tuple[int, int]) -> None:
    arm = frame_sample("base", 0, torch.rand(1, *size, 3), torch.rand(1, *size, 3))
    assert (arm.height_px, arm.width_px) == small
    assert max(small) == LONGEST_SIDE_PX


def test_noise_of_single_pixels_is_seen_in_the_difference_alone() -> None:
    """Above and below the reference by turns: averaged frames are the same."""
    grey = torch.full((1, 256, 256, 3), 0.5)
    rows, columns = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    noise = 0.1 * (1 - 2 * ((rows + columns) % 2).float())
    noise[:128] = 0
    arm = frame_sample("base", 0, grey + noise[..., None], grey)
    assert arm.rgb == "000000" * 128**2
    assert arm.largest_difference == pytest.approx(0.1, abs=1e-6)
    assert arm.difference is not None
    difference = pixels(arm.difference, 128, 128)
    assert difference[:64].eq(0).all() and difference[64:].eq(255).all()


def test_an_arm_adds_to_the_float32_runs_picture_modulo_256() -> None:
    exact, made = torch.rand(1, 4, 6, 3), torch.rand(1, 4, 6, 3)
    reference, arm = frame_sample(None, 0, exact, exact), frame_sample("base", 0, made, exact)
    both = pixels(reference.rgb, 4, 6, 3) + pixels(arm.rgb, 4, 6, 3)
    assert torch.equal(both % 256, (made[0] * 255).round().long())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_frames_of_any_type_make_a_record_that_loads(dtype: torch.dtype) -> None:
    frames = torch.rand(2, 8, 8, 3)
    same = frame_sample("same", 0, frames, frames)
    assert same.difference == "00" * 64 and same.largest_difference == 0
    opposite = frame_sample("opposite", 0, torch.ones_like(frames), torch.zeros_like(frames))
    assert opposite.largest_difference == 1
    rounded = frame_sample("rounded", 0, frames.to(dtype), frames)
    record = samples.result(frames=[same, opposite, rounded])
    assert decode(encode(record), name="x") == record
