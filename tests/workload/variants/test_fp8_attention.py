"""FP8 attention: scales and rounding, the explicit product, a whole pipeline, and the refusals."""

import math
import sys
from typing import Any
from unittest.mock import MagicMock

import pytest
import torch
import torch.nn.functional as F

from harness.errors import CaseError
from harness.workload.attention import sdpa
from harness.workload.rollout import Pipeline
from harness.workload.variants import fp8_attention
from harness.workload.variants.compiled_blocks import (
    Halves,
    Three,
    lay_halves,
    rounded_before_attention,
)
from harness.workload.variants.cudnn_fp8 import (
    ROOM,
    CudnnProduct,
    Scales,
    explicit_product,
    explicit_with_sums,
)
from harness.workload.variants.e4m3 import FP8, LARGEST, restored, rounded
from harness.workload.variants.fp8_attention import (
    WHOLE_WAVES,
    Arithmetic,
    Fp8Ring,
    Fp8SelfAttention,
    InWaves,
    round_attention,
    use_fp8,
)
from harness.workload.variants.fp8_linears import dequantised_product, quantise
from harness.workload.variants.real_rope import rotate_real
from harness.workload.variants.registry import apply, twin
from harness.workload.variants.whole_waves import Split, joined

ARITHMETIC = Arithmetic(explicit_product)


def scales_of(pipeline: Pipeline) -> Scales:
    attention = pipeline.transformer.blocks[0].self_attn
    assert isinstance(attention, fp8_attention.CachedSelfAttention)
    return Scales.of(attention)


def scales_for(pipeline: Pipeline, v: torch.Tensor) -> Scales:
    """For normally distributed queries and keys, and these values."""
    scales = scales_of(pipeline)
    for scale in (scales.q, scales.k):
        scale.fill_(4 / LARGEST)
    scales.measure(v)
    return scales


