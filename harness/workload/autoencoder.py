"""TAE (taew2_1), the small autoencoder of the benchmark: 4x in time, 8x in space, 16 channels.

Frames are a batch [T,C,H,W]; time is seen only by the memory blocks, which read the frame before,
and by the pool and grow layers, which trade frames for channels. Baseline behaviour throughout:
each memory block keeps a clone of its last input frame even when nobody will read it.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.workload.parts import part
from harness.workload.vae import FrameMemory

LATENT_CHANNELS = 16
TIME_FACTOR = 4
MEMORY_BLOCKS = 9  # on either side
WARMUP_FRAMES = TIME_FACTOR - 1  # of the first latent frame only the last pixel frame counts


def _conv(channels_in: int, channels_out: int, *, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=bias)


class MemoryBlock(nn.Module):
    """A residual block in which every frame also sees the block's input one frame earlier."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            _conv(2 * channels, channels),
            nn.ReLU(),
            _conv(channels, channels),
            nn.ReLU(),
            _conv(channels, channels),
        )

    def forward(self, x: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        """x [T,C,H,W], past [1,C,H,W] or None for zeros -> output [T,C,H,W], the next past."""
        last = x[-1:].clone()
        clip = x[None]  # [1,T,C,H,W]
        if past is None:
            earlier = F.pad(clip, (0, 0, 0, 0, 0, 0, 1, 0))[:, :-1]
        else:
            # In five dimensions, as the baseline does it: CUDA then copies plainly.
            earlier = torch.cat([past[None], clip[:, :-1]], dim=1)
        h: Tensor = self.conv(torch.cat([x, earlier[0]], dim=1))
        return F.relu(h + x), last


class Pool(nn.Module):
    """`stride` consecutive frames become one; the earlier frame's channels come first."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(channels * stride, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[T,C,H,W] -> [T/stride,C,H,W]."""
        frames, channels, height, width = x.shape
        joined = x.reshape(frames // self.stride, self.stride * channels, height, width)
        pooled: Tensor = self.conv(joined)
        return pooled


class Grow(nn.Module):
    """Each frame becomes `stride` consecutive frames; the first channels are the earliest frame."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(channels, channels * stride, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[T,C,H,W] -> [T*stride,C,H,W]."""
        grown: Tensor = self.conv(x)
        frames, channels, height, width = grown.shape
        return grown.reshape(frames * self.stride, channels // self.stride, height, width)


class SoftClamp(nn.Module):
    """Bends latents into (-3, 3)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return torch.tanh(x / 3) * 3


def _memory_blocks(channels: int) -> list[nn.Module]:
    return [MemoryBlock(channels) for _ in range(3)]


def _encoder() -> nn.Sequential:
    """The checkpoint's keys are the positions in this sequence."""
    return nn.Sequential(
        _conv(3, 64),
        nn.ReLU(),
        Pool(64, 2),
        _conv(64, 64, stride=2, bias=False),
        *_memory_blocks(64),
        Pool(64, 2),
        _conv(64, 64, stride=2, bias=False),
        *_memory_blocks(64),
        Pool(64, 1),
        _conv(64, 64, stride=2, bias=False),
        *_memory_blocks(64),
        _conv(64, LATENT_CHANNELS),
    )


def _decoder() -> nn.Sequential:
    """The checkpoint's keys are the positions in this sequence."""
    return nn.Sequential(
        SoftClamp(),
        _conv(LATENT_CHANNELS, 256),
        nn.ReLU(),
        *_memory_blocks(256),
        nn.Upsample(scale_factor=2),
        Grow(256, 1),
        _conv(256, 128, bias=False),
        *_memory_blocks(128),
        nn.Upsample(scale_factor=2),
        Grow(128, 2),
        _conv(128, 64, bias=False),
        *_memory_blocks(64),
        nn.Upsample(scale_factor=2),
        Grow(64, 2),
        _conv(64, 64, bias=False),
        nn.ReLU(),
        _conv(64, 3),
    )


def _to_pixel_range(x: Tensor) -> Tensor:
    """[T,3,H,W] around [0,1] -> [1,T,3,H,W] in [-1,1]."""
    return (x.clamp(0, 1) * 2 - 1).clamp(-1, 1)[None]


class Tae(nn.Module):
    """The autoencoder with its decoder stream; encoder streams bring their own memory."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _encoder()
        self.decoder = _decoder()
        self.decoder_memory = FrameMemory.empty(MEMORY_BLOCKS)
        self._first_decode = True
        self.requires_grad_(False)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights, and of the pixels and latents that go in."""
        return next(self.parameters()).dtype

    def new_encoder_memory(self) -> FrameMemory:
        """A memory of its own for one encoded stream."""
        return FrameMemory.empty(MEMORY_BLOCKS)

    def encode(self, pixels: Tensor, memory: FrameMemory | None) -> Tensor:
        """[1,3,T,H,W] in [-1,1] -> [1,ceil(T/4),16,h,w]; no memory: the chunk stands alone."""
        frames = (pixels[0].transpose(0, 1) + 1) / 2  # [T,3,H,W]
        missing = -frames.shape[0] % TIME_FACTOR
        if missing:
            frames = torch.cat([frames, frames[-1:].expand(missing, -1, -1, -1)])
        return self.run_layers(self.encoder, frames, memory)[None]

    @part("vae")
    def decode(self, latent: Tensor) -> Tensor:
        """[1,F,16,h,w] -> [1,4F,3,H,W] in [-1,1], three frames fewer on the first call."""
        if not self._first_decode:
            return _to_pixel_range(self.run_layers(self.decoder, latent[0], self.decoder_memory))
        self._first_decode = False
        parts = [part for part in (latent[0, :1], latent[0, 1:]) if len(part)]
        memory = self.decoder_memory
        frames = torch.cat([self.run_layers(self.decoder, part, memory) for part in parts])
        return _to_pixel_range(frames[WARMUP_FRAMES:])

    def decode_batch(self, latent: Tensor) -> Tensor:
        """[1,F,16,h,w] -> [1,4F-3,3,H,W] in [-1,1], from zeros and without touching the stream."""
        return _to_pixel_range(self.run_layers(self.decoder, latent[0], None)[WARMUP_FRAMES:])

    def run_layers(self, layers: nn.Sequential, x: Tensor, memory: FrameMemory | None) -> Tensor:
        """Frames [T,C,H,W] through all layers; reads and refills the memory where one is given."""
        slot = 0
        for layer in layers:
            if isinstance(layer, MemoryBlock):
                x, last = layer(x, None if memory is None else memory.slots[slot])
                if memory is not None:
                    memory.slots[slot] = last
                slot += 1
            else:
                x = layer(x)
        return x

    def clear(self) -> None:
        """A hard cut: the next decode begins a stream. Encoder memories given out stay."""
        self.decoder_memory.clear()
        self._first_decode = True


def adapt_tae_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published checkpoint made to fit: of a Grow weight with more rows the last ones count."""
    with torch.device("meta"):
        expected = {
            f"{name}.weight": layer.weight.shape[0]
            for name, layer in Tae().named_modules()
            if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1)
        }
    grow_rows = {key: rows for key, rows in expected.items() if key.startswith("decoder.")}
    return {
        key: value[-grow_rows[key] :] if key in grow_rows else value for key, value in state.items()
    }
