"""Where new tokens go in a cache, in integers alone: the reference's rule without its reads."""

from dataclasses import dataclass

from torch import Tensor

from harness.workload.kv_cache import CacheSize, Roll, Update


@dataclass(frozen=True)
class Plan:
    """One write of new tokens. Local positions are those of the reference cache, oldest first."""

    roll: Roll | None
    start: int  # local position of the first new token, written or not
    write_start: int  # of the first one that is written: a recomputed sink stays as it is
    local_end: int
    global_end: int
    recompute: bool

    @classmethod
    def of(cls, size: CacheSize, ends: tuple[int, int], start_token: int, count: int) -> "Plan":
        """The plan for `count` tokens from absolute position `start_token` on.

        `ends` are the cache's global and local end before it. Source: specification, section 9.2.
        """
        global_end, local_end = ends
        end, sink = start_token + count, size.sink_tokens
        recompute = end <= global_end and start_token > 0
        roll = None
        if end > global_end and count + local_end > size.tokens:
            evicted = count + local_end - size.tokens
            roll = Roll(evicted, local_end - evicted - sink)
        local_end += end - global_end - (roll.evicted if roll else 0)
        start = local_end - count
        write_start = max(start, sink) if recompute else start
        return cls(roll, start, write_start, local_end, end, recompute)

    def update(self, k: Tensor, v: Tensor) -> Update:
        """The write of new k, v [1, N, n, D], without those that must not replace a sink."""
        first = self.write_start - self.start
        return Update(
            self.roll,
            self.write_start,
            self.local_end,
            self.global_end,
            self.recompute,
            k[:, first:],
            v[:, first:],
        )