def test_no_query_or_key_exceeds_its_scale_before_or_after_rope(pipeline: Pipeline) -> None:
    torch.manual_seed(1)
    attention = pipeline.transformer.blocks[0].self_attn
    with torch.no_grad():
        attention.norm_q.weight.uniform_(-3, 3)
        x = torch.zeros(1, 5, attention.norm_q.weight.shape[0])
        x[0, :, attention.norm_q.weight.abs().argmax()] = 1e3  # all of the norm in one channel
        q = attention.heads(attention.norm_q(x))
    angle = torch.rand(5, 1, q.shape[-1] // 2) * 2 * math.pi
    turned = rotate_real(q, angle.cos(), angle.sin())
    scale = scales_of(pipeline).q
    for values in (q, turned):
        assert float((values / scale).abs().max()) <= LARGEST * (1 + 1e-5)
    assert float((q / scale).abs().max()) > 0.99 * LARGEST  # and it is no larger than it must be


def test_values_are_scaled_by_the_first_tokens_with_room(pipeline: Pipeline) -> None:
    scales = scales_of(pipeline)
    address = scales.v.data_ptr()
    scales.measure(torch.tensor([[-3.0, 2.0]]))
    assert float(scales.v) == pytest.approx(3 * ROOM / LARGEST)
    assert float(scales.v * scales.v_inverse) == pytest.approx(1.0)
    assert scales.v.data_ptr() == address
    scales.measure(torch.zeros(1, 2))
    assert float(scales.v) > 0
    assert float(scales.k * LARGEST) > 0 and float(scales.weight * scales.weight_inverse) == 1.0


def test_rounding_keeps_three_bits_and_what_is_too_large_becomes_the_largest() -> None:
    torch.manual_seed(2)
    x, scale = torch.randn(2, 64), torch.tensor([0.01])
    coarse = rounded(x, scale)
    back = restored(coarse, scale, torch.float32)
    assert coarse.dtype == FP8 and coarse.is_contiguous() and back.dtype == torch.float32
    assert bool(((back - x).abs() <= x.abs() / 16 + 0.01 / 2**9).all())
    assert float(rounded(torch.tensor([1e9]), scale).float()) == LARGEST


def test_the_explicit_product_is_attention_within_the_rounding(pipeline: Pipeline) -> None:
    torch.manual_seed(3)
    q, k, v = torch.randn(1, 6, 2, 16), torch.randn(1, 40, 2, 16), torch.randn(1, 40, 2, 16)
    scales = scales_for(pipeline, v)
    factors = (scales.q, scales.k, scales.v)
    coarse = [rounded(x, factor) for x, factor in zip((q, k, v), factors, strict=True)]
    got = restored(explicit_product(*coarse, scales), scales.v, torch.float32)
    exact = [(x.float() * f).transpose(1, 2) for x, f in zip(coarse, factors, strict=True)]
    want = F.scaled_dot_product_attention(*exact).transpose(1, 2)
    error = (got - want).norm() / want.norm()
    assert 1e-4 < float(error) < 0.05  # of the weights and of the output


def test_a_pipeline_over_fp8_rings_stays_near_also_after_a_cut(pipeline: Pipeline) -> None:
    changed, untouched = twin(pipeline), twin(pipeline)
    apply(changed, "lora-merged+fused-qkv+ring-cache+rope-real+once+lean-clean")
    round_attention(changed, ARITHMETIC)
    pixels = torch.linspace(-1, 1, 3 * 12 * 32 * 48).reshape(1, 3, 12, 32, 48)
    for chunk in range(7):  # filling, full, and the second turn of the ring
        if chunk == 5:
            for one in (changed, pipeline, untouched):
                one.reset()
        got, want = changed.run_chunk(pixels, None), pipeline.run_chunk(pixels, None)
        assert torch.equal(untouched.run_chunk(pixels, None), want)
        assert 0 < float((got - want).abs().max()) < 0.1
    for mine, theirs in zip(changed.caches, pipeline.caches, strict=True):
        assert isinstance(mine, Fp8Ring) and mine.k.dtype == FP8
        for got, want in zip(mine.contents(), theirs.contents(), strict=True):
            assert got.dtype == want.dtype
            assert F.cosine_similarity(got.flatten(), want.flatten(), dim=0) > 0.99
    assert not any(isinstance(b.self_attn, Fp8SelfAttention) for b in pipeline.transformer.blocks)


def test_halves_that_round_themselves_give_the_same_frames(pipeline: Pipeline) -> None:
    between, within = twin(pipeline), twin(pipeline)
    for one in (between, within):
        apply(one, "lora-merged+ring-cache+rope-real+once+hint-list+lean-clean")
        round_attention(one, ARITHMETIC)
    rounds: list[int] = []

    def counted(*given: Any) -> Three:
        rounds.append(1)
        return rounded_before_attention(*given)

    def never(*_: Any) -> Three:
        raise AssertionError("nothing is compiled for the first forward of a stream")

    lay_halves(within, Halves(rounded_first=counted, base_second=never))
    pixels = torch.linspace(-1, 1, 3 * 12 * 32 * 48).reshape(1, 3, 12, 32, 48)
    blocks = len(pipeline.transformer.blocks)
    calls = blocks * (len(pipeline.config.steps) + 1) - 1
    for chunk in range(6):  # the empty ring, filling, full; then the cut
        if chunk == 5:
            for one in (between, within):
                one.reset()
        assert torch.equal(within.run_chunk(pixels, None), between.run_chunk(pixels, None))
        measuring = blocks if chunk in (0, 5) else 0  # the first forward over an empty ring
        assert len(rounds) == calls - measuring
        rounds.clear()


@pytest.mark.usefixtures("fresh_dynamo")
def test_compiled_halves_are_as_near_the_plain_ones_as_rounding_lets_them(
    pipeline: Pipeline,
) -> None:
    plain, compiled = twin(pipeline), twin(pipeline)
    for one, halves in ((plain, Halves()), (compiled, Halves.compiled())):
        apply(one, "lora-merged+ring-cache+rope-real+once+hint-list")
        quantise(one, dequantised_product)
        round_attention(one, ARITHMETIC)
        lay_halves(one, halves)
    for _ in range(2):
        got, want = compiled.run_chunk(None, None), plain.run_chunk(None, None)
        rounding = (want - pipeline.run_chunk(None, None)).norm()
        # Sums in another order: what lies between two steps of e4m3 falls to the one or the other.
        assert 0 < float((got - want).norm() / rounding) < 0.8


def test_in_whole_waves_the_product_is_the_same_within_its_rounding(pipeline: Pipeline) -> None:
    torch.manual_seed(5)
    q, k, v = torch.randn(1, 400, 3, 16), torch.randn(1, 96, 3, 16), torch.randn(1, 96, 3, 16)
    scales = scales_for(pipeline, v)
    factors = (scales.q, scales.k, scales.v)
    q, k, v = (rounded(x, factor) for x, factor in zip((q, k, v), factors, strict=True))
    waves = InWaves(9, explicit_product, explicit_with_sums, joined)
    got = waves.over(scales).split(q, k, v, Split(256, 4))
    want = explicit_product(q, k, v, scales)
    assert got.dtype == FP8 and got.shape == want.shape
    assert torch.equal(got[:, :256].float(), want[:, :256].float())
    rest = [x[:, 256:].float() for x in (got, want)]
    error = (rest[0] - rest[1]).norm() / rest[1].norm()
    assert 1e-4 < float(error) < 0.05  # each piece is rounded before they are merged


def test_with_whole_waves_the_product_is_tried_in_waves(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(pipeline, "ring-cache")
    pipeline.attention.bind("cached_self", WHOLE_WAVES, sdpa)
    monkeypatch.setattr(fp8_attention, "CudnnProduct", lambda: explicit_product)

    def with_sums_in_bits(*given: Any) -> tuple[torch.Tensor, torch.Tensor]:
        out, sums = explicit_with_sums(*given)
        return out, sums / math.log(2)

    for sums, sound in ((explicit_with_sums, True), (with_sums_in_bits, False)):
        made = InWaves(2, explicit_product, sums, joined)
        monkeypatch.setattr(InWaves, "of_gpu", lambda _, made=made: made)
        if sound:
            assert fp8_attention._in_waves(pipeline) is made
            continue
        with pytest.raises(CaseError, match="gives another attention than one call"):
            use_fp8(pipeline)
    monkeypatch.setattr(
        InWaves, "of_gpu", lambda _: InWaves(2, explicit_product, explicit_with_sums, joined)
    )
    use_fp8(pipeline)
    attention = pipeline.transformer.blocks[0].self_attn
    assert isinstance(attention, Fp8SelfAttention)
    assert isinstance(attention.arithmetic.product, InWaves)


def test_the_kernel_is_named_in_a_profile(pipeline: Pipeline) -> None:
    apply(pipeline, "ring-cache")
    round_attention(pipeline, ARITHMETIC)
    pixels = torch.zeros(1, 3, 12, 32, 48)
    pipeline.attention.trace("cached_self")
    with torch.profiler.profile() as profile:
        pipeline.run_chunk(pixels, None)
    calls = {event.key: event.count for event in profile.key_averages()}
    blocks = len(pipeline.transformer.blocks)
    forwards = len(pipeline.config.steps) + 1
    assert calls["attention.cached_self"] == calls[fp8_attention.KERNEL] == blocks * forwards


def test_where_it_cannot_run_it_is_refused_in_one_line(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CaseError, match=r"needs a GPU for .*fp8-attention"):
        apply(pipeline, "fp8-attention")
    apply(pipeline, "ring-cache")
    monkeypatch.setitem(sys.modules, "cudnn", None)
    with pytest.raises(CaseError, match=r"cannot run here: .*cudnn.*; it needs nvidia-cudnn"):
        use_fp8(pipeline)

    def refuse(*_: object) -> torch.Tensor:
        raise RuntimeError("No execution plan\nsecond line")

    monkeypatch.setattr(fp8_attention, "CudnnProduct", lambda: refuse)
    with pytest.raises(CaseError, match=r"cannot run here: No execution plan; it needs"):
        use_fp8(pipeline)
    block = pipeline.transformer.blocks[0]
    assert not isinstance(block.self_attn, Fp8SelfAttention)


def test_what_cudnn_has_no_kernel_for_is_refused_too(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own error is an Exception and nothing narrower; played, for it takes a GPU to see it."""

    class NotSupportedError(Exception):
        pass

    def build(_: object) -> None:
        raise NotSupportedError("No valid engine configs\nand their list")

    class Graph(MagicMock):
        def sdpa_fp8(self, **_: object) -> list[MagicMock]:
            return [MagicMock() for _ in range(4)]

    graph = Graph()
    graph.build = build
    played = MagicMock(pygraph=lambda **_: graph, cudnnGraphNotSupportedError=NotSupportedError)
    monkeypatch.setitem(sys.modules, "cudnn", played)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: MagicMock())
    apply(pipeline, "ring-cache")
    with pytest.raises(CaseError, match=r"cannot run here: No valid engine configs; it needs"):
        fp8_attention._try_product(pipeline, CudnnProduct())
