"""Seeded random weights for both autoencoders, scaled so that values keep a natural size.

A benchmark on zeros or NaNs is faster than one on data, so: latents around unit size, decoded
pixels spread inside their range, nothing that grows over a long stream.
"""

import math
import zlib

import torch
from torch import Tensor

from harness.workload.autoencoder import MemoryBlock, Tae
from harness.workload.wan_vae import WanVae

BIAS_STD = 0.05
GAIN_STD = 0.1
RELU_GAIN = math.sqrt(2.0)  # a ReLU halves the mean square
BRANCH_GAIN = 0.5  # of the last layer of a residual branch, so that nine of them add up gently
TAE_LATENT_GAIN = 10.0
TAE_PIXEL_GAIN, TAE_PIXEL_CENTRE = 0.7, 0.5
WAN_LATENT_GAIN = 3.0
WAN_PIXEL_GAIN = 0.7


def seed_vae(vae: Tae | WanVae, seed: int) -> None:
    """Fills all weights in place, on their device; the same seed and kind of device, same bits."""
    gains = _tae_gains(vae) if isinstance(vae, Tae) else _wan_gains(vae)
    for name, parameter in vae.named_parameters():
        generator = torch.Generator(parameter.device)
        # 32 bits: the CPU's generator ignores the rest of a seed.
        generator.manual_seed(zlib.crc32(f"{seed}.{name}".encode()))
        _fill(name, parameter, gains.get(name, 1.0), generator)
    if isinstance(vae, Tae):
        last = vae.decoder[-1].bias
        assert isinstance(last, Tensor)
        last.fill_(TAE_PIXEL_CENTRE)


@torch.no_grad()
def _fill(name: str, parameter: Tensor, gain: float, generator: torch.Generator) -> None:
    if name.endswith("gamma"):
        parameter.normal_(1.0, GAIN_STD, generator=generator)
    elif name.endswith("bias"):
        parameter.normal_(0.0, BIAS_STD, generator=generator)
    else:
        fan_in = math.prod(parameter.shape[1:])
        parameter.normal_(0.0, gain / math.sqrt(fan_in), generator=generator)
        # Activations after a ReLU share a positive mean; rows that sum to 0 do not pass it on.
        parameter -= parameter.flatten(1).mean(1).view(-1, *(1,) * (parameter.dim() - 1))


def _tae_gains(vae: Tae) -> dict[str, float]:
    gains = {"encoder.0.weight": RELU_GAIN, "decoder.1.weight": RELU_GAIN}
    for name, layer in vae.named_modules():
        if isinstance(layer, MemoryBlock):
            gains |= {f"{name}.conv.{i}.weight": RELU_GAIN for i in (0, 2)}
            gains[f"{name}.conv.4.weight"] = BRANCH_GAIN
    gains["decoder.20.weight"] = RELU_GAIN
    gains["encoder.17.weight"] = TAE_LATENT_GAIN
    gains["decoder.22.weight"] = TAE_PIXEL_GAIN
    return gains


def _wan_gains(vae: WanVae) -> dict[str, float]:
    return {"conv1.weight": WAN_LATENT_GAIN, "decoder.head.2.weight": WAN_PIXEL_GAIN}
