"""harness.workload.autoencoder: the published keys, streaming, and what one run costs.

Its golden file is checked in test_conformance_vae.
"""

import pytest
import torch
from torch import Tensor

from harness.workload.autoencoder import Tae, adapt_tae_state
from harness.workload.weights_vae import seed_vae
from tests.workload.operators import count_operators, selected

TOLERANCE = 1e-5


@pytest.fixture
def vae() -> Tae:
    tae = Tae()
    seed_vae(tae, 3)
    return tae


def clip(frames: int, *, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, frames, 32, 16, generator=generator) * 2 - 1


def latents(frames: int) -> Tensor:
    return torch.randn(1, frames, 16, 4, 2, generator=torch.Generator().manual_seed(0))


def test_the_checkpoint_has_128_tensors_with_the_published_names(vae: Tae) -> None:
    shapes = {key: tuple(value.shape) for key, value in vae.state_dict().items()}
    assert len(shapes) == 128
    assert sum(parameter.numel() for parameter in vae.parameters()) == 11_315_539
    assert shapes["encoder.2.conv.weight"] == (64, 128, 1, 1)
    assert shapes["encoder.3.weight"] == (64, 64, 3, 3) and "encoder.3.bias" not in shapes
    assert shapes["encoder.4.conv.0.weight"] == (64, 128, 3, 3)
    assert shapes["encoder.16.conv.4.bias"] == (64,)
    assert shapes["encoder.17.weight"] == (16, 64, 3, 3)
    assert shapes["decoder.1.weight"] == (256, 16, 3, 3)
    assert shapes["decoder.7.conv.weight"] == (256, 256, 1, 1)
    assert shapes["decoder.13.conv.weight"] == (256, 128, 1, 1)
    assert shapes["decoder.19.conv.weight"] == (128, 64, 1, 1)
    assert shapes["decoder.22.bias"] == (3,)


def test_a_grow_weight_with_more_rows_keeps_its_last_ones(vae: Tae) -> None:
    published = dict(vae.state_dict())
    fitting = published["decoder.7.conv.weight"]
    published["decoder.7.conv.weight"] = torch.cat([torch.full_like(fitting, 9.0), fitting])
    adapted = adapt_tae_state(published)
    assert torch.equal(adapted["decoder.7.conv.weight"], fitting)
    Tae().load_state_dict(adapted)


def test_encoding_by_chunk_equals_encoding_at_once(vae: Tae) -> None:
    pixels = clip(36)
    memory = vae.new_encoder_memory()
    chunks = [vae.encode(chunk, memory) for chunk in torch.split(pixels, 12, dim=2)]
    whole = vae.encode(pixels, None)
    torch.testing.assert_close(torch.cat(chunks, dim=1), whole, atol=TOLERANCE, rtol=0)
    alone = vae.encode(pixels[:, :, 12:24], None)
    assert (chunks[1] - alone).abs().max() > 1e-3  # the memory matters


def test_decoding_by_chunk_equals_decoding_at_once(vae: Tae) -> None:
    latent = latents(9)
    chunks = [vae.decode(chunk) for chunk in torch.split(latent, 3, dim=1)]
    assert [chunk.shape[1] for chunk in chunks] == [9, 12, 12]
    whole = vae.decode_batch(latent)
    torch.testing.assert_close(torch.cat(chunks, dim=1), whole, atol=TOLERANCE, rtol=0)


def test_streams_do_not_mix(vae: Tae) -> None:
    alone = vae.new_encoder_memory()
    expected = [vae.encode(clip(12, seed=seed), alone) for seed in (0, 1)]
    memory, other = vae.new_encoder_memory(), vae.new_encoder_memory()
    first = vae.encode(clip(12, seed=0), memory)
    vae.encode(clip(12, seed=5), other)
    vae.encode(clip(12, seed=6), None)
    vae.decode(latents(3))
    vae.clear()
    assert torch.equal(first, expected[0])
    assert torch.equal(vae.encode(clip(12, seed=1), memory), expected[1])


def test_a_clear_begins_the_decoded_stream_again(vae: Tae) -> None:
    first = vae.decode(latents(3))
    vae.decode(latents(3))
    vae.clear()
    assert torch.equal(vae.decode(latents(3)), first)


def test_thirteen_frames_are_padded_with_the_last_one(vae: Tae) -> None:
    pixels = clip(13)
    repeated = torch.cat([pixels, *[pixels[:, :, -1:]] * 3], dim=2)
    got = vae.encode(pixels, None)
    assert got.shape == (1, 4, 16, 4, 2)
    assert torch.equal(got, vae.encode(repeated, None))


def test_a_single_latent_frame_decodes_to_a_single_frame_at_first(vae: Tae) -> None:
    assert vae.decode(latents(1)).shape == (1, 1, 3, 32, 16)


def test_operators_of_an_encode(vae: Tae) -> None:
    memory = vae.new_encoder_memory()
    names = ("convolution", "cat", "constant_pad_nd", "clone", "mul", "_to_copy", "copy_")
    from_zeros = {"convolution": 35, "cat": 9, "constant_pad_nd": 9, "clone": 9}
    streaming = {"convolution": 35, "cat": 18, "constant_pad_nd": 0, "clone": 9}
    none = {"mul": 0, "_to_copy": 0, "copy_": 0}
    vae.to(torch.bfloat16)
    pixels = clip(12).to(torch.bfloat16)
    for expected, held in ((from_zeros, memory), (streaming, memory), (from_zeros, None)):
        counts = count_operators(lambda held=held: vae.encode(pixels, held))
        assert selected(counts, *names) == {**expected, **none}


def test_operators_of_a_decode(vae: Tae) -> None:
    vae.to(torch.bfloat16)
    names = ("convolution", "cat", "constant_pad_nd", "clone", "mul", "_to_copy", "copy_")
    none = {"_to_copy": 0, "copy_": 0}
    latent = latents(3).to(torch.bfloat16)
    first = selected(count_operators(lambda: vae.decode(latent)), *names)
    # Two runs: 9 concatenations from zeros, 18 with the memory, and the join.
    assert first == {
        **{"convolution": 70, "cat": 28, "constant_pad_nd": 9, "clone": 18, "mul": 3},
        **none,
    }
    later = selected(count_operators(lambda: vae.decode(latent)), *names)
    assert later == {
        **{"convolution": 35, "cat": 18, "constant_pad_nd": 0, "clone": 9, "mul": 2},
        **none,
    }
