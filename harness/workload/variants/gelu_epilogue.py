"""The FFN's GELU computed where its first matrix product ends, by cuBLASLt's epilogue.

`torch._addmm_activation` on a GPU is bias, product and GELU in its tanh form in one kernel. It is
wrapped in an operator of our own because inductor would take it apart again.

Letters: L tokens, d width, e width inside the FFN.
"""

import torch
from torch import Tensor, nn

from harness.workload.rollout import Pipeline
from harness.workload.variants.overlay import lay_over


@torch.library.custom_op("vace_bench::linear_gelu", mutates_args=())
def linear_gelu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x [L, d], weight [e, d], bias [e] -> gelu_tanh(x W^T + b), [L, e]; on a GPU only."""
    fused: Tensor = torch._addmm_activation(bias, x, weight.t(), use_gelu=True)
    return fused


@linear_gelu.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], weight.shape[0])


class GeluEpilogue(nn.Sequential):
    """Laid over an FFN of two plain linears with a GELU between."""

    def forward(self, x: Tensor) -> Tensor:
        """[1, L, d] -> [1, L, d]."""
        first, last = self[0], self[2]
        hidden: Tensor = linear_gelu(x.flatten(0, 1), first.weight, first.bias)
        out: Tensor = last(hidden.unflatten(0, x.shape[:2]))
        return out


def fuse_gelu(pipeline: Pipeline) -> None:
    """In the blocks of both branches."""
    for block in (*pipeline.transformer.blocks, *pipeline.vace.vace_blocks):
        assert isinstance(block.ffn, nn.Sequential) and isinstance(block.ffn[0], nn.Linear)
        lay_over(block.ffn, GeluEpilogue)
