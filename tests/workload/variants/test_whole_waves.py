"""Attention in whole waves: the plan's properties, the merge against one call, and the refusals."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from harness.errors import CaseError
from harness.workload.attention import sdpa
from harness.workload.rollout import Pipeline
from harness.workload.variants import whole_waves
from harness.workload.variants.registry import apply, twin
from harness.workload.variants.whole_waves import (
    NAME,
    TILE,
    Split,
    WholeWaves,
    joined,
    plan,
    use_whole_waves,
)

H100 = 132  # multiprocessors


def with_sums(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """The explicit arithmetic in float32."""
    queries, keys, values = (x.float().transpose(1, 2) for x in (q, k, v))
    logits = queries @ keys.transpose(-1, -2) / math.sqrt(q.shape[-1])
    out = logits.softmax(dim=-1) @ values
    return out.transpose(1, 2).to(q.dtype), logits.logsumexp(dim=-1)


def backend(processors: int) -> WholeWaves:
    return WholeWaves(processors, sdpa, with_sums, joined)


def test_a_chunk_on_132_multiprocessors_takes_two_waves_and_a_quarter() -> None:
    for keys in (3072, 6144, 9216, 12288):
        assert plan(3072, keys, heads=12, processors=H100) == Split(22 * TILE, 4)
    assert plan(22 * TILE, 12288, heads=12, processors=H100) is None  # whole already
    assert plan(11 * TILE - 1, 12288, heads=12, processors=H100) is None
    assert plan(3072, 512, heads=12, processors=H100) is None  # the text: not worth a second call
    assert plan(4680, 18720, heads=12, processors=H100) == Split(33 * TILE, 8)  # 832x480


@given(
    queries=st.integers(1, 20_000),
    keys=st.integers(1, 40_000),
    heads=st.integers(1, 40),
    processors=st.integers(1, 200),
)
def test_a_split_is_whole_and_of_fewer_waves(
    queries: int, keys: int, heads: int, processors: int
) -> None:
    split = plan(queries, keys, heads=heads, processors=processors)
    if split is None:
        return
    assert 0 < split.queries < queries and split.queries % TILE == 0
    assert keys % split.pieces == 0
    first = split.queries // TILE * heads
    rest = math.ceil((queries - split.queries) / TILE) * heads * split.pieces
    waves = math.ceil(first / processors) + math.ceil(rest / processors) / split.pieces
    assert waves < math.ceil(math.ceil(queries / TILE) * heads / processors)


@pytest.mark.parametrize("split", [Split(128, 1), Split(128, 4), Split(256, 3)])
def test_the_merged_parts_are_one_attention(split: Split) -> None:
    torch.manual_seed(1)
    q, k, v = torch.randn(1, 300, 3, 16), torch.randn(1, 96, 3, 16), torch.randn(1, 96, 3, 16)
    k[:, 48:] *= 4  # pieces whose shares differ much
    torch.testing.assert_close(backend(4).split(q, k, v, split), sdpa(q, k, v))
    ring = torch.randn(1, 200, 3, 16)[:, :96]  # keys that are a slice of a larger tensor
    torch.testing.assert_close(backend(4).split(q, ring, v, split), sdpa(q, ring, v))


def test_a_pipeline_in_whole_waves_gives_the_same_frames(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_waves, "TILE", 8)
    monkeypatch.setattr(whole_waves, "WAVE_KEYS", 0)
    monkeypatch.setattr(whole_waves, "CALL_KEYS", 0)
    splits: list[Split] = []

    class Counted(WholeWaves):
        def split(self, q: Tensor, k: Tensor, v: Tensor, split: Split) -> Tensor:
            splits.append(split)
            return super().split(q, k, v, split)

    changed = twin(pipeline)
    apply(changed, "ring-cache")
    for use in ("cached_self", "vace_self"):
        changed.attention.bind(use, "counted", Counted(5, sdpa, with_sums, joined))
    pixels = torch.linspace(-1, 1, 3 * 12 * 32 * 48).reshape(1, 3, 12, 32, 48)
    for _ in range(3):
        got, want = changed.run_chunk(pixels, None), pipeline.run_chunk(pixels, None)
        torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)
    assert {split.pieces for split in splits} - {1}


def test_where_it_cannot_run_it_is_refused_in_one_line(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CaseError, match=r"needs a GPU for .*whole-waves"):
        apply(pipeline, "whole-waves")

    def refuse(*_: object) -> Tensor:
        raise RuntimeError("No available kernel.\nsecond line")

    monkeypatch.setattr(WholeWaves, "of_gpu", lambda _: WholeWaves(8, refuse, with_sums, joined))
    with pytest.raises(CaseError, match=r"cannot run here: No available kernel\.; it needs"):
        use_whole_waves(pipeline)


def test_sums_of_another_kind_are_found_before_anything_is_measured(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_waves, "cudnn", sdpa)

    def in_bits(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        out, sums = with_sums(q, k, v)
        return out, sums / math.log(2)

    def swapped(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        out, sums = with_sums(q, k, v)
        return out, sums.flip(0)

    def of_weights(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        out, sums = with_sums(q, k, v)
        return out, sums.exp()

    for wrong in (in_bits, swapped, of_weights):
        made = WholeWaves(8, sdpa, wrong, joined)
        monkeypatch.setattr(WholeWaves, "of_gpu", lambda _, made=made: made)
        with pytest.raises(CaseError, match="gives another attention than one call"):
            use_whole_waves(pipeline)
    monkeypatch.setattr(WholeWaves, "of_gpu", lambda _: WholeWaves(8, sdpa, with_sums, joined))
    use_whole_waves(pipeline)
    assert pipeline.attention.named("vace_self") == NAME
