"""Queries, keys and values of a self-attention from one linear of three times the width."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from harness.workload.layers import AttentionLayer
from harness.workload.rollout import Pipeline
from harness.workload.variants.overlay import lay_over


class FusedProjection(AttentionLayer):
    """Laid over a self-attention whose q, k and v are plain linears."""

    child_parts: ClassVar = {"qkv": "qkv", "norm_q": "norm", "norm_k": "norm", "o": "out"}
    qkv: nn.Linear

    def projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x [1, L, d] -> queries and keys, both normed, and values, [1, L, n, D] each."""
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return self.heads(self.norm_q(q)), self.heads(self.norm_k(k)), self.heads(v)

    def heads(self, x: Tensor) -> Tensor:
        """[1, L, d] -> [1, L, n, D]; a chunk of the fused product keeps its stride."""
        split: Tensor = x.unflatten(-1, (self.num_heads, -1))
        return split


def fuse(pipeline: Pipeline) -> None:
    """Fuses in the base blocks and in the VACE blocks."""
    for block in (*pipeline.transformer.blocks, *pipeline.vace.vace_blocks):
        attention = block.self_attn
        assert isinstance(attention, AttentionLayer)
        qkv = _fused([attention.q, attention.k, attention.v])
        del attention.q, attention.k, attention.v
        lay_over(attention, FusedProjection, qkv=qkv)


@torch.no_grad()
def _fused(linears: list[nn.Linear]) -> nn.Linear:
    weight = torch.cat([linear.weight for linear in linears])
    bias = torch.cat([linear.bias for linear in linears])
    fused = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    fused.weight = nn.Parameter(weight, requires_grad=False)
    fused.bias = nn.Parameter(bias, requires_grad=False)
    return fused
