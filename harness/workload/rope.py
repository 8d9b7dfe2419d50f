"""Rotary position embedding over (frame, row, column), in complex128 as the baseline computes it.

Letters: L tokens, n heads, D head size, C = D/2 complex columns.
"""

import torch
from torch import Tensor

from harness.workload.parts import part


def rope_table(head_dim: int, positions: int, *, device: torch.device) -> Tensor:
    """Factor table [positions, C] complex128: columns for time, rows and columns, in this order.

    Each axis starts again at frequency 1: column j of an axis with c columns has frequency
    10000^(-j/c), and entry [p, j] is exp(i p freq_j).
    """
    position = torch.arange(positions, dtype=torch.float64, device=device)
    axes = []
    for columns in axis_columns(head_dim):
        exponent = torch.arange(columns, dtype=torch.float64, device=device) / columns
        angle = torch.outer(position, 10000.0**-exponent)
        axes.append(torch.polar(torch.ones_like(angle), angle))
    return torch.cat(axes, dim=1)


@part("rope")
def rotate(x: Tensor, grid: Tensor, table: Tensor, start_frame: int = 0) -> Tensor:
    """Rotates x [B, L, n, D] by each token's position; tokens beyond the grid stay as they are.

    `grid` [B, 3] (frames, rows, columns) is an int64 tensor on the CPU. Baseline costs kept on
    purpose: two casts, factors rebuilt by expand and concatenation in every call, an empty tail
    concatenated, a one-element stack.
    """
    heads, columns = x.shape[2], x.shape[3] // 2
    time, row, column = table.split(axis_columns(x.shape[3]), dim=1)
    rotated = []
    for sample, (f, h, w) in zip(x, grid.tolist(), strict=True):
        tokens = f * h * w
        pairs = sample[:tokens].to(torch.float64).reshape(tokens, heads, columns, 2)
        factors = torch.cat(
            [
                time[start_frame : start_frame + f].view(f, 1, 1, -1).expand(f, h, w, -1),
                row[:h].view(1, h, 1, -1).expand(f, h, w, -1),
                column[:w].view(1, 1, w, -1).expand(f, h, w, -1),
            ],
            dim=-1,
        ).reshape(tokens, 1, columns)
        turned = torch.view_as_real(torch.view_as_complex(pairs) * factors).flatten(2)
        rotated.append(torch.cat([turned, sample[tokens:]]))
    return torch.stack(rotated).to(x.dtype)


def axis_columns(head_dim: int) -> list[int]:
    """Columns of the table for time, rows and columns, of a head size."""
    space = head_dim // 6
    return [head_dim // 2 - 2 * space, space, space]
