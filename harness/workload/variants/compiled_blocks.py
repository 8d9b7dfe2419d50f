"""Regional torch.compile: each block in two halves around its self-attention, with static shapes.

The first half ends with rotated queries and keys, the second begins with the output linear. What
lies between, the cache and the attention kernel, stays as it is. Both halves are the block's own
methods; all blocks of a kind share the compiled code, since it takes a block's weights as inputs.

Around an attention in FP8 the halves round and restore, so that no kernel of its own does: the
first ends with e4m3, the second begins with it. In the first forward over an empty cache the
values' scale is not known yet: the ring rounds, and the halves of the other blocks run as they are
written, because compiling them for one forward of a stream costs more than it saves.

Letters: N tokens, d width, n heads, D head size, T text tokens, C = D/2 columns.
"""

from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from harness.workload.kv_cache import BlockCache, Update
from harness.workload.layers import Block
from harness.workload.rollout import Pipeline
from harness.workload.transformer import BaseBlock, Embedded
from harness.workload.vace import VaceBlock
from harness.workload.variants.e4m3 import FP8, restored, rounded
from harness.workload.variants.fp8_attention import Fp8Ring, Fp8SelfAttention
from harness.workload.variants.lean import ListedVaceBlock
from harness.workload.variants.overlay import lay_over
from harness.workload.variants.real_rope import Grid, KeptFactors, RealRotation, rotate_real

Half = Callable[..., tuple[Tensor, ...]]
Rotate = Callable[[Tensor, Tensor, Tensor], Tensor]
Three = tuple[Tensor, Tensor, Tensor]  # of queries, keys and values
# Inductor's own search for better block sizes of its kernels, which reduce rows of a few thousand.
Options = dict[str, str | int | bool | Callable[..., object]]
TUNED: Options = {"coordinate_descent_tuning": True}
RECOMPILE_LIMIT = 64  # shapes of first, filling and steady chunks, with and without hints


@dataclass
class TextKeys:
    """Keys and values of the text, [1, T, n, D] each, in the place of a cache that holds them."""

    text_k: Tensor | None
    text_v: Tensor | None


def before_attention(
    block: Block, x: Tensor, e0: Tensor, cos: Tensor, sin: Tensor, rotate: Rotate = rotate_real
) -> Three:
    """x [1, N, d] -> rotated queries and keys, and values, [1, N, n, D] each."""
    q, k, v = block.self_attn.projected(block.attention_input(x, block.modulations(e0)))
    return rotate(q, cos, sin), rotate(k, cos, sin), v


def _after_attention(
    block: Block, x: Tensor, out: Tensor, e0: Tensor, text: Tensor, keys: tuple[Tensor, Tensor]
) -> Tensor:
    """x [1, N, d] and the attention's output [1, N, n, D] -> [1, N, d]."""
    attended = block.self_attn.o(out.flatten(2))
    return block.after_attention(x, attended, block.modulations(e0), text, TextKeys(*keys))


def rounded_before_attention(
    block: Block,
    x: Tensor,
    e0: Tensor,
    cos: Tensor,
    sin: Tensor,
    scales: Three,
    rotate: Rotate = rotate_real,
) -> Three:
    """The same, [1, N, n, D] each in e4m3 of these scales."""
    q, k, v = before_attention(block, x, e0, cos, sin, rotate)
    return rounded(q, scales[0]), rounded(k, scales[1]), rounded(v, scales[2])


def _base_second(
    block: BaseBlock,
    x: Tensor,
    out: Tensor,
    e0: Tensor,
    text: Tensor,
    keys: tuple[Tensor, Tensor],
    hint: Tensor | None,
    scale: float,
) -> tuple[Tensor, ...]:
    x = _after_attention(block, x, out, e0, text, keys)
    return (x if hint is None else block.hinted(x, hint, scale),)


def _restored_base_second(
    block: BaseBlock, x: Tensor, out: Tensor, scale: Tensor, *others: Any
) -> tuple[Tensor, ...]:
    """The same from an output [1, N, n, D] in e4m3 of this scale."""
    return _base_second(block, x, restored(out, scale, x.dtype), *others)


def _vace_second(
    block: VaceBlock, x: Tensor, out: Tensor, e0: Tensor, text: Tensor, keys: tuple[Tensor, Tensor]
) -> tuple[Tensor, ...]:
    x = _after_attention(block, x, out, e0, text, keys)
    return block.after_proj(x), x


@dataclass(frozen=True)
class Halves:
    """The compiled functions; a call with a new shape compiles."""

    first: Half = before_attention
    base_second: Half = _base_second
    vace_second: Half = _vace_second
    rounded_first: Half = rounded_before_attention
    restored_second: Half = _restored_base_second

    @classmethod
    def compiled(cls, options: Options = TUNED) -> "Halves":
        """All of them."""
        return cls(*(compiled(half, options) for half in astuple(cls())))


