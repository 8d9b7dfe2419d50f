"""The blocks' linears in FP8: e4m3 weights with a scale a row, inputs scaled a token at a time.

A weight's row and an input's token are divided by the largest of their values over that of e4m3,
rounded once, and multiplied on the tensor cores with float32 sums; both scales come back in the
product's epilogue. Text keys, embeddings and the head stay as they are: they take no time.

Inside the FFN a token's scale is known before its GELU is computed: in its tanh form GELU rises
where it is positive and stays above -GELU_DEPTH, so the largest input gives the largest value.

Letters: L tokens, i width in, o width out, e width inside the FFN.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from harness.errors import CaseError
from harness.workload.layers import Block
from harness.workload.rollout import Pipeline
from harness.workload.variants.e4m3 import LARGEST, rounded
from harness.workload.variants.overlay import lay_over

LEAST_SCALE = 1e-12  # of a row of zeros
WIDTH_MULTIPLE = 16  # of both widths, for the tensor cores
GELU_DEPTH = 0.1701  # the least value of GELU in its tanh form is -0.17004, at -0.7525

# x [L, i] and its scales [L, 1], weight [o, i] and its scales [o, 1], bias [o] -> [L, o]
Product = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor | None], Tensor]


def scaled(x: Tensor) -> tuple[Tensor, Tensor]:
    """x [.., i] -> e4m3 of that shape and float32 scales [.., 1], whose product is about x."""
    scale = (x.float().abs().amax(dim=-1, keepdim=True) / LARGEST).clamp(min=LEAST_SCALE)
    return rounded(x, scale), scale


def tensor_core_product(
    x: Tensor, x_scale: Tensor, weight: Tensor, weight_scale: Tensor, bias: Tensor | None
) -> Tensor:
    """[L, o] in bfloat16, from a GPU with FP8 tensor cores."""
    out: Tensor = torch._scaled_mm(
        x,
        weight.t(),
        scale_a=x_scale,
        scale_b=weight_scale.t(),
        bias=bias,
        out_dtype=torch.bfloat16,
        use_fast_accum=True,
    )
    return out


def dequantised_product(
    x: Tensor, x_scale: Tensor, weight: Tensor, weight_scale: Tensor, bias: Tensor | None
) -> Tensor:
    """The same from float32 factors, [L, o] in bfloat16: what the other is held against."""
    product = (x.float() * x_scale) @ (weight.float() * weight_scale).t()
    return (product if bias is None else product + bias.float()).bfloat16()


class Fp8Linear(nn.Linear):
    """Laid over a linear."""

    weight_scale: Tensor
    product: Product

    def forward(self, x: Tensor) -> Tensor:
        """[.., i] -> [.., o]."""
        out = self.of_scaled(*scaled(x.flatten(0, -2)))
        shaped: Tensor = out.unflatten(0, x.shape[:-1]).to(x.dtype)
        return shaped

    def of_scaled(self, tokens: Tensor, scale: Tensor) -> Tensor:
        """Tokens [L, i] in e4m3 and their scales [L, 1] -> [L, o] in bfloat16."""
        return self.product(tokens, scale, self.weight, self.weight_scale, self.bias)


class Fp8Ffn(nn.Sequential):
    """Laid over an FFN of two FP8 linears with a GELU between."""

    def forward(self, x: Tensor) -> Tensor:
        """[1, L, d] -> [1, L, d]."""
        first, last = self[0], self[2]
        assert isinstance(last, Fp8Linear)
        out = last.of_scaled(*gelu_scaled(first(x).flatten(0, 1)))
        shaped: Tensor = out.unflatten(0, x.shape[:2]).to(x.dtype)
        return shaped


def gelu(x: Tensor) -> Tensor:
    """GELU in its tanh form, written with the sigmoid: (1 + tanh u) / 2 = sigmoid(2 u).

    Source: D. Hendrycks, K. Gimpel, "Gaussian Error Linear Units", arXiv:1606.08415, with
    u = sqrt(2/pi) (x + 0.044715 x^3). The sigmoid takes one exponential, CUDA's tanh two paths.
    """
    return x * torch.sigmoid(math.sqrt(8 / math.pi) * (x + 0.044715 * x * x * x))


def gelu_scaled(x: Tensor) -> tuple[Tensor, Tensor]:
    """x [L, e] -> gelu(x) in e4m3 and its scales [L, 1], as `scaled` gives them.

    A token whose GELU is nowhere above GELU_DEPTH is scaled as if it were.
    """
    largest = gelu(x.amax(dim=-1, keepdim=True).float())
    scale = largest.clamp(min=GELU_DEPTH) / LARGEST
    return rounded(gelu(x.float()), scale), scale


def use_fp8(pipeline: Pipeline) -> None:
    """In the blocks of both branches. Raises CaseError for a GPU that cannot multiply so."""
    _try_product(pipeline.device)
    quantise(pipeline, tensor_core_product)


def quantise(pipeline: Pipeline, product: Product) -> None:
    """Weights of its own in FP8, and this product: those of other pipelines stay as they are."""
    for block in (*pipeline.transformer.blocks, *pipeline.vace.vace_blocks):
        assert isinstance(block, Block)
        for linear in timed_linears(block):
            weight, scale = scaled(linear.weight.detach())
            linear.weight = nn.Parameter(weight, requires_grad=False)
            lay_over(linear, Fp8Linear, product=product)
            linear.register_buffer("weight_scale", scale, persistent=False)
        lay_over(block.ffn, Fp8Ffn)


def timed_linears(block: Block) -> Iterator[nn.Linear]:
    """The linears of a block that run over all its tokens: not those of the text."""
    text = (block.cross_attn.k, block.cross_attn.v)
    for module in block.modules():
        if isinstance(module, nn.Linear) and not any(module is one for one in text):
            yield module


def _try_product(device: torch.device) -> None:
    """One small product: a GPU or a build without it is told before anything is measured."""
    x, scale = scaled(torch.ones(WIDTH_MULTIPLE, WIDTH_MULTIPLE, device=device))
    try:
        tensor_core_product(x, scale, x, scale, None)
    except (RuntimeError, ValueError) as error:
        raise CaseError(
            f"fix 'fp8-linears' cannot run here: {str(error).splitlines()[0]}",
            next_step="it needs a GPU with FP8 tensor cores (compute capability 9.0)",
        ) from error
