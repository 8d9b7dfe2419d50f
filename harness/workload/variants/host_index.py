"""Cache indices as integers on the host, so that no block waits for the device to read them."""

import torch
from torch import Tensor

from harness.workload.kv_cache import BlockCache, Update
from harness.workload.layers import CachedSelfAttention
from harness.workload.parts import part
from harness.workload.rollout import Pipeline, cache_size
from harness.workload.variants.overlay import lay_over
from harness.workload.variants.positions import Plan


class HostIndexCache(BlockCache):
    """The reference cache, except for where its two indices live."""

    _global: int
    _local: int

    def indices(self) -> Tensor:
        """[2] int64 on the CPU: global and local end, in tokens."""
        return torch.tensor([self._global, self._local])

    def note(self, update: Update) -> None:
        """The indices after a write."""
        if not update.recompute:
            self._global, self._local = update.global_end, update.write_end

    @part("cache.index")
    def _plan(self, k: Tensor, v: Tensor, start_token: int) -> Update:
        """Where the new tokens go."""
        return Plan.of(self.size, (self._global, self._local), start_token, k.shape[1]).update(k, v)

    def _new_indices(self) -> None:
        self._global = self._local = 0


class KnownFrameTokens(CachedSelfAttention):
    """Laid over the self-attention of a base block: the size of a frame is a number here."""

    known_frame_tokens: int

    def frame_tokens(self, grid: Tensor) -> int:
        """Tokens of a frame; `grid` is not read."""
        return self.known_frame_tokens


class HostIndexed(Pipeline):
    """Laid over the pipeline, so that its caches keep their indices on the host."""

    def new_caches(self) -> list[BlockCache]:
        """Empty caches of all blocks."""
        size, blocks = cache_size(self.config), range(self.config.model.num_layers)
        return [HostIndexCache(size, device=self.device, dtype=self.dtype) for _ in blocks]


def use_host_indices(pipeline: Pipeline) -> None:
    """Caches with host indices, and no item of the grid."""
    lay_over(pipeline, HostIndexed)
    know_frame_tokens(pipeline)


def know_frame_tokens(pipeline: Pipeline) -> None:
    """Tells every base block how many tokens a frame has."""
    for block in pipeline.transformer.blocks:
        tokens = pipeline.config.tokens_per_frame
        lay_over(block.self_attn, KnownFrameTokens, known_frame_tokens=tokens)
