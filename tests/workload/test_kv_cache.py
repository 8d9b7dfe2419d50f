"""The rolling cache against a plain list of all frames ever seen."""

import torch
from torch import Tensor

from harness.workload.kv_cache import BlockCache, CacheSize

FRAME = 2  # tokens of a frame
SIZE = CacheSize(tokens=12 * FRAME, sink_tokens=3 * FRAME, num_heads=1, head_dim=4)


def chunk(start_frame: int, frames: int, salt: float) -> Tensor:
    """Keys that tell their token position and the forward that wrote them."""
    position = torch.arange(start_frame * FRAME, (start_frame + frames) * FRAME).float()
    return (position + salt).view(1, -1, 1, 1).expand(1, -1, 1, 4).contiguous()


def test_window_is_sink_and_latest_frames_over_many_chunks() -> None:
    cache = BlockCache(SIZE, device=torch.device("cpu"), dtype=torch.float32)
    clean: list[Tensor] = []
    for index in range(8):
        for step in range(3):
            k = chunk(3 * index, 3, salt=step / 10)
            keys, values, update = cache.attend(k, -k, 3 * index * FRAME)
            cache.apply(update)
            history = torch.cat([*clean, k], dim=1)
            window = torch.cat(
                [history[:, : 3 * FRAME], history[:, 3 * FRAME :][:, -9 * FRAME :]], 1
            )
            assert torch.equal(keys, window)
            assert torch.equal(values, -window)
        clean.append(k)
    assert cache.global_end.item() == 24 * FRAME
    assert cache.local_end.item() == 12 * FRAME


def test_attend_leaves_the_cache_alone_until_applied() -> None:
    cache = BlockCache(SIZE, device=torch.device("cpu"), dtype=torch.float32)
    cache.attend(chunk(0, 3, 0.5), chunk(0, 3, 0.5), 0)
    assert not cache.k.any()
    assert cache.local_end.item() == 0


def test_a_long_recache_keeps_the_sink() -> None:
    cache = BlockCache(SIZE, device=torch.device("cpu"), dtype=torch.float32)
    for index in range(6):
        k = chunk(3 * index, 3, 0.0)
        cache.apply(cache.attend(k, k, 3 * index * FRAME)[2])
    again = chunk(6, 12, 0.5)
    keys, _, update = cache.attend(again, again, 6 * FRAME)
    assert update.recompute
    cache.apply(update)
    assert torch.equal(cache.k[:, : 3 * FRAME], chunk(0, 3, 0.0))
    assert torch.equal(cache.k[:, 3 * FRAME :], again[:, 3 * FRAME :])
    assert torch.equal(keys, cache.k)


def test_reset_zeroes_in_place_and_makes_new_indices() -> None:
    cache = BlockCache(SIZE, device=torch.device("cpu"), dtype=torch.float32)
    storage, index = cache.k.data_ptr(), cache.local_end
    k = chunk(0, 3, 1.0)
    cache.apply(cache.attend(k, k, 0)[2])
    cache.text_k = cache.text_v = k
    cache.reset()
    assert cache.k.data_ptr() == storage
    assert cache.local_end is not index
    assert not cache.k.any()
    assert cache.text_k is None
