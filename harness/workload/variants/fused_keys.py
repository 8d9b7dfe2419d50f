"""New keys and values written into the ring by the kernel that computes them.

The compiled first half of a base block gets the slots of the ring that its tokens will lie in, and
ends with the rotated queries alone. It rotates by swapping the channels of a pair: one expression
for every channel, where `rotate_real` computes both channels and then chooses one.

Where the new tokens do not lie in a row, or the ring's scales are not known yet, the block goes the
other way, through keys and values of their own.

Letters: N tokens, d width, n heads, D head size, C = D/2 columns.
"""

from dataclasses import astuple, dataclass, replace

import torch
from torch import Tensor

from harness.workload.kv_cache import BlockCache, Update
from harness.workload.layers import Block
from harness.workload.rollout import Pipeline
from harness.workload.transformer import Embedded
from harness.workload.variants.compiled_blocks import (
    TUNED,
    CompiledBaseBlock,
    CompiledVaceBlock,
    Half,
    Options,
    Three,
    before_attention,
    compiled,
    rounded_before_attention,
)
from harness.workload.variants.fp8_attention import Fp8Ring, Fp8SelfAttention
from harness.workload.variants.overlay import lay_over
from harness.workload.variants.ring_cache import RingCache

Place = tuple[Tensor, Tensor]  # slots of new keys and of new values, [1, N, n, D] each


def rotate_swapped(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """What `rotate_real` gives, x [1, L, n, D]: a channel's cosine, plus its partner's sine."""
    pairs = x.float().unflatten(-1, (-1, 2))  # [1, L, n, C, 2]
    sign = 2 * torch.arange(2, device=x.device) - 1  # the even channel loses, the odd one gains
    turned = pairs * cos.unsqueeze(-1) + pairs.flip(-1) * (sin.unsqueeze(-1) * sign)
    rotated: Tensor = turned.flatten(-2).to(x.dtype)
    return rotated


def swapped_first(block: Block, x: Tensor, e0: Tensor, cos: Tensor, sin: Tensor) -> Three:
    """x [1, N, d] -> rotated queries and keys, and values, [1, N, n, D] each."""
    return before_attention(block, x, e0, cos, sin, rotate_swapped)


def written(
    block: Block, x: Tensor, e0: Tensor, cos: Tensor, sin: Tensor, place: Place
) -> tuple[Tensor, ...]:
    """x [1, N, d] -> rotated queries [1, N, n, D]; keys and values are written to their place."""
    return _put(place, swapped_first(block, x, e0, cos, sin))


def rounded_written(
    block: Block, x: Tensor, e0: Tensor, cos: Tensor, sin: Tensor, place: Place, scales: Three
) -> tuple[Tensor, ...]:
    """The same in e4m3."""
    return _put(place, rounded_before_attention(block, x, e0, cos, sin, scales, rotate_swapped))


def _put(place: Place, new: Three) -> tuple[Tensor, ...]:
    q, *others = new
    for slots, tokens in zip(place, others, strict=True):
        slots.copy_(tokens)
    return (q,)


@dataclass(frozen=True)
class Writing:
    """First halves that write keys and values themselves, and the one of blocks without a ring."""

    plain: Half = written
    rounded: Half = rounded_written
    without_ring: Half = swapped_first

    @classmethod
    def compiled(cls, options: Options = TUNED) -> "Writing":
        """All of them."""
        return cls(*(compiled(half, options) for half in astuple(cls())))


class KeysInPlace(CompiledBaseBlock):
    """Laid over a base block in compiled halves."""

    writing: Writing

    def _attended(self, x: Tensor, state: Embedded, cache: BlockCache) -> tuple[Tensor, Update]:
        assert isinstance(cache, RingCache)
        place = cache.place(state.start_token, x.shape[1])
        if place is None or (isinstance(cache, Fp8Ring) and not cache.has_scales):
            return super()._attended(x, state, cache)
        given = (self, x, state.e0, *self._factors(state), place)
        attention = self.self_attn
        if isinstance(attention, Fp8SelfAttention):
            (q,) = self.writing.rounded(*given, attention.scales.inputs)
        else:
            (q,) = self.writing.plain(*given)
        keys, values, update = cache.attend_placed(*place, state.start_token)
        return attention.attend(q, keys, values), update


def fuse_keys(pipeline: Pipeline) -> None:
    """In the base blocks; the VACE blocks, which have no ring, rotate in the same way."""
    lay_writing(pipeline, Writing.compiled())


def lay_writing(pipeline: Pipeline, writing: Writing) -> None:
    """These halves in blocks that run in compiled ones."""
    for block in pipeline.transformer.blocks:
        assert isinstance(block, CompiledBaseBlock)
        lay_over(block, KeysInPlace, writing=writing)
    for block in pipeline.vace.vace_blocks:
        assert isinstance(block, CompiledVaceBlock)
        block.halves = replace(block.halves, first=writing.without_ring)
