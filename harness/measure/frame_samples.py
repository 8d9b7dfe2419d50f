"""The last frame of a chunk as a pipeline of a proof made it, small enough for a record.

Frames are averaged over areas, and so are their differences from the float32 run's, which are taken
at full resolution first: averaged frames would have lost the noise of single pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.record_parts import FrameSample

LONGEST_SIDE_PX = 128  # 512x512: means of 4x4 pixels
DECIMALS = 8


def frame_sample(arm: str | None, chunk: int, frames: Tensor, exact: Tensor) -> FrameSample:
    """Of an arm's and the float32 run's frames of a chunk; `arm` is None for that run's own.

    Both are [T, H, W, 3] in [0, 1], of any type and on any device.
    """
    picture, reference = _last(frames), _last(exact)
    small = _bytes(_averaged(picture))
    added = small if arm is None else small - _bytes(_averaged(reference))  # modulo 256
    off = _averaged((picture - reference).abs().mean(dim=0, keepdim=True))
    largest = min(float(off.max()), 1.0)  # a mean of ones may be rounded up
    return FrameSample(
        arm=arm,
        chunk=chunk,
        frame=frames.shape[0] - 1,
        width_px=small.shape[1],
        height_px=small.shape[0],
        rgb=_hex(added),
        difference=None if arm is None else _hex(_bytes(off / largest if largest else off)),
        largest_difference=round(largest, DECIMALS),
    )


def _last(frames: Tensor) -> Tensor:
    """[T, H, W, 3] -> [3, H, W], float32 on the CPU."""
    return frames[-1].detach().to("cpu", torch.float32).clamp(0, 1).permute(2, 0, 1)


def _averaged(picture: Tensor) -> Tensor:
    """[C, H, W] -> [C, H', W'] of the same shape of picture, as it is where that is small."""
    height, width = picture.shape[1:]
    share = min(1.0, LONGEST_SIDE_PX / max(height, width))
    size = [max(1, round(side * share)) for side in (height, width)]
    return F.interpolate(picture[None], size=size, mode="area")[0]


def _bytes(picture: Tensor) -> Tensor:
    """[C, H, W] in [0, 1] -> [H, W, C] of bytes."""
    return (picture * 255).round().to(torch.uint8).permute(1, 2, 0)


def _hex(picture: Tensor) -> str:
    return picture.contiguous().numpy().tobytes().hex()
