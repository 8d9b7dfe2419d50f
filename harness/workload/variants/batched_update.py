"""The deferred cache writes of all blocks in one call a side, instead of one call a tensor."""

import torch

from harness.workload.kv_cache import BlockCache, Update
from harness.workload.parts import part
from harness.workload.rollout import Pipeline
from harness.workload.transformer import CausalTransformer
from harness.workload.variants.overlay import lay_over


class BatchedUpdate(CausalTransformer):
    """Laid over the transformer."""

    @part("cache.update")
    def _update(self, caches: list[BlockCache], updates: list[Update]) -> None:
        pairs = list(zip(caches, updates, strict=True))
        targets, sources = [], []
        for cache, update in pairs:
            size = cache.size
            for cached in (cache.k, cache.v):
                if update.roll is not None:
                    source = size.sink_tokens + update.roll.evicted
                    targets.append(cached.narrow(1, size.sink_tokens, update.roll.kept))
                    # The move overlaps itself, so its source is a copy.
                    sources.append(cached.narrow(1, source, update.roll.kept).clone())
        _copy_all(targets, sources)
        written = [
            (cached[:, update.write_start : update.write_end], new)
            for cache, update in pairs
            for cached, new in ((cache.k, update.k), (cache.v, update.v))
        ]
        _copy_all([target for target, _ in written], [new for _, new in written])
        for cache, update in pairs:
            cache.note(update)


def _copy_all(targets: list[torch.Tensor], sources: list[torch.Tensor]) -> None:
    if targets:
        torch._foreach_copy_(targets, sources)


def batch(pipeline: Pipeline) -> None:
    """One batch of writes after the last block."""
    lay_over(pipeline.transformer, BatchedUpdate)
