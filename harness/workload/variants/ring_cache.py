"""A ring-buffer KV cache: new tokens overwrite the oldest in place, and attention reads the buffer.

Keys are stored after RoPE, so their order does not matter to a softmax without a mask. A token of
absolute position p lies in slot p while p is in the sink, else in sink + (p - sink) mod (T - sink);
nothing is cloned, rolled, windowed or written twice.

Letters: T tokens of a cache, N new tokens, n heads, D head size.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.workload.kv_cache import BlockCache, CacheSize, Update
from harness.workload.parts import part
from harness.workload.rollout import Pipeline, cache_size
from harness.workload.transformer import CausalTransformer
from harness.workload.variants.host_index import know_frame_tokens
from harness.workload.variants.overlay import lay_over
from harness.workload.variants.positions import Plan


@dataclass(frozen=True)
class Piece:
    """Neighbouring slots that get neighbouring new tokens."""

    source: int  # the first new token
    slot: int
    count: int


class RingPositions:
    """The host's knowledge of what the rings hold; all blocks share one."""

    def __init__(self, size: CacheSize) -> None:
        self.size = size
        self.reset()

    def reset(self) -> None:
        """Nothing is cached."""
        self.global_end = self.local_end = 0

    @property
    def full(self) -> bool:
        """Whether every slot is in use."""
        return self.local_end == self.size.tokens

    def plan(self, start_token: int, count: int) -> Plan:
        """Raises ValueError for more new tokens than the ring has slots beside the sink."""
        plan = Plan.of(self.size, (self.global_end, self.local_end), start_token, count)
        if plan.roll is not None and count > self.size.tokens - self.size.sink_tokens:
            raise ValueError(f"{count} new tokens do not fit beside the sink of a ring")
        return plan

    def pieces(self, plan: Plan) -> list[Piece]:
        """The slots of a plan's tokens."""
        shift = plan.global_end - plan.local_end  # absolute minus local position
        pieces: list[Piece] = []
        position = plan.write_start
        while position < plan.local_end:
            slot, room = self.slot(position + shift)
            count = min(room, plan.local_end - position)
            pieces.append(Piece(position - plan.start, slot, count))
            position += count
        return pieces

    def slot(self, position: int) -> tuple[int, int]:
        """Slot of an absolute position, and how many neighbours follow it without a jump."""
        sink, size = self.size.sink_tokens, self.size.tokens
        if position < sink:
            return position, sink - position
        offset = (position - sink) % (size - sink)
        return sink + offset, size - sink - offset

    def attended(self, plan: Plan) -> int:
        """Slots that attention reads; an unfilled sink counts, as in the reference."""
        return max(plan.local_end, self.size.sink_tokens)

    def advance(self, global_end: int, local_end: int) -> None:
        """New tokens are cached in all blocks now."""
        self.global_end, self.local_end = global_end, local_end

    def order(self) -> list[Piece]:
        """Slots by age: the local positions of the reference cache."""
        sink, size = self.size.sink_tokens, self.size.tokens
        if not self.full:
            return [Piece(0, 0, size)]
        slot, room = self.slot(sink + self.global_end - self.local_end)
        return [Piece(0, 0, sink), Piece(sink, slot, room), Piece(sink + room, sink, slot - sink)]


