"""Norms, attention layers and the block shared by the base transformer and its VACE branch.

Letters: L tokens = F frames of S tokens, d width, n heads, D head size, T text tokens.
"""

import math
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from harness.presets import ModelConfig
from harness.workload import rope
from harness.workload.attention import Attention
from harness.workload.kv_cache import BlockCache, Update
from harness.workload.parts import part

VACE_TOKEN_MULTIPLE = 128


class HoldsText(Protocol):
    """Where the text's keys and values [1, T, n, D] are kept once they are computed."""

    text_k: Tensor | None
    text_v: Tensor | None


class RMSNorm(nn.Module):
    """Root mean square norm over all channels: float32 inside, weight applied in x's dtype."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """[.., d] -> [.., d]."""
        wide = x.float()
        normed = wide * torch.rsqrt(wide.pow(2).mean(dim=-1, keepdim=True) + self.eps)
        return normed.to(x.dtype) * self.weight


class AttentionLayer(nn.Module):
    """The four linears and two norms of every attention."""

    child_parts: ClassVar = {
        **dict.fromkeys("qkv", "qkv"),
        **dict.fromkeys(("norm_q", "norm_k"), "norm"),
        "o": "out",
    }
    # The function, with no method around it: where a branch is compiled, one frame more around its
    # graph break is one break more.
    rotate = staticmethod(rope.rotate)

    def __init__(self, model: ModelConfig, attention: Attention) -> None:
        super().__init__()
        self.num_heads = model.num_heads
        self.attention = attention
        self.q = nn.Linear(model.dim, model.dim)
        self.k = nn.Linear(model.dim, model.dim)
        self.v = nn.Linear(model.dim, model.dim)
        self.o = nn.Linear(model.dim, model.dim)
        self.norm_q = RMSNorm(model.dim, model.eps)
        self.norm_k = RMSNorm(model.dim, model.eps)

    def heads(self, x: Tensor) -> Tensor:
        """[1, L, d] -> [1, L, n, D]."""
        return x.view(x.shape[0], x.shape[1], self.num_heads, -1)

    def projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x [1, L, d] -> queries and keys, both normed, and values, [1, L, n, D] each."""
        q = self.heads(self.norm_q(self.q(x)))
        k = self.heads(self.norm_k(self.k(x)))
        return q, k, self.heads(self.v(x))


class CachedSelfAttention(AttentionLayer):
    """Self-attention of a base block over sink and window of its cache."""

    def forward(
        self, x: Tensor, grid: Tensor, table: Tensor, cache: BlockCache, start_token: int
    ) -> tuple[Tensor, Update]:
        """x [1, L, d] -> ([1, L, d], the deferred cache update)."""
        q, k, v = self.projected(x)
        start_frame = start_token // self.frame_tokens(grid)
        q = self.rotate(q, grid, table, start_frame)
        k = self.rotate(k, grid, table, start_frame)
        keys, values, update = cache.attend(k, v, start_token)
        out = self.attend(q, keys, values)
        return self.o(out.flatten(2)), update

    def frame_tokens(self, grid: Tensor) -> int:
        """Tokens of a frame: two multiplications and an item on CPU tensors, in every block."""
        return int(math.prod(grid[0][1:]).item())  # type: ignore[attr-defined]

    @part("attention")
    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q [1, L, n, D] over the cached k, v [1, K, n, D] -> [1, L, n, D]."""
        return self.attention.cached_self(q, k, v)


class ContextSelfAttention(AttentionLayer):
    """Uncached self-attention of a VACE block, padded with zero rows to a multiple of 128 tokens.

    Without a mask the zero keys take part in the softmax (logit 0, value 0). Time positions start
    at 0 in every chunk.
    """

    def forward(self, x: Tensor, lengths: Tensor, grid: Tensor, table: Tensor) -> Tensor:
        """x [1, L, d] -> [1, L, d]; `lengths` [1] int64 on the CPU is L."""
        if x.shape[1] != lengths[0].item():
            raise ValueError(f"{x.shape[1]} tokens where {lengths.tolist()} were announced")
        q, k, v = self.projected(x)
        q, k = self.rotate(q, grid, table), self.rotate(k, grid, table)
        out = self.attend(*self.padded(q, k, v))[:, : x.shape[1]]
        projected: Tensor = self.o(out.flatten(2))
        return projected

    @part("pad")
    def padded(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[1, L, n, D] each -> [1, L', n, D]."""
        padding = q.new_zeros(1, -q.shape[1] % VACE_TOKEN_MULTIPLE, *q.shape[2:])
        q, k, v = (torch.cat([tokens, padding], dim=1) for tokens in (q, k, v))
        return q, k, v

    @part("attention")
    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """[1, L', n, D] each -> [1, L', n, D]."""
        return self.attention.vace_self(q, k, v)


