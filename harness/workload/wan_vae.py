"""WanVAE, the full causal autoencoder: 4x in time, 8x in space, 16 normalised channels.

Baseline behaviour: one encoder memory serves all streams, and it is emptied before every streaming
encode until the first decode has run.
"""

import torch
from torch import Tensor, nn

from harness.workload.parts import part
from harness.workload.vae import FrameMemory
from harness.workload.wan_layers import (
    ChannelNorm,
    Downsample,
    FrameAttention,
    ResidualBlock,
    SlotCursor,
    Upsample,
    conv1,
    conv3,
    walk,
)

LATENT_CHANNELS = 16
TIME_FACTOR = 4
MULTIPLIERS = (1, 2, 4, 4)  # width of each level over the base width
LATENT_MEAN = (
    *(-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508),
    *(0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921),
)
LATENT_STD = (
    *(2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743),
    *(3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160),
)


def _middle(width: int) -> nn.Sequential:
    return nn.Sequential(
        ResidualBlock(width, width), FrameAttention(width), ResidualBlock(width, width)
    )


def _head(width: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(ChannelNorm(width, 3), nn.SiLU(), conv3(width, channels_out))


class Encoder(nn.Module):
    """Pixels [1,3,T,H,W] -> mean and log variance [1,32,F,h,w]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        a, b, c, d = (width * multiplier for multiplier in MULTIPLIERS)
        self.conv1 = conv3(3, a)
        self.downsamples = nn.Sequential(
            *(ResidualBlock(a, a), ResidualBlock(a, a), Downsample(a, over_time=False)),
            *(ResidualBlock(a, b), ResidualBlock(b, b), Downsample(b, over_time=True)),
            *(ResidualBlock(b, c), ResidualBlock(c, c), Downsample(c, over_time=True)),
            *(ResidualBlock(c, d), ResidualBlock(d, d)),
        )
        self.middle = _middle(d)
        self.head = _head(d, 2 * LATENT_CHANNELS)

    def forward(self, x: Tensor, memory: FrameMemory) -> Tensor:
        """One call of a stream, continued from the memory."""
        layers = [self.conv1, *self.downsamples, *self.middle, *self.head]
        return walk(layers, x, SlotCursor(memory))


class Decoder(nn.Module):
    """Latents [1,16,F,h,w] -> pixels [1,3,T,H,W]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        a, b, c, d = (width * multiplier for multiplier in MULTIPLIERS)
        self.conv1 = conv3(LATENT_CHANNELS, d)
        self.middle = _middle(d)
        self.upsamples = nn.Sequential(
            *(ResidualBlock(d, d) for _ in range(3)),
            Upsample(d, over_time=True),
            *(ResidualBlock(d // 2, c), ResidualBlock(c, c), ResidualBlock(c, c)),
            Upsample(c, over_time=True),
            *(ResidualBlock(b, b) for _ in range(3)),
            Upsample(b, over_time=False),
            *(ResidualBlock(a, a) for _ in range(3)),
        )
        self.head = _head(a, 3)

    def forward(self, z: Tensor, memory: FrameMemory) -> Tensor:
        """One call of a stream, continued from the memory."""
        layers = [self.conv1, *self.middle, *self.upsamples, *self.head]
        return walk(layers, z, SlotCursor(memory))


def _new_memory(coder: nn.Module) -> FrameMemory:
    """One slot for each convolution over three frames, the time steps among them."""
    convolutions = [layer for layer in coder.modules() if isinstance(layer, nn.Conv3d)]
    return FrameMemory.empty(sum(layer.kernel_size[0] > 1 for layer in convolutions))


def _first_then_rest(x: Tensor) -> list[Tensor]:
    """How a stream begins: frame 0 alone, then all others in one call."""
    return [part for part in (x[:, :, :1], x[:, :, 1:]) if part.shape[2]]


class WanVae(nn.Module):
    """The autoencoder with its decoder stream and its one encoder memory.

    Build it on the device itself, not on `meta`: the latent's mean and deviation are constants.
    """

    mean: Tensor
    inverse_std: Tensor

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.encoder = Encoder(width)
        self.conv1 = conv1(2 * LATENT_CHANNELS, 2 * LATENT_CHANNELS)
        self.conv2 = conv1(LATENT_CHANNELS, LATENT_CHANNELS)
        self.decoder = Decoder(width)
        per_channel = (1, LATENT_CHANNELS, 1, 1, 1)
        mean, std = torch.tensor(LATENT_MEAN), torch.tensor(LATENT_STD)
        self.register_buffer("mean", mean.view(per_channel), persistent=False)
        self.register_buffer("inverse_std", (1.0 / std).view(per_channel), persistent=False)
        self.encoder_memory = _new_memory(self.encoder)
        self.decoder_memory = _new_memory(self.decoder)
        self._before_first_decode = True
        self.requires_grad_(False)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights, and of the pixels and latents that go in."""
        return self.conv1.weight.dtype

    def new_encoder_memory(self) -> FrameMemory:
        """The one encoder memory, shared by all streams as in the baseline."""
        return self.encoder_memory

    def encode(self, pixels: Tensor, memory: FrameMemory | None) -> Tensor:
        """[1,3,T,H,W] in [-1,1] -> [1,F,16,h,w].

        Without a memory the chunk stands alone, and frames after the last whole group of 4 that
        follows frame 0 are dropped.
        """
        if memory is None:
            memory = _new_memory(self.encoder)
            whole = (pixels.shape[2] - 1) // TIME_FACTOR * TIME_FACTOR
            groups = [pixels[:, :, :1], *torch.split(pixels[:, :, 1 : 1 + whole], TIME_FACTOR, 2)]
        elif self._before_first_decode:
            memory.clear()
            groups = _first_then_rest(pixels)
        else:
            groups = list(torch.split(pixels, TIME_FACTOR, dim=2))
        moments = self.conv1(torch.cat([self.encoder(group, memory) for group in groups], dim=2))
        mean: Tensor = moments[:, :LATENT_CHANNELS]  # the log variance is not used
        return ((mean - self.mean) * self.inverse_std).transpose(1, 2)

    @part("vae")
    def decode(self, latent: Tensor) -> Tensor:
        """[1,F,16,h,w] -> [1,4F,3,H,W] in [-1,1], float32; three frames fewer on the first call.

        On a GPU the latent is taken as bfloat16, as the baseline forces it.
        """
        if latent.is_cuda:
            latent = latent.to(torch.bfloat16)
        z: Tensor = self.conv2(latent.transpose(1, 2) / self.inverse_std + self.mean)
        if self._before_first_decode:
            self._before_first_decode = False
            self.decoder_memory.clear()
            groups = _first_then_rest(z)
        else:
            groups = list(torch.split(z, 1, dim=2))
        clip = torch.cat([self.decoder(group, self.decoder_memory) for group in groups], dim=2)
        return clip.float().clamp_(-1, 1).transpose(1, 2)

    def clear(self) -> None:
        """A hard cut: the next decode begins a stream, and so does every encode before it."""
        self._before_first_decode = True
