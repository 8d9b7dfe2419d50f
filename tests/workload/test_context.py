"""harness.workload.context: two streams, the mask's channels, and what a chunk's encoding costs.

Its golden file is checked in test_conformance_vae.
"""

import pytest
import torch
from torch import Tensor

from harness.workload.autoencoder import Tae
from harness.workload.context import ContextEncoder, mask_channels
from harness.workload.wan_vae import WanVae
from harness.workload.weights_vae import seed_vae
from tests.workload.operators import count_operators, selected


@pytest.fixture(scope="module")
def vae() -> Tae:
    tae = Tae()
    seed_vae(tae, 3)
    return tae


def frames(seed: int, *, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, channels, 12, 32, 16, generator=generator) * 2 - 1


def half_mask() -> Tensor:
    mask = torch.zeros(1, 1, 12, 32, 16)
    mask[..., 8:] = 0.6
    return mask


def test_a_mask_splits_the_pixels_hard_and_keeps_its_soft_values(vae: Tae) -> None:
    pixels, mask = frames(0), half_mask()
    got = ContextEncoder(vae).encode(pixels, mask)
    assert got.shape == (96, 3, 4, 2)
    kept = torch.where(mask > 0.5, 0.0, pixels)
    generated = torch.where(mask > 0.5, pixels, 0.0)
    assert torch.equal(got[:16].transpose(0, 1), vae.encode(kept, None)[0])
    assert torch.equal(got[16:32].transpose(0, 1), vae.encode(generated, None)[0])
    assert torch.equal(got[32:, :, :, 0], torch.zeros(64, 3, 4))
    assert torch.equal(got[32:, :, :, 1], torch.full((64, 3, 4), 0.6))


def test_no_mask_means_that_all_is_generated(vae: Tae) -> None:
    pixels = frames(0)
    without = ContextEncoder(vae).encode(pixels)
    ones = ContextEncoder(vae).encode(pixels, torch.ones(1, 1, 12, 32, 16))
    assert torch.equal(without, ones)
    assert torch.equal(without[32:], torch.ones(64, 3, 4, 2))


def test_one_channel_is_repeated_to_three(vae: Tae) -> None:
    depth = frames(0, channels=1)
    three = ContextEncoder(vae).encode(depth.repeat(1, 3, 1, 1, 1))
    assert torch.equal(ContextEncoder(vae).encode(depth), three)


def test_both_streams_continue_and_outlive_a_hard_cut(vae: Tae) -> None:
    encoder = ContextEncoder(vae)
    memory = vae.new_encoder_memory()
    for seed in (0, 1):
        expected = vae.encode(frames(seed), memory)[0].transpose(0, 1)
        assert torch.equal(encoder.encode(frames(seed))[16:32], expected)
        vae.clear()


def test_a_mask_that_keeps_a_pixel_leaves_the_reactive_stream_alone(vae: Tae) -> None:
    encoder = ContextEncoder(vae)
    memory = vae.new_encoder_memory()
    expected = [vae.encode(frames(seed), memory)[0].transpose(0, 1) for seed in (0, 2)]
    assert torch.equal(encoder.encode(frames(0))[16:32], expected[0])
    encoder.encode(frames(1), half_mask())
    assert torch.equal(encoder.encode(frames(2))[16:32], expected[1])


def test_mask_channels_follow_the_position_in_the_cell() -> None:
    frame, row, column = 6, 13, 10  # frame 6 is the source of latent frame 1
    mask = torch.zeros(1, 1, 12, 32, 16)
    mask[0, 0, frame, row, column] = 0.4
    got = mask_channels(mask)
    ((channel, latent_frame, cell_row, cell_column),) = got.nonzero().tolist()
    assert (channel, latent_frame, cell_row, cell_column) == (8 * 5 + 2, 1, 1, 1)


@pytest.mark.parametrize(("count", "sources"), [(12, [2, 6, 10]), (13, [1, 4, 8, 11])])
def test_mask_channels_take_the_nearest_frames(count: int, sources: list[int]) -> None:
    mask = torch.arange(count, dtype=torch.float32).view(1, 1, count, 1, 1).repeat(1, 1, 1, 8, 8)
    assert mask_channels(mask)[0, :, 0, 0].tolist() == sources


def test_operators_of_a_chunk(vae: Tae) -> None:
    bf16 = Tae().to(torch.bfloat16)
    bf16.load_state_dict(vae.state_dict())
    pixels, mask = frames(0).to(torch.bfloat16), half_mask().to(torch.bfloat16)
    names = ("convolution", "cat", "constant_pad_nd", "clone", "mul", "_to_copy")
    # 4 concatenations assemble the context, 1 clone reorders the mask.
    common = {"convolution": 70, "clone": 19, "mul": 4, "_to_copy": 2}
    inpainting, depth = ContextEncoder(bf16), ContextEncoder(bf16)
    for cats, pads in ((4 + 9 + 9, 18), (4 + 18 + 9, 9), (4 + 18 + 9, 9)):
        counts = count_operators(lambda: inpainting.encode(pixels, mask))
        expected = {**common, "cat": cats, "constant_pad_nd": pads}
        assert selected(counts, *names) == expected
        assert counts["_local_scalar_dense"] == 1  # the one read of the device
    for cats, pads in ((4 + 9 + 9, 18), (4 + 18 + 18, 0)):
        counts = count_operators(lambda: depth.encode(pixels))
        expected = {**common, "cat": cats, "constant_pad_nd": pads}
        assert selected(counts, *names) == expected


def test_the_full_autoencoder_serves_both_streams_from_one_memory() -> None:
    wan = WanVae(8)
    seed_vae(wan, 3)
    encoder = ContextEncoder(wan)
    encoder.encode(frames(0))
    wan.decode(torch.zeros(1, 3, 16, 4, 2))
    got = encoder.encode(frames(1))
    # The second chunk's inactive stream continues from the reactive pixels of the first.
    memory = wan.new_encoder_memory()
    wan.clear()
    wan.encode(frames(0), memory)
    wan.decode(torch.zeros(1, 3, 16, 4, 2))
    inactive = wan.encode(torch.zeros(1, 3, 12, 32, 16), memory)
    reactive = wan.encode(frames(1), memory)
    expected = torch.cat([inactive, reactive], dim=2)[0].transpose(0, 1)
    torch.testing.assert_close(got[:32], expected)