class CrossAttention(AttentionLayer):
    """Attention over the text; with a cache its keys and values are computed once."""

    def forward(self, x: Tensor, text: Tensor, cache: HoldsText | None) -> Tensor:
        """x [1, L, d], text [1, T, d] -> [1, L, d]."""
        q = self.heads(self.norm_q(self.q(x)))
        if cache is None:
            k, v = self.keys(text)
        else:
            if cache.text_k is None or cache.text_v is None:
                cache.text_k, cache.text_v = self.keys(text)
            k, v = cache.text_k, cache.text_v
        out: Tensor = self.o(self.attend(q, k, v).flatten(2))
        return out

    @part("attention")
    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q [1, L, n, D] over the text's k, v [1, T, n, D] -> [1, L, n, D]."""
        return self.attention.cross(q, k, v)

    def keys(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """The text's keys and values, text [1, T, d] -> [1, T, n, D] each."""
        return self.heads(self.norm_k(self.k(text))), self.heads(self.v(text))


class Block(nn.Module):
    """What base and VACE blocks share: modulation per latent frame, cross-attention, FFN."""

    child_parts: ClassVar = {
        **dict.fromkeys(("norm1", "norm2", "norm3"), "norm"),
        "ffn": "ffn",
    }

    def __init__(self, model: ModelConfig, attention: Attention, self_attn: AttentionLayer) -> None:
        super().__init__()
        dim = model.dim
        self.norm1 = nn.LayerNorm(dim, model.eps, elementwise_affine=False)
        self.self_attn: AttentionLayer = self_attn
        self.norm3 = nn.LayerNorm(dim, model.eps)
        self.cross_attn = CrossAttention(model, attention)
        self.norm2 = nn.LayerNorm(dim, model.eps, elementwise_affine=False)
        self.ffn = nn.Sequential(
            nn.Linear(dim, model.ffn_dim),
            nn.GELU(approximate="tanh"),
            nn.Linear(model.ffn_dim, dim),
        )
        self.modulation = nn.Parameter(torch.zeros(1, 6, dim))

    @part("modulation")
    def modulations(self, e0: Tensor) -> tuple[Tensor, ...]:
        """e0 [1, F, 6, d] -> six [1, F, 1, d]: shift, scale, gate of attention, then of the FFN."""
        return (self.modulation.unsqueeze(1) + e0).chunk(6, dim=2)

    def attention_input(self, x: Tensor, e: tuple[Tensor, ...]) -> Tensor:
        """Modulated norm before the self-attention, [1, L, d]."""
        return self._modulated(self.norm1(x), shift=e[0], scale=e[1])

    def after_attention(
        self,
        x: Tensor,
        attended: Tensor,
        e: tuple[Tensor, ...],
        text: Tensor,
        cache: HoldsText | None,
    ) -> Tensor:
        """Gated residual, cross-attention and FFN, [1, L, d]."""
        x = self._gated_sum(x, attended, e[2])
        x = self._with_text(x, self.norm3(x), text, cache)
        hidden = self.ffn(self._modulated(self.norm2(x), shift=e[3], scale=e[4]))
        return self._gated_sum(x, hidden, e[5])

    @part("modulation")
    def _modulated(self, x: Tensor, *, shift: Tensor, scale: Tensor) -> Tensor:
        return modulate(x, shift=shift, scale=scale)

    @part("modulation")
    def _gated_sum(self, x: Tensor, addend: Tensor, factor: Tensor) -> Tensor:
        return x + gate(addend, factor)

    @part("cross_attention")
    def _with_text(
        self, x: Tensor, normed: Tensor, text: Tensor, cache: HoldsText | None
    ) -> Tensor:
        attended: Tensor = self.cross_attn(normed, text, cache)
        return x + attended


def modulate(x: Tensor, *, shift: Tensor, scale: Tensor) -> Tensor:
    """x [1, L, d] with shift and scale [1, F, 1, d] of its frame -> [1, L, d]."""
    frames: Tensor = x.unflatten(1, (shift.shape[1], -1))  # [1, F, S, d]
    return (frames * (1 + scale) + shift).flatten(1, 2)


def gate(x: Tensor, factor: Tensor) -> Tensor:
    """x [1, L, d] times factor [1, F, 1, d] of its frame -> [1, L, d]."""
    frames: Tensor = x.unflatten(1, (factor.shape[1], -1))  # [1, F, S, d]
    return (frames * factor).flatten(1, 2)
