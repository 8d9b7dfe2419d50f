"""Other numbers of steps and other windows: the ring agrees with the cache at each of them."""

from dataclasses import replace

import pytest
import torch

from harness.presets import timestep_list, with_window
from harness.workload.rollout import Pipeline
from harness.workload.variants.registry import apply, twin

PIXELS = torch.linspace(-1, 1, 3 * 12 * 32 * 48).reshape(1, 3, 12, 32, 48)


@pytest.mark.parametrize(("steps", "window"), [(1, 12), (8, 12), (4, 3), (4, 6), (2, 24)])
def test_a_ring_gives_what_the_cache_gives_at_every_point(
    pipeline: Pipeline, steps: int, window: int
) -> None:
    model = with_window(pipeline.config.model, window)
    point = replace(pipeline.config, model=model, steps=timestep_list(steps))
    plain = twin(pipeline)
    plain.config = point
    ring = twin(plain)
    apply(ring, "ring-cache+once")
    seen: list[str] = []
    plain.watch = lambda name, _: seen.append(name)
    chunks = window // 3 + 2
    for _ in range(chunks):
        got, want = ring.run_chunk(PIXELS, None), plain.run_chunk(PIXELS, None)
        torch.testing.assert_close(got, want, atol=2e-5, rtol=0)
    assert seen.count(f"step{steps - 1}/x0") == chunks and f"step{steps}/x0" not in seen
    assert plain.first_steady_chunk == window // 3
    assert plain.caches[0].size.tokens == window * point.tokens_per_frame
