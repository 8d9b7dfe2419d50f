"""A generated moving scene: a drifting textured background, shaded discs in front, a moving mask.

All motion is periodic over the clip, so that a clip played in a loop has no jump. The seed alone
decides what is drawn; it is drawn on the CPU.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

DISCS = 6
TEXTURE_CELLS = (5, 11, 29)  # periods of the background's noise across the frame, coarse to fine
AMBIENT = 0.25
LIGHT = (-0.45, -0.55, 0.7)  # towards the light: x, y, z
MASK_RADIUS = 0.3  # over the frame's shorter side
MASK_SOFTNESS = 0.35  # width of the edge over the radius


@dataclass(frozen=True)
class _Patch:
    """The part of a frame that one disc touches."""

    rows: slice
    columns: slice
    cover: Tensor  # [h,w] in [0,1], soft over one pixel at the rim
    normal: Tensor  # [3,h,w], x y z


class Scene:
    """Draws the same scene as video, as its depth map, and as the mask that moves over it."""

    def __init__(self, *, height: int, width: int, frames: int, seed: int) -> None:
        self._height, self._width, self._frames = height, width, frames
        generator = torch.Generator().manual_seed(seed)
        self._texture = _periodic_noise(generator, height, width)  # [3,H,W] in [0,1]
        self._colours = 0.3 + 0.7 * torch.rand(DISCS, 3, generator=generator)
        self._radii = (0.08 + 0.12 * torch.rand(DISCS, generator=generator)) * min(height, width)
        self._centres = self._paths(generator, DISCS)
        self._mask_centre = self._paths(generator, 1)[0]

    def video(self) -> Tensor:
        """uint8 [T,3,H,W]."""
        light = torch.tensor(LIGHT).view(3, 1, 1)
        light = light / light.norm()
        frames = []
        for t in range(self._frames):
            canvas = 0.15 + 0.6 * self._background(t)
            for disc in range(DISCS):  # far to near
                patch = self._patch(disc, t)
                shade = AMBIENT + (1 - AMBIENT) * (patch.normal * light).sum(0).clamp(min=0)
                colour = self._colours[disc].view(3, 1, 1) * shade
                _blend(canvas[:, patch.rows, patch.columns], colour, patch.cover)
            frames.append(_to_u8(canvas))
        return torch.stack(frames)

    def depth(self) -> Tensor:
        """uint8 [T,1,H,W]; near is bright."""
        ground = torch.linspace(0.1, 0.45, self._height).view(1, -1, 1)
        frames = []
        for t in range(self._frames):
            canvas = ground + 0.12 * self._background(t).mean(0, keepdim=True)
            for disc in range(DISCS):  # far to near
                patch = self._patch(disc, t)
                near = 0.5 + 0.35 * disc / (DISCS - 1) + 0.12 * patch.normal[2:]
                _blend(canvas[:, patch.rows, patch.columns], near, patch.cover)
            frames.append(_to_u8(canvas))
        return torch.stack(frames)

    def mask(self) -> Tensor:
        """uint8 [T,1,H,W]: 255 inside a moving ellipse, 0 outside, in between at its edge."""
        rows = torch.arange(self._height).view(1, 1, -1, 1)
        columns = torch.arange(self._width).view(1, 1, 1, -1)
        centre = self._mask_centre.view(-1, 2, 1, 1, 1)  # [T,(y,x),1,1,1]
        radius = MASK_RADIUS * min(self._height, self._width)
        squared = ((rows - centre[:, 0]) / radius) ** 2 + ((columns - centre[:, 1]) / radius) ** 2
        return _to_u8(0.5 + (1 - squared.sqrt()) / MASK_SOFTNESS)

    def _paths(self, generator: torch.Generator, count: int) -> Tensor:
        """Closed curves around the middle of the frame: [count,T,2] as (y, x) in pixels."""
        turns = torch.arange(self._frames).view(1, -1, 1) / self._frames
        cycles = torch.randint(1, 3, (count, 1, 2), generator=generator)
        phase = torch.rand(count, 1, 2, generator=generator)
        reach = 0.25 + 0.15 * torch.rand(count, 1, 2, generator=generator)
        swing = torch.sin(2 * math.pi * (cycles * turns + phase))
        return (0.5 + reach * swing) * torch.tensor([self._height, self._width])

    def _background(self, t: int) -> Tensor:
        """[3,H,W] in [0,1]: the texture, drifted once across the frame in the whole clip."""
        down, right = self._height * t // self._frames, self._width * t // self._frames
        return torch.roll(self._texture, (down, -right), (1, 2))

    def _patch(self, disc: int, t: int) -> _Patch:
        radius = float(self._radii[disc])
        y, x = self._centres[disc, t].tolist()
        top, left = max(int(y - radius) - 1, 0), max(int(x - radius) - 1, 0)
        bottom, right = (
            min(int(y + radius) + 2, self._height),
            min(int(x + radius) + 2, self._width),
        )
        dy = (torch.arange(top, bottom).view(-1, 1) - y) / radius
        dx = (torch.arange(left, right).view(1, -1) - x) / radius
        squared = dy**2 + dx**2
        height = (1 - squared).clamp(min=0).sqrt()  # of the sphere over the picture
        normal = torch.stack([dx.expand_as(squared), dy.expand_as(squared), height])
        cover = ((1 - squared.sqrt()) * radius + 0.5).clamp(0, 1)
        return _Patch(slice(top, bottom), slice(left, right), cover, normal)


def _periodic_noise(generator: torch.Generator, height: int, width: int) -> Tensor:
    """[3,H,W] in [0,1]: three octaves of smooth noise that continue across the frame's border."""
    total = torch.zeros(3, height, width)
    for octave, cells in enumerate(TEXTURE_CELLS):
        tile = torch.rand(1, 3, cells, cells, generator=generator)
        tile = F.pad(tile, (0, 1, 0, 1), mode="circular")
        smooth = F.interpolate(
            tile, (height + 1, width + 1), mode="bilinear", align_corners=True
        )  # the last row and column repeat the first
        total += smooth[0, :, :height, :width] / 2**octave
    low, high = total.amin(), total.amax()
    return (total - low) / (high - low)


def _blend(under: Tensor, over: Tensor, cover: Tensor) -> None:
    """Paints `over` in place where `cover` is 1."""
    under += cover * (over - under)


def _to_u8(values: Tensor) -> Tensor:
    return (values.clamp(0, 1) * 255).round().to(torch.uint8)
