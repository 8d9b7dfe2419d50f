"""Structural similarity of frames: 1 for equal ones, less the more of their structure is lost.

Source: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to
structural similarity", IEEE Transactions on Image Processing 13 (2004): a Gaussian window of 11 by
11 pixels with a deviation of 1.5, K1 = 0.01, K2 = 0.03, here on each colour channel of [0, 1].
"""

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW_PX = 11
DEVIATION_PX = 1.5
C1, C2 = 0.01**2, 0.03**2  # of a range of 1


def similarity(a: Tensor, b: Tensor) -> float:
    """Mean over all windows of two clips [T, H, W, 3] in [0, 1].

    Raises ValueError for frames smaller than the window.
    """
    if min(a.shape[1:3]) < WINDOW_PX:
        raise ValueError(f"frames of {a.shape[1]} x {a.shape[2]} are smaller than a window")
    a, b = (clip.double().permute(0, 3, 1, 2).flatten(0, 1)[:, None] for clip in (a, b))
    mean_a, mean_b = _blurred(a), _blurred(b)
    spread_a = _blurred(a * a) - mean_a**2
    spread_b = _blurred(b * b) - mean_b**2
    common = _blurred(a * b) - mean_a * mean_b
    same = (2 * mean_a * mean_b + C1) * (2 * common + C2)
    return float((same / ((mean_a**2 + mean_b**2 + C1) * (spread_a + spread_b + C2))).mean())


def _blurred(x: Tensor) -> Tensor:
    """[B, 1, H, W] -> [B, 1, H - 10, W - 10]: rows, then columns."""
    offsets = torch.arange(WINDOW_PX, dtype=x.dtype, device=x.device) - WINDOW_PX // 2
    weights = torch.exp(-(offsets**2) / (2 * DEVIATION_PX**2))
    weights = weights / weights.sum()
    return F.conv2d(F.conv2d(x, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))
