"""harness.workload.vae: both autoencoders fulfil the protocol; a memory forgets."""

import pytest
import torch

from harness.workload.autoencoder import Tae
from harness.workload.vae import FrameMemory, Vae
from harness.workload.wan_vae import WanVae
from harness.workload.weights_vae import seed_vae


def test_a_cleared_memory_keeps_its_slots_and_nothing_in_them() -> None:
    memory = FrameMemory.empty(3)
    memory.slots[1] = torch.ones(1)
    memory.clear()
    assert memory.slots == [None, None, None]


@pytest.mark.parametrize("name", ["tae", "wanvae"])
def test_a_chunk_goes_through_either_autoencoder(name: str) -> None:
    built = Tae() if name == "tae" else WanVae(8)
    seed_vae(built, 0)
    vae: Vae = built
    assert vae.dtype == torch.float32
    memory = vae.new_encoder_memory()
    for frames in (9, 12):
        latent = vae.encode(torch.zeros(1, 3, 12, 16, 32), memory)
        assert latent.shape == (1, 3, 16, 2, 4)
        assert vae.decode(latent).shape == (1, frames, 3, 16, 32)
    vae.clear()
    assert vae.decode(latent).shape[1] == 9
