"""The ring against the reference cache: the same keys and values are attended to, in any order."""

import pytest
import torch
from torch import Tensor

from harness.workload.kv_cache import BlockCache, CacheSize
from harness.workload.variants.host_index import HostIndexCache
from harness.workload.variants.ring_cache import RingCache, RingPositions

FRAME, CHUNK = 4, 12  # tokens
CPU = torch.device("cpu")


def caches(frames: int) -> tuple[BlockCache, HostIndexCache, RingCache]:
    size = CacheSize(tokens=frames * FRAME, sink_tokens=3 * FRAME, num_heads=1, head_dim=2)
    reference = BlockCache(size, device=CPU, dtype=torch.float32)
    host = HostIndexCache(size, device=CPU, dtype=torch.float32)
    return reference, host, RingCache(RingPositions(size), device=CPU, dtype=torch.float32)


def by_value(tokens: Tensor) -> Tensor:
    """[1, K, n, D] in an order that depends on the values alone."""
    rows = tokens.flatten(2)[0]
    return rows[rows[:, 0].argsort()]


def step(cache: BlockCache, k: Tensor, v: Tensor, start: int) -> tuple[Tensor, Tensor]:
    keys, values, update = cache.attend(k, v, start)
    seen = keys.clone(), values.clone()
    if isinstance(cache, RingCache):
        if not update.recompute:
            cache.positions.advance(update.global_end, update.write_end)
    else:
        cache.apply(update)
    return seen


@pytest.mark.parametrize("frames", [6, 12, 15])
def test_chunks_passes_and_recaches_attend_to_the_same_tokens(frames: int) -> None:
    reference, host, ring = caches(frames)
    generator = torch.Generator().manual_seed(frames)
    for chunk in range(9):
        writes = [(chunk * CHUNK, CHUNK)] * 3
        if chunk in (2, 7):  # a recache rewrites what the window still holds
            tokens = min(chunk * CHUNK, frames * FRAME)
            writes = [(chunk * CHUNK - tokens, tokens), *writes]
        for start, count in writes:
            k, v = torch.rand(2, 1, count, 1, 2, generator=generator)
            want = step(reference, k, v, start)
            for cache in (host, ring):
                got = step(cache, k, v, start)
                for mine, theirs in zip(got, want, strict=True):
                    torch.testing.assert_close(by_value(mine), by_value(theirs), atol=0, rtol=0)
                assert cache.indices().tolist() == reference.indices().tolist()
                for mine, theirs in zip(cache.contents(), reference.contents(), strict=True):
                    torch.testing.assert_close(mine, theirs, atol=0, rtol=0)


def test_the_ring_reads_its_own_buffer_and_copies_nothing() -> None:
    *_, ring = caches(12)
    for chunk in range(6):
        k, v = torch.rand(2, 1, CHUNK, 1, 2)
        keys, _, update = ring.attend(k, v, chunk * CHUNK)
        ring.positions.advance(update.global_end, update.write_end)
        assert keys.data_ptr() == ring.k.data_ptr()


def test_more_tokens_than_slots_beside_the_sink_are_refused() -> None:
    *_, ring = caches(4)
    ring.positions.advance(4 * FRAME, 4 * FRAME)
    k = torch.rand(1, CHUNK, 1, 2)
    with pytest.raises(ValueError, match="do not fit beside the sink"):
        ring.attend(k, k, 4 * FRAME)
