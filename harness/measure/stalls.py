"""Stretches in which nothing was sampled: the sampler, its container or the host stood still."""

from collections.abc import Sequence
from itertools import pairwise

LIMIT_S = 3.0  # a loaded host delays a sample; less than this is no stall
MOST_TOLD = 5


def stalls(
    times_s: Sequence[float], pauses: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """(begin, end) of each gap between samples, on their own clock, that no pause explains."""
    gaps = []
    for begin_s, end_s in pairwise(times_s):
        paused_s = sum(
            max(0.0, min(end_s, stop_s) - max(begin_s, start_s)) for start_s, stop_s in pauses
        )
        if end_s - begin_s - paused_s > LIMIT_S:
            gaps.append((begin_s, end_s))
    return gaps


def told(gaps: Sequence[tuple[float, float]]) -> list[str]:
    """One line for each gap, as flags of a case."""
    lines = [
        f"nothing was sampled from {begin_s:.1f} s to {end_s:.1f} s: something stood still"
        for begin_s, end_s in gaps[:MOST_TOLD]
    ]
    if len(gaps) > MOST_TOLD:
        lines.append(f"nothing was sampled in {len(gaps) - MOST_TOLD} more stretches")
    return lines
