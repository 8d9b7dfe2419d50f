"""RoPE in real float32 arithmetic, with factors that are kept as long as the positions are.

Letters: L tokens, n heads, D head size, C = D/2 columns.
"""

import torch
from torch import Tensor

from harness.workload.layers import AttentionLayer
from harness.workload.parts import part
from harness.workload.rollout import Pipeline
from harness.workload.rope import axis_columns
from harness.workload.variants.overlay import lay_over

Grid = tuple[int, int, int]  # frames, rows, columns


class KeptFactors:
    """Cosines and sines of the latest positions, in buffers whose address stays the same."""

    def __init__(self, table: Tensor) -> None:
        self._axes = table.split(axis_columns(2 * table.shape[1]), dim=1)  # [positions, c] each
        self._kept: dict[Grid, tuple[Tensor, Tensor]] = {}
        self._start_frame: dict[Grid, int] = {}

    def at(self, grid: Grid, start_frame: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines [L, 1, C] float32 of a grid whose first frame is `start_frame`."""
        if grid not in self._kept:
            tokens, columns = grid[0] * grid[1] * grid[2], sum(a.shape[1] for a in self._axes)
            device = self._axes[0].device
            cos, sin = torch.empty(2, tokens, 1, columns, dtype=torch.float32, device=device)
            self._kept[grid] = (cos, sin)
        if self._start_frame.get(grid) != start_frame:
            factors = self._factors(grid, start_frame)
            for kept, values in zip(self._kept[grid], (factors.real, factors.imag), strict=True):
                kept.copy_(values)
            self._start_frame[grid] = start_frame
        return self._kept[grid]

    def _factors(self, grid: Grid, start_frame: int) -> Tensor:
        """[L, 1, C] complex128."""
        f, h, w = grid
        time, row, column = self._axes
        if start_frame + f > len(time):
            raise ValueError(f"frame {start_frame + f - 1} is beyond the table's {len(time)}")
        factors = torch.cat(
            [
                time[start_frame : start_frame + f].view(f, 1, 1, -1).expand(f, h, w, -1),
                row[:h].view(1, h, 1, -1).expand(f, h, w, -1),
                column[:w].view(1, 1, w, -1).expand(f, h, w, -1),
            ],
            dim=-1,
        )
        return factors.reshape(f * h * w, 1, -1)


class RealRotation(AttentionLayer):
    """Laid over a self-attention."""

    factors: KeptFactors

    @part("rope")
    def rotate(self, x: Tensor, grid: Tensor, table: Tensor, start_frame: int = 0) -> Tensor:
        """x [1, L, n, D] by each token's position; `table` is not read."""
        frames, rows, columns = grid[0].tolist()
        return rotate_real(x, *self.factors.at((frames, rows, columns), start_frame))


def rotate_real(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turns channel pairs (2m, 2m+1) of x [1, L, n, D] by factors [L, 1, C], in float32."""
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(dim=-1)
    turned = torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1)
    return turned.flatten(-2).to(x.dtype)


def use_real(pipeline: Pipeline) -> None:
    """Base blocks rotate by the chunk's position, VACE blocks always from 0: factors for each."""
    for blocks in (pipeline.transformer.blocks, pipeline.vace.vace_blocks):
        factors = KeptFactors(pipeline.transformer.table)
        for block in blocks:
            lay_over(block.self_attn, RealRotation, factors=factors)
