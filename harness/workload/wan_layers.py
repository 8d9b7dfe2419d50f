"""Layers of the WanVAE: causal convolutions, residual blocks, attention, and changes of size.

Clips are [1,C,T,H,W]. Every layer that looks back in time owns one slot of a FrameMemory, in order
of execution: a convolution keeps its last two input frames, a downsampling step the last one.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.workload.vae import FrameMemory

KEPT_FRAMES = 2  # of the input of a convolution over three frames


class SlotCursor:
    """Walks over a memory's slots in one pass through the layers."""

    def __init__(self, memory: FrameMemory) -> None:
        self._memory = memory
        self._next = 0

    def swap(self, kept: Tensor) -> None:
        """Fills the current slot and moves on to the next."""
        self._memory.slots[self._next] = kept
        self._next += 1

    @property
    def current(self) -> Tensor | None:
        """What the current slot holds."""
        return self._memory.slots[self._next]


class CausalConv3d(nn.Conv3d):
    """Pads time on the left only; frames of the past take the place of zeros."""

    def __init__(self, channels_in: int, channels_out: int, kernel: tuple[int, int, int]) -> None:
        super().__init__(channels_in, channels_out, kernel)
        time, height, width = kernel
        self.look_back = time - 1  # frames
        self._sides = (width // 2, width // 2, height // 2, height // 2)

    def forward(self, x: Tensor, past: Tensor | None = None) -> Tensor:
        """x [1,C,T,H,W], past [1,C,0..2,H,W] -> [1,C',T,H,W]."""
        zeros = self.look_back
        if past is not None and past.shape[2]:
            x = torch.cat([past, x], dim=2)
            zeros -= past.shape[2]
        return super().forward(F.pad(x, (*self._sides, zeros, 0)))


def conv3(channels_in: int, channels_out: int) -> CausalConv3d:
    """Over three frames, 3x3."""
    return CausalConv3d(channels_in, channels_out, (3, 3, 3))


def conv1(channels_in: int, channels_out: int) -> CausalConv3d:
    """A linear map of the channels."""
    return CausalConv3d(channels_in, channels_out, (1, 1, 1))


def _last_frames(x: Tensor, past: Tensor | None) -> Tensor:
    """What a slot keeps after x: its last two frames, the first from the past if x is short."""
    kept = x[:, :, -KEPT_FRAMES:].clone()
    if kept.shape[2] < KEPT_FRAMES and past is not None and past.shape[2]:
        kept = torch.cat([past[:, :, -1:], kept], dim=2)
    return kept


class ChannelNorm(nn.Module):
    """Unit length over the channels, times sqrt(C) and a learned gain."""

    def __init__(self, channels: int, trailing_dims: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels, *(1,) * trailing_dims))

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,...], any trailing shape."""
        scale: float = self.gamma.shape[0] ** 0.5
        return F.normalize(x, dim=1) * scale * self.gamma


class ResidualBlock(nn.Module):
    """Two normalised convolutions beside a shortcut."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            ChannelNorm(channels_in, 3),
            nn.SiLU(),
            conv3(channels_in, channels_out),
            ChannelNorm(channels_out, 3),
            nn.SiLU(),
            nn.Identity(),  # the checkpoint numbers a dropout here
            conv3(channels_out, channels_out),
        )
        widths_differ = channels_in != channels_out
        self.shortcut = conv1(channels_in, channels_out) if widths_differ else nn.Identity()

    def forward(self, x: Tensor, slots: SlotCursor) -> Tensor:
        """[1,C,T,H,W] -> [1,C',T,H,W]."""
        shortcut: Tensor = self.shortcut(x)
        return walk(self.residual, x, slots) + shortcut


