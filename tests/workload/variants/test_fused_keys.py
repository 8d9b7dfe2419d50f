"""Keys written in place: the rotation, the places of the ring, both kinds of ring, one compile."""

import math
from typing import Any

import pytest
import torch

from harness.workload.rollout import Pipeline
from harness.workload.variants.compiled_blocks import Halves, lay_halves
from harness.workload.variants.cudnn_fp8 import explicit_product
from harness.workload.variants.fp8_attention import Arithmetic, round_attention
from harness.workload.variants.fused_keys import (
    KeysInPlace,
    Writing,
    lay_writing,
    rotate_swapped,
)
from harness.workload.variants.overlay import lay_over
from harness.workload.variants.real_rope import rotate_real
from harness.workload.variants.registry import apply, twin
from harness.workload.variants.ring_cache import RingCache

STACK = "lora-merged+ring-cache+rope-real+once+hint-list+lean-clean"
CHUNKS = 7  # filling, full, and the second turn of the ring


def clip() -> torch.Tensor:
    return torch.linspace(-1, 1, 3 * 12 * 32 * 48).reshape(1, 3, 12, 32, 48)


class Watched(RingCache):
    """Laid over a ring: counts the writes that it makes itself."""

    made: list[int]

    def _put(self, *given: Any) -> None:
        self.made.append(1)
        super()._put(*given)


def test_swapped_channels_turn_as_the_real_rotation() -> None:
    torch.manual_seed(1)
    x, angle = torch.randn(1, 7, 3, 16), torch.rand(7, 1, 8) * 2 * math.pi
    for dtype in (torch.float32, torch.bfloat16):
        got = rotate_swapped(x.to(dtype), angle.cos(), angle.sin())
        assert got.dtype == dtype and got.is_contiguous()
        assert torch.equal(got, rotate_real(x.to(dtype), angle.cos(), angle.sin()))


@pytest.mark.parametrize("in_fp8", [False, True])
def test_the_frames_are_the_same_and_the_rings_write_nothing(
    pipeline: Pipeline, in_fp8: bool
) -> None:
    copied, placed = twin(pipeline), twin(pipeline)
    for one in (copied, placed):
        apply(one, STACK)
        if in_fp8:
            round_attention(one, Arithmetic(explicit_product))
        lay_halves(one, Halves())
    lay_writing(placed, Writing())
    made: list[int] = []
    for chunk in range(CHUNKS):
        got, want = placed.run_chunk(clip(), None), copied.run_chunk(clip(), None)
        assert torch.equal(got, want)
        for mine, theirs in zip(placed.caches, copied.caches, strict=True):
            assert isinstance(mine, RingCache)
            assert all(
                torch.equal(a, b) for a, b in zip(mine.contents(), theirs.contents(), strict=True)
            )
        if chunk == 0:
            for cache in placed.caches:
                lay_over(cache, Watched, made=made)
        else:
            assert len(made) == 1  # of the block whose keys alone end the clean pass
            made.clear()


def test_tokens_that_do_not_lie_in_a_row_go_the_other_way(pipeline: Pipeline) -> None:
    apply(pipeline, STACK)
    lay_halves(pipeline, Halves())
    lay_writing(pipeline, Writing())
    pipeline.run_chunk(clip(), None)
    ring = pipeline.caches[0]
    assert isinstance(ring, RingCache)
    size, frame = ring.positions.size, pipeline.config.tokens_per_frame
    ring.positions.advance(size.tokens + frame, size.tokens)  # a frame beyond a full ring
    start = size.tokens + frame
    before_the_jump = size.tokens - size.sink_tokens - frame
    assert ring.place(start, before_the_jump) is not None
    assert ring.place(start, before_the_jump + 1) is None


@pytest.mark.usefixtures("fresh_dynamo")
def test_compiled_they_write_into_every_place_of_the_ring_by_one_compiled_function(
    pipeline: Pipeline,
) -> None:
    copied, placed = twin(pipeline), twin(pipeline)
    for one in (copied, placed):
        apply(one, STACK)
    lay_halves(copied, Halves())
    lay_halves(placed, Halves())
    lay_writing(placed, Writing.compiled())
    assert all(isinstance(block, KeysInPlace) for block in placed.transformer.blocks)
    counts = torch._dynamo.utils.counters
    graphs = 0
    for chunk in range(CHUNKS):
        got, want = placed.run_chunk(None, None), copied.run_chunk(None, None)
        torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)
        if chunk == 0:
            graphs = counts["stats"]["unique_graphs"]
    assert counts["stats"]["unique_graphs"] == graphs > 0
