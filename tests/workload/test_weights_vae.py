"""harness.workload.weights_vae: data that looks like data, for as long as a stream runs."""

from collections.abc import Callable

import pytest
import torch

from harness.presets import CPU_ATTENTION, PRESETS, WorkloadConfig
from harness.workload.autoencoder import Tae
from harness.workload.inputs import generated_clip
from harness.workload.wan_vae import WanVae
from harness.workload.weights_vae import seed_vae

CHUNKS = 20
CONFIG = WorkloadConfig(
    model=PRESETS["tiny"].model,
    height_px=48,
    width_px=48,
    dtype="bfloat16",
    attention=CPU_ATTENTION,
)


@pytest.mark.parametrize("seed", [42, 7])
@pytest.mark.parametrize("make", [Tae, lambda: WanVae(8)], ids=["tae", "wanvae"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_values_keep_a_natural_size(
    make: Callable[[], Tae | WanVae], seed: int, dtype: str
) -> None:
    vae = make()
    seed_vae(vae, seed)
    vae.to(getattr(torch, dtype))
    clip = generated_clip(CONFIG, "inpainting", device=torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    memory = vae.new_encoder_memory()
    for chunk in range(CHUNKS if dtype == "bfloat16" else 3):
        frames, _ = clip.chunk(chunk)
        with torch.inference_mode():
            latent = vae.encode(frames.to(vae.dtype), memory)
            noise = torch.randn(latent.shape, generator=generator).to(vae.dtype)
            video = vae.decode(noise).float() / 2 + 0.5
        assert 0.2 < latent.float().std() < 2.0
        assert latent.float().abs().max() < 12
        assert 0.08 < video.std(dim=(-2, -1)).mean() < 0.3  # within each frame and channel
        assert 0.35 < video.mean() < 0.65
        assert ((video == 0) | (video == 1)).float().mean() < 0.05


def test_the_seed_decides_every_weight() -> None:
    def weights(seed: int) -> dict[str, torch.Tensor]:
        vae = Tae()
        seed_vae(vae, seed)
        return vae.state_dict()

    first, same, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(first[key], same[key]) for key in first)
    alike = [key for key in first if torch.equal(first[key], other[key])]
    assert alike == ["decoder.22.bias"]  # the centre of the pixel range