class FrameAttention(nn.Module):
    """Self-attention over the pixels of each frame, one head."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels, 2)
        self.to_qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[1,C,T,H,W], shape unchanged; nothing is remembered."""
        frames = x[0].transpose(0, 1)  # [T,C,H,W]
        count, channels, height, width = frames.shape
        qkv = self.to_qkv(self.norm(frames)).flatten(2).transpose(1, 2)  # [T,HW,3C]
        q, k, v = (part.contiguous()[:, None] for part in qkv.chunk(3, dim=2))  # [T,1,HW,C]
        attended = F.scaled_dot_product_attention(q, k, v)[:, 0].transpose(1, 2)
        out: Tensor = self.proj(attended.reshape(count, channels, height, width))
        return x + out.transpose(0, 1)[None]


class _NearestUpsample(nn.Upsample):
    """Doubles height and width in float32."""

    def __init__(self) -> None:
        super().__init__(scale_factor=2.0, mode="nearest-exact")

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float()).to(x.dtype)


def _per_frame(layers: nn.Module, x: Tensor) -> Tensor:
    """Two-dimensional layers applied to each frame of [1,C,T,H,W]."""
    y: Tensor = layers(x[0].transpose(0, 1))
    return y.transpose(0, 1)[None]


class Downsample(nn.Module):
    """Halves height and width; with `over_time` also the frames, except the very first one."""

    def __init__(self, channels: int, *, over_time: bool) -> None:
        super().__init__()
        self.resample = nn.Sequential(
            nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(channels, channels, 3, stride=2)
        )
        self.time_conv = (
            nn.Conv3d(channels, channels, (3, 1, 1), stride=(2, 1, 1)) if over_time else None
        )

    def forward(self, x: Tensor, slots: SlotCursor) -> Tensor:
        """[1,C,T,H,W] -> [1,C,T or T/2,H/2,W/2]."""
        x = _per_frame(self.resample, x)
        if self.time_conv is None:
            return x
        past = slots.current
        if past is None:
            slots.swap(x.clone())
            return x
        slots.swap(x[:, :, -1:].clone())
        y: Tensor = self.time_conv(torch.cat([past[:, :, -1:], x], dim=2))
        return y


class Upsample(nn.Module):
    """Doubles height and width and halves the channels; with `over_time` doubles the frames too."""

    def __init__(self, channels: int, *, over_time: bool) -> None:
        super().__init__()
        self.resample = nn.Sequential(
            _NearestUpsample(), nn.Conv2d(channels, channels // 2, 3, padding=1)
        )
        self.time_conv = CausalConv3d(channels, 2 * channels, (3, 1, 1)) if over_time else None

    def forward(self, x: Tensor, slots: SlotCursor) -> Tensor:
        """[1,C,T,H,W] -> [1,C/2,T or 2T,2H,2W]."""
        if self.time_conv is not None:
            x = self._double_frames(self.time_conv, x, slots)
        return _per_frame(self.resample, x)

    def _double_frames(self, time_conv: CausalConv3d, x: Tensor, slots: SlotCursor) -> Tensor:
        """The first call of a stream leaves x alone and is not seen by the later ones."""
        past = slots.current
        if past is None:
            slots.swap(x[:, :, :0])  # marks the slot: called once, no frames kept
            return x
        kept = _last_frames(x, past)
        if kept.shape[2] < KEPT_FRAMES:
            kept = torch.cat([torch.zeros_like(kept), kept], dim=2)
        slots.swap(kept)
        y = time_conv(x, past)  # [1,2C,T,H,W], the earlier frame's channels first
        early, late = y.chunk(2, dim=1)
        return torch.stack([early, late], dim=3).flatten(2, 3)


def walk(layers: Iterable[nn.Module], x: Tensor, slots: SlotCursor) -> Tensor:
    """[1,C,T,H,W] through layers in order; those that look back take their slots on the way."""
    for layer in layers:
        if isinstance(layer, CausalConv3d) and layer.look_back:
            past = slots.current
            slots.swap(_last_frames(x, past))
            x = layer(x, past)
        elif isinstance(layer, ResidualBlock | Downsample | Upsample):
            x = layer(x, slots)
        else:
            x = layer(x)
    return x
