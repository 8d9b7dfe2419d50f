"""harness.workload.wan_layers: each layer against a plain statement of what it computes."""

import pytest
import torch
from torch import Tensor

from harness.workload.vae import FrameMemory
from harness.workload.wan_layers import (
    ChannelNorm,
    Downsample,
    FrameAttention,
    SlotCursor,
    Upsample,
    conv3,
    walk,
)


def clip(frames: int, *, channels: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, channels, frames, 6, 8, generator=generator)


@pytest.mark.parametrize("groups", [[1, 1, 1, 1, 1, 1], [1, 5], [2, 4], [3, 1, 2]])
@torch.no_grad()
def test_a_convolution_in_parts_equals_one_over_the_whole_clip(groups: list[int]) -> None:
    conv, memory = conv3(4, 4), FrameMemory.empty(1)
    parts = [walk([conv], part, SlotCursor(memory)) for part in torch.split(clip(6), groups, dim=2)]
    torch.testing.assert_close(torch.cat(parts, dim=2), conv(clip(6)))
    kept = memory.slots[0]
    assert kept is not None and torch.equal(kept, clip(6)[:, :, -2:])


@torch.no_grad()
def test_a_convolution_sees_no_later_frame() -> None:
    conv, other = conv3(4, 4), clip(6)
    other[:, :, 4:] += 1
    same = conv(clip(6))[:, :, :4]
    torch.testing.assert_close(conv(other)[:, :, :4], same)


def test_the_norm_has_length_sqrt_c_times_its_gain() -> None:
    norm = ChannelNorm(4, 3)
    out = norm(clip(3))
    torch.testing.assert_close(out.pow(2).sum(1), torch.full((1, 3, 6, 8), 4.0))
    assert norm(torch.zeros(1, 4, 1, 2, 2)).abs().max() == 0
    assert ChannelNorm(4, 2).gamma.shape == (4, 1, 1)


@torch.no_grad()
def test_attention_is_a_softmax_over_the_pixels_of_one_frame() -> None:
    layer, x = FrameAttention(4), clip(2)
    got = layer(x)
    for frame in range(2):
        image = x[:, :, frame]
        q, k, v = layer.to_qkv(layer.norm(image)).flatten(2)[0].chunk(3)  # [C,HW]
        weights = torch.softmax(q.T @ k / 4**0.5, dim=1)
        attended = (weights @ v.T).T.reshape(1, 4, 6, 8)
        expected = image + layer.proj(attended)
        torch.testing.assert_close(got[:, :, frame], expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_downsampling_halves_all_but_the_first_frame() -> None:
    layer, memory = Downsample(4, over_time=True), FrameMemory.empty(1)
    first, *later = (
        layer(part, SlotCursor(memory)) for part in torch.split(clip(9), [1, 4, 4], dim=2)
    )
    assert first.shape == (1, 4, 1, 3, 4)
    assert [part.shape[2] for part in later] == [2, 2]
    again = FrameMemory.empty(1)
    layer(clip(9)[:, :, :1], SlotCursor(again))
    at_once = layer(clip(9)[:, :, 1:], SlotCursor(again))
    torch.testing.assert_close(torch.cat(later, dim=2), at_once)


@torch.no_grad()
def test_upsampling_doubles_all_but_the_first_frame() -> None:
    layer, memory = Upsample(4, over_time=True), FrameMemory.empty(1)
    parts = [layer(part, SlotCursor(memory)) for part in torch.split(clip(4), 1, dim=2)]
    assert [tuple(part.shape) for part in parts] == [(1, 2, 1, 12, 16)] + 3 * [(1, 2, 2, 12, 16)]
    again = FrameMemory.empty(1)
    layer(clip(4)[:, :, :1], SlotCursor(again))
    at_once = layer(clip(4)[:, :, 1:], SlotCursor(again))
    torch.testing.assert_close(torch.cat(parts[1:], dim=2), at_once)


@torch.no_grad()
def test_layers_that_keep_the_frame_count_need_no_slot() -> None:
    memory = FrameMemory.empty(0)
    assert Downsample(4, over_time=False)(clip(2), SlotCursor(memory)).shape == (1, 4, 2, 3, 4)
    assert Upsample(4, over_time=False)(clip(2), SlotCursor(memory)).shape == (1, 2, 2, 12, 16)
