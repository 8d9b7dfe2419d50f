"""harness.workload.preprocess: images of any size and number become a clip."""

import torch
from torch import Tensor

from harness.workload.preprocess import resample_time, stack_images


def images(count: int, height: int, width: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (1, height, width, 3)
    return [
        torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8) for _ in range(count)
    ]


def test_images_of_the_right_size_and_number_are_only_scaled() -> None:
    source = images(12, 16, 24)
    clip = stack_images(source, height=16, width=24, frames=12, dtype=torch.float32)
    assert clip.shape == (1, 3, 12, 16, 24)
    back = ((clip + 1) / 2 * 255).round().to(torch.uint8)
    assert torch.equal(back[0, :, 5], source[5][0].permute(2, 0, 1))


def test_other_sizes_are_resized_smoothly() -> None:
    source = images(12, 8, 8)
    clip = stack_images(source, height=16, width=32, frames=12, dtype=torch.bfloat16)
    assert clip.shape == (1, 3, 12, 16, 32) and clip.dtype == torch.bfloat16
    flat = [torch.full((1, 8, 8, 3), 51, dtype=torch.uint8)] * 2
    even = stack_images(flat, height=16, width=32, frames=2, dtype=torch.float32)
    torch.testing.assert_close(even, torch.full((1, 3, 2, 16, 32), 51 / 255 * 2 - 1))


def test_time_is_resampled_to_the_nearest_frame() -> None:
    clip = torch.arange(6.0).view(1, 1, 6, 1, 1)
    assert resample_time(clip, 12).flatten().tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert resample_time(clip, 3).flatten().tolist() == [0, 2, 5]  # halves go to the even frame
    assert torch.equal(resample_time(clip, 6), clip)
