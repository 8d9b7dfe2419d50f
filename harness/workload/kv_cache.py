"""Rolling KV cache with a sink, in the reference semantics: cloned, windowed, written twice.

Per block: k, v [1, T, n, D] (T = local_attn_frames * S tokens; k after RoPE with absolute
positions) and two one-element int64 tensors on the device. Every read of an index is an `.item()`
and synchronises: that is the baseline's cost and part of what is measured.

Letters: S tokens of a latent frame, N new tokens, n heads, D head size.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.workload.parts import part


@dataclass(frozen=True)
class Roll:
    """A move of `kept` tokens inside the cache that drops `evicted` tokens behind the sink."""

    evicted: int
    kept: int


@dataclass(frozen=True)
class Update:
    """What a self-attention call decided to write; applied after the last block."""

    roll: Roll | None
    write_start: int
    write_end: int
    global_end: int
    recompute: bool
    k: Tensor  # [1, write_end - write_start, n, D]
    v: Tensor


@dataclass(frozen=True)
class CacheSize:
    """Sizes of one block's cache, in tokens and heads."""

    tokens: int
    sink_tokens: int
    num_heads: int
    head_dim: int


class BlockCache:
    """Self-attention and cross-attention cache of one block."""

    def __init__(self, size: CacheSize, *, device: torch.device, dtype: torch.dtype) -> None:
        shape = (1, size.tokens, size.num_heads, size.head_dim)
        self.size = size
        self.k = torch.zeros(shape, device=device, dtype=dtype)
        self.v = torch.zeros(shape, device=device, dtype=dtype)
        self.text_k: Tensor | None = None  # [1, text_len, n, D]
        self.text_v: Tensor | None = None
        self._new_indices()

    def reset(self) -> None:
        """Zeroes everything in place; the index tensors are new."""
        self.k.zero_()
        self.v.zero_()
        self._new_indices()
        self.forget_text()

    def forget_text(self) -> None:
        """The next forward computes the text's keys and values again."""
        self.text_k = self.text_v = None

    def contents(self) -> tuple[Tensor, Tensor]:
        """Keys and values [1, T, n, D] as they lie in the reference cache: oldest first."""
        return self.k, self.v

    def indices(self) -> Tensor:
        """[2] int64: global and local end, in tokens."""
        return torch.cat([self.global_end, self.local_end])

    def attend(self, k: Tensor, v: Tensor, start_token: int) -> tuple[Tensor, Tensor, Update]:
        """Keys and values to attend to for new k, v [1, N, n, D], and the update to apply later."""
        update = self._plan(k, v, start_token)
        all_k, all_v = self._clones()
        self._write(all_k, all_v, update)
        return self._window(all_k, update), self._window(all_v, update), update

    def apply(self, update: Update) -> None:
        """The deferred write, once all blocks have run."""
        self._write(self.k, self.v, update)
        self.note(update)

    def note(self, update: Update) -> None:
        """The indices after a write."""
        if not update.recompute:
            self.global_end.fill_(update.global_end)
            self.local_end.fill_(update.write_end)

    @part("cache.index")
    def _plan(self, k: Tensor, v: Tensor, start_token: int) -> Update:
        """Where the new tokens go: all reads of the indices."""
        size, sink, n = self.size.tokens, self.size.sink_tokens, k.shape[1]
        end = start_token + n
        recompute = end <= self.global_end.item() and start_token > 0
        roll = None
        if end > self.global_end.item() and n + self.local_end.item() > size:
            evicted = int(n + self.local_end.item() - size)
            roll = Roll(evicted, int(self.local_end.item()) - evicted - sink)
        local_end = int(self.local_end.item() + end - self.global_end.item())
        if roll is not None:
            local_end -= roll.evicted
        start = local_end - n
        write_start = max(start, sink) if recompute else start
        new_k, new_v = k[:, write_start - start :], v[:, write_start - start :]
        return Update(roll, write_start, local_end, end, recompute, new_k, new_v)

    @part("cache.clone")
    def _clones(self) -> tuple[Tensor, Tensor]:
        return self.k.clone(), self.v.clone()

    @part("cache.window")
    def _window(self, cached: Tensor, update: Update) -> Tensor:
        """Sink and latest tokens, [1, K, n, D]."""
        size, sink, end = self.size.tokens, self.size.sink_tokens, update.write_end
        latest = max(sink, end - (size - sink))
        return torch.cat([cached[:, :sink], cached[:, latest:end]], dim=1)

    def _write(self, all_k: Tensor, all_v: Tensor, update: Update) -> None:
        if update.roll is not None:
            self._move(all_k, all_v, update.roll)
        self._insert(all_k, all_v, update)

    @part("cache.roll")
    def _move(self, all_k: Tensor, all_v: Tensor, roll: Roll) -> None:
        source = self.size.sink_tokens + roll.evicted
        target = self.size.sink_tokens
        for cached in (all_k, all_v):
            moved = cached[:, source : source + roll.kept].clone()
            cached[:, target : target + roll.kept] = moved

    @part("cache.write")
    def _insert(self, all_k: Tensor, all_v: Tensor, update: Update) -> None:
        all_k[:, update.write_start : update.write_end] = update.k
        all_v[:, update.write_start : update.write_end] = update.v

    def _new_indices(self) -> None:
        self.global_end = torch.zeros(1, dtype=torch.int64, device=self.k.device)
        self.local_end = torch.zeros(1, dtype=torch.int64, device=self.k.device)