class RingCache(BlockCache):
    """One block's ring. A write is at once: no later block reads this one's keys."""

    def __init__(
        self, positions: RingPositions, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.positions = positions
        super().__init__(positions.size, device=device, dtype=dtype)

    def contents(self) -> tuple[Tensor, Tensor]:
        """Keys and values [1, T, n, D] as they lie in the reference cache: oldest first."""
        return self._by_age(self.k), self._by_age(self.v)

    def indices(self) -> Tensor:
        """[2] int64 on the CPU: global and local end, in tokens."""
        return torch.tensor([self.positions.global_end, self.positions.local_end])

    def attend(self, k: Tensor, v: Tensor, start_token: int) -> tuple[Tensor, Tensor, Update]:
        """Writes new k, v [1, N, n, D] and gives the whole ring to attend to."""
        plan = self.positions.plan(start_token, k.shape[1])
        self._put(k, v, self.positions.pieces(plan))
        return self._attended(plan, k, v)

    def place(self, start_token: int, count: int) -> tuple[Tensor, Tensor] | None:
        """The slots of `count` new keys and values, [1, N, n, D] each; None if not all in a row."""
        pieces = self.positions.pieces(self.positions.plan(start_token, count))
        if [(p.source, p.count) for p in pieces] != [(0, count)]:
            return None
        end = pieces[0].slot + count
        return self.k[:, pieces[0].slot : end], self.v[:, pieces[0].slot : end]

    def attend_placed(
        self, k: Tensor, v: Tensor, start_token: int
    ) -> tuple[Tensor, Tensor, Update]:
        """What `attend` gives, of new k, v [1, N, n, D] that lie in their place already."""
        return self._attended(self.positions.plan(start_token, k.shape[1]), k, v)

    def _attended(self, plan: Plan, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Update]:
        filled = self.positions.attended(plan)
        return self.k[:, :filled], self.v[:, :filled], plan.update(k, v)

    def _by_age(self, ring: Tensor) -> Tensor:
        pieces = self.positions.order()
        return torch.cat([ring[:, p.slot : p.slot + p.count] for p in pieces], dim=1)

    @part("cache.write")
    def _put(self, k: Tensor, v: Tensor, pieces: list[Piece]) -> None:
        for ring, new in ((self.k, k), (self.v, v)):
            for p in pieces:
                ring[:, p.slot : p.slot + p.count] = new[:, p.source : p.source + p.count]

    def _new_indices(self) -> None:
        self.positions.reset()


class RingPipeline(Pipeline):
    """Laid over the pipeline, so that its caches are rings."""

    def new_caches(self) -> list[BlockCache]:
        """Empty rings of all blocks, with one common host position."""
        positions = RingPositions(cache_size(self.config))
        blocks = range(self.config.model.num_layers)
        return [RingCache(positions, device=self.device, dtype=self.dtype) for _ in blocks]


class NothingDeferred(CausalTransformer):
    """Laid over the transformer: after the last block only the common position moves on."""

    def _update(self, caches: list[BlockCache], updates: list[Update]) -> None:
        ring = caches[0]
        assert isinstance(ring, RingCache)
        if not updates[0].recompute:
            ring.positions.advance(updates[0].global_end, updates[0].write_end)


def use_rings(pipeline: Pipeline) -> None:
    """Rings for all blocks, and no item of the grid."""
    lay_over(pipeline, RingPipeline)
    lay_over(pipeline.transformer, NothingDeferred)
    know_frame_tokens(pipeline)
    pipeline.attention.keep_keys("cached_self")


class WrongSlot(RingPositions):
    """A mistake for the proof of the output: new tokens land one frame beside their slot."""

    frame_tokens: int

    def pieces(self, plan: Plan) -> list[Piece]:
        """The right pieces, moved by a frame within the ring once it is full."""
        pieces = super().pieces(plan)
        if not self.full:
            return pieces
        sink, size = self.size.sink_tokens, self.size.tokens
        moved = [sink + (p.slot - sink + self.frame_tokens) % (size - sink) for p in pieces]
        return [
            Piece(p.source, slot, min(p.count, size - slot))
            for p, slot in zip(pieces, moved, strict=True)
        ]


class WrongRingPipeline(Pipeline):
    """Laid over a pipeline with rings."""

    def new_caches(self) -> list[BlockCache]:
        """Rings whose common position makes the mistake."""
        caches = super().new_caches()
        positions = WrongSlot(cache_size(self.config))
        positions.frame_tokens = self.config.tokens_per_frame
        for cache in caches:
            assert isinstance(cache, RingCache)
            cache.positions = positions
        return caches


def use_wrong_slots(pipeline: Pipeline) -> None:
    """The mistake of every block."""
    lay_over(pipeline, WrongRingPipeline)
