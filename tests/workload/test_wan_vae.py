"""harness.workload.wan_vae: the published keys, streaming, and what one run costs.

Its golden file is checked in test_conformance_vae.
"""

import pytest
import torch
from torch import Tensor

from harness.workload.wan_vae import WanVae
from harness.workload.weights_vae import seed_vae
from tests.workload.operators import count_operators

TOLERANCE = 2e-5


@pytest.fixture
def vae() -> WanVae:
    wan = WanVae(8)
    seed_vae(wan, 3)
    return wan


def clip(frames: int, *, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, frames, 32, 16, generator=generator) * 2 - 1


def latents(frames: int) -> Tensor:
    return torch.randn(1, frames, 16, 4, 2, generator=torch.Generator().manual_seed(0))


def test_the_checkpoint_has_194_tensors_with_the_published_names() -> None:
    with torch.device("meta"):
        vae = WanVae()
    shapes = {key: tuple(value.shape) for key, value in vae.state_dict().items()}
    assert len(shapes) == 194
    assert sum(parameter.numel() for parameter in vae.parameters()) == 126_892_531
    assert shapes["encoder.conv1.weight"] == (96, 3, 3, 3, 3)
    assert shapes["encoder.downsamples.0.residual.0.gamma"] == (96, 1, 1, 1)
    assert shapes["encoder.downsamples.2.resample.1.weight"] == (96, 96, 3, 3)
    assert shapes["encoder.downsamples.3.shortcut.weight"] == (192, 96, 1, 1, 1)
    assert shapes["encoder.downsamples.5.time_conv.weight"] == (192, 192, 3, 1, 1)
    assert shapes["encoder.middle.1.norm.gamma"] == (384, 1, 1)
    assert shapes["encoder.middle.1.to_qkv.weight"] == (1152, 384, 1, 1)
    assert shapes["encoder.head.2.weight"] == (32, 384, 3, 3, 3)
    assert shapes["conv1.weight"] == (32, 32, 1, 1, 1)
    assert shapes["decoder.upsamples.3.time_conv.weight"] == (768, 384, 3, 1, 1)
    assert shapes["decoder.upsamples.4.shortcut.weight"] == (384, 192, 1, 1, 1)
    assert shapes["decoder.upsamples.11.resample.1.weight"] == (96, 192, 3, 3)
    assert shapes["decoder.head.2.weight"] == (3, 96, 3, 3, 3)


def test_encoding_by_chunk_equals_encoding_at_once(vae: WanVae) -> None:
    pixels = clip(25)
    memory = vae.new_encoder_memory()
    first = vae.encode(pixels[:, :, :13], memory)
    vae.decode(first)
    later = vae.encode(pixels[:, :, 13:], memory)
    whole = vae.encode(pixels, None)
    torch.testing.assert_close(torch.cat([first, later], dim=1), whole, atol=TOLERANCE, rtol=0)


def test_decoding_by_frame_equals_decoding_at_once(vae: WanVae) -> None:
    latent = latents(4)
    by_frame = [vae.decode(latent[:, f : f + 1]) for f in range(4)]
    assert [clip.shape[1] for clip in by_frame] == [1, 4, 4, 4]
    vae.clear()
    at_once = vae.decode(latent)
    torch.testing.assert_close(torch.cat(by_frame, dim=1), at_once, atol=TOLERANCE, rtol=0)


def test_a_clear_begins_the_decoded_stream_again(vae: WanVae) -> None:
    first = vae.decode(latents(3))
    assert first.shape == (1, 9, 3, 32, 16) and first.dtype == torch.float32
    assert vae.decode(latents(3)).shape[1] == 12
    vae.clear()
    assert torch.equal(vae.decode(latents(3)), first)


def test_every_encode_before_the_first_decode_begins_a_stream(vae: WanVae) -> None:
    memory = vae.new_encoder_memory()
    first = vae.encode(clip(12), memory)
    assert first.shape == (1, 3, 16, 4, 2)
    assert torch.equal(vae.encode(clip(12), memory), first)
    vae.decode(first)
    assert not torch.equal(vae.encode(clip(12), memory), first)


def test_a_batch_encode_drops_frames_and_leaves_the_stream_alone(vae: WanVae) -> None:
    memory = vae.new_encoder_memory()
    assert memory is vae.new_encoder_memory()
    vae.encode(clip(12), memory)
    before = [None if slot is None else slot.clone() for slot in memory.slots]
    nine = vae.encode(clip(12)[:, :, :9], None)
    assert torch.equal(vae.encode(clip(12), None), nine)
    for old, new in zip(before, memory.slots, strict=True):
        assert (old is None and new is None) or torch.equal(old, new)


def test_convolutions_of_a_chunk(vae: WanVae) -> None:
    memory = vae.new_encoder_memory()
    vae.decode(vae.encode(clip(12), memory))
    assert count_operators(lambda: vae.encode(clip(12), memory))["convolution"] == 94
    assert count_operators(lambda: vae.decode(latents(3)))["convolution"] == 115


def test_bfloat16_stays_close_to_float32(vae: WanVae) -> None:
    latent = vae.encode(clip(12), vae.new_encoder_memory())
    video = vae.decode(latent)
    half = WanVae(8)
    half.load_state_dict(vae.state_dict())
    half.to(torch.bfloat16)
    got = half.encode(clip(12).to(torch.bfloat16), half.new_encoder_memory())
    assert got.dtype == torch.bfloat16
    assert (got - latent).abs().mean() < 0.03
    decoded = half.decode(latent.to(torch.bfloat16))
    assert decoded.dtype == torch.float32
    assert (decoded - video).abs().mean() < 0.02