def compiled(half: Half, options: Options = TUNED) -> Half:
    """A half through torch.compile: the whole graph, static shapes. What cannot be, raises."""
    torch._dynamo.config.recompile_limit = RECOMPILE_LIMIT
    return torch.compile(half, fullgraph=True, dynamic=False, options=options)


class CompiledBaseBlock(BaseBlock):
    """Laid over a base block."""

    compiled_in_regions: ClassVar = True
    halves: Halves
    factors: KeptFactors

    def forward(
        self, x: Tensor, state: Embedded, cache: BlockCache, hint: Tensor | None, scale: float
    ) -> tuple[Tensor, Update]:
        """x [1, N, d] -> ([1, N, d], the deferred cache update)."""
        out, update = self._attended(x, state, cache)
        if cache.text_k is None or cache.text_v is None:
            cache.text_k, cache.text_v = self.cross_attn.keys(state.text)
        text_keys = (cache.text_k, cache.text_v)
        (x,) = self._second(x, out, state.e0, state.text, text_keys, hint, scale)
        return x, update

    def _attended(self, x: Tensor, state: Embedded, cache: BlockCache) -> tuple[Tensor, Update]:
        """x [1, N, d] -> the attention's output [1, N, n, D] and the deferred cache update."""
        q, k, v = self._first(x, state, cache)
        keys, values, update = cache.attend(k, v, state.start_token)
        return self.self_attn.attend(q, keys, values), update

    def _first(self, x: Tensor, state: Embedded, cache: BlockCache) -> tuple[Tensor, ...]:
        return self.halves.first(self, x, state.e0, *self._factors(state))

    def _second(self, x: Tensor, out: Tensor, *others: Any) -> tuple[Tensor, ...]:
        return self.halves.base_second(self, x, out, *others)

    def _factors(self, state: Embedded) -> tuple[Tensor, Tensor]:
        grid = _grid(state.grid)
        return self.factors.at(grid, state.start_token // (grid[1] * grid[2]))


class CompiledFp8Block(CompiledBaseBlock):
    """Laid over a base block whose attention is in FP8."""

    self_attn: Fp8SelfAttention

    def _first(self, x: Tensor, state: Embedded, cache: BlockCache) -> tuple[Tensor, ...]:
        assert isinstance(cache, Fp8Ring)
        if not cache.has_scales:
            return before_attention(self, x, state.e0, *self._factors(state))
        scales = self.self_attn.scales.inputs
        return self.halves.rounded_first(self, x, state.e0, *self._factors(state), scales)

    def _second(self, x: Tensor, out: Tensor, *others: Any) -> tuple[Tensor, ...]:
        if out.dtype != FP8:
            return _base_second(self, x, out, *others)
        return self.halves.restored_second(self, x, out, self.self_attn.scales.v, *others)


class CompiledVaceBlock(ListedVaceBlock):
    """Laid over a VACE block that gives its hint beside the context."""

    compiled_in_regions: ClassVar = True
    halves: Halves
    factors: KeptFactors

    def forward(  # type: ignore[override]
        self, context: Tensor, x: Tensor, e0: Tensor, text: Tensor, places: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor]:
        """Context [1, N, d] -> (hint, context) of the same shape."""
        if self.before_proj is not None:
            context = self._joined(self.before_proj, context, x)
        factors = self.factors.at(_grid(places[1]), 0)
        q, k, v = self.self_attn.padded(*self.halves.first(self, context, e0, *factors))
        out = self.self_attn.attend(q, k, v)[:, : context.shape[1]]
        text_keys = self.cross_attn.keys(text)
        hint, context = self.halves.vace_second(self, context, out, e0, text, text_keys)
        return hint, context


def _grid(grid: Tensor) -> Grid:
    frames, rows, columns = grid[0].tolist()
    return frames, rows, columns


def compile_blocks(pipeline: Pipeline) -> None:
    """Compiles the blocks of both branches; their calls compile when they first run."""
    lay_halves(pipeline, Halves.compiled())


def lay_halves(pipeline: Pipeline, halves: Halves) -> None:
    """These halves in the blocks of both branches."""
    for block in (*pipeline.transformer.blocks, *pipeline.vace.vace_blocks):
        attention = block.self_attn
        assert isinstance(attention, RealRotation)
        change: type = CompiledBaseBlock if isinstance(block, BaseBlock) else CompiledVaceBlock
        if isinstance(attention, Fp8SelfAttention):
            change = CompiledFp8Block
        lay_over(block, change, halves=halves, factors=attention.factors)
