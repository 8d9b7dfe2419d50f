"""FP8 in the form e4m3: rounding by a scale, and back."""

import torch
from torch import Tensor

FP8 = torch.float8_e4m3fn
LARGEST = torch.finfo(FP8).max


def rounded(x: Tensor, scale: Tensor) -> Tensor:
    """x [.., D] over a scale that broadcasts -> e4m3 [.., D]; what exceeds it is the largest.

    Multiplied by the scale's inverse: one instruction an element, where a division has many.
    """
    return (x.float() * (1 / scale)).clamp(-LARGEST, LARGEST).to(FP8).contiguous()


def restored(x: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
    """e4m3 [.., D] -> that shape in another type."""
    return (x.float() * scale).to(dtype)
