"""Control frames that come as single images: the list form of the input.

The benchmark feeds whole clips as tensors, which need none of this; the golden files cover it.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def stack_images(
    images: Sequence[Tensor], *, height: int, width: int, frames: int, dtype: torch.dtype
) -> Tensor:
    """uint8 images [1,H,W,C] of any size and number -> [1,C,frames,height,width] in [-1,1]."""
    resized = [_resize(image.permute(0, 3, 1, 2), height, width) for image in images]
    clip = torch.stack(resized, dim=2).to(dtype) / 255 * 2 - 1
    return resample_time(clip, frames)


def resample_time(clip: Tensor, frames: int) -> Tensor:
    """[1,C,T,H,W] -> [1,C,frames,H,W] by the nearest of evenly spaced positions."""
    positions = torch.linspace(0, clip.shape[2] - 1, frames).round().long()
    return clip[:, :, positions]


def _resize(image: Tensor, height: int, width: int) -> Tensor:
    """uint8 [1,C,H,W] -> float32 [1,C,height,width]; unchanged where the size fits."""
    image = image.float()
    if image.shape[2:] == (height, width):
        return image
    return F.interpolate(image, (height, width), mode="bilinear", align_corners=False)
