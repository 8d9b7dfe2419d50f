"""FP8 linears: the arithmetic against an explicit one, what is left alone, and the refusals."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.errors import CaseError
from harness.workload.rollout import Pipeline
from harness.workload.variants import fp8_linears
from harness.workload.variants.e4m3 import LARGEST
from harness.workload.variants.fp8_linears import (
    GELU_DEPTH,
    Fp8Ffn,
    Fp8Linear,
    dequantised_product,
    gelu,
    gelu_scaled,
    quantise,
    scaled,
    tensor_core_product,
    timed_linears,
    use_fp8,
)
from harness.workload.variants.overlay import lay_over
from harness.workload.variants.registry import apply, twin


def test_a_row_is_scaled_to_the_largest_value_and_comes_back_within_a_step() -> None:
    torch.manual_seed(1)
    x = torch.randn(5, 64) * torch.logspace(-3, 3, 5)[:, None]
    values, scale = scaled(x)
    assert values.dtype == torch.float8_e4m3fn and scale.shape == (5, 1)
    assert values.float().abs().amax(dim=1).tolist() == [LARGEST] * 5
    back = values.float() * scale
    # Three bits of mantissa: half a step is a sixteenth, below them the smallest step counts.
    assert bool(((back - x).abs() <= x.abs() / 16 + scale / 2**9).all())
    zeros, least = scaled(torch.zeros(1, 16))
    assert zeros.float().tolist() == [[0.0] * 16] and float(least) > 0


def test_a_linear_in_fp8_is_that_linear_within_its_budget() -> None:
    torch.manual_seed(2)
    linear = nn.Linear(96, 48, dtype=torch.bfloat16)
    x = torch.randn(1, 7, 96, dtype=torch.bfloat16)
    want = linear(x).float()
    weight, scale = scaled(linear.weight.detach())
    by_hand = (scaled(x)[0].float() * scaled(x)[1]) @ (weight.float() * scale).t()
    by_hand = (by_hand + linear.bias.detach().float()).bfloat16()
    linear.weight = nn.Parameter(weight, requires_grad=False)
    lay_over(linear, Fp8Linear, product=dequantised_product)
    linear.register_buffer("weight_scale", scale)
    with torch.no_grad():
        got = linear(x)
    assert got.shape == (1, 7, 48) and torch.equal(got, by_hand)
    error = (got.float() - want).norm() / want.norm()
    assert 1e-3 < float(error.detach()) < 0.05


def test_blocks_in_fp8_stay_near_and_other_pipelines_stay_as_they_were(pipeline: Pipeline) -> None:
    changed, untouched = twin(pipeline), twin(pipeline)
    apply(changed, "lora-merged+fused-qkv+ring-cache+rope-real+once")
    quantise(changed, dequantised_product)
    pixels = torch.linspace(-1, 1, 3 * 12 * 32 * 48).reshape(1, 3, 12, 32, 48)
    for _ in range(2):
        got, want = changed.run_chunk(pixels, None), pipeline.run_chunk(pixels, None)
        assert torch.equal(untouched.run_chunk(pixels, None), want)
        assert 0 < float((got - want).abs().max()) < 0.1
    block = changed.transformer.blocks[0]
    assert all(isinstance(linear, Fp8Linear) for linear in timed_linears(block))
    assert type(block.cross_attn.k) is nn.Linear  # of the text: computed once
    assert len(list(timed_linears(block))) == 6


def test_gelu_is_the_tanh_form_and_its_depth_bounds_it() -> None:
    x = torch.linspace(-20, 20, 400_001)
    torch.testing.assert_close(gelu(x), F.gelu(x, approximate="tanh"), atol=1e-6, rtol=1e-6)
    assert -GELU_DEPTH < float(gelu(x).min()) < -0.999 * GELU_DEPTH
    assert bool(gelu(torch.tensor([-1e4, 1e4])).isfinite().all())


def test_a_token_is_scaled_by_its_largest_gelu_before_that_is_computed() -> None:
    torch.manual_seed(4)
    x = torch.randn(40, 256) * torch.logspace(-2, 2, 40)[:, None]
    x[0], x[1] = -3.0, -0.7525  # nowhere positive: scaled as if GELU_DEPTH were reached
    got, got_scale = gelu_scaled(x)
    _, want_scale = scaled(F.gelu(x, approximate="tanh"))
    usual = F.gelu(x.amax(dim=1)) > GELU_DEPTH
    assert 20 < int(usual.sum()) < 40
    torch.testing.assert_close(got_scale[usual], want_scale[usual], atol=0, rtol=1e-6)
    assert bool((got_scale >= 0.999 * want_scale).all())  # nothing is cut off
    exact = F.gelu(x.double(), approximate="tanh")
    error = (got.double() * got_scale - exact).abs()
    assert bool((error <= exact.abs() / 16 + got_scale / 2**9 + 1e-7).all())


def test_an_ffn_in_fp8_is_its_three_steps(pipeline: Pipeline) -> None:
    changed = twin(pipeline)
    apply(changed, "lora-merged")
    quantise(changed, dequantised_product)
    ffn = changed.transformer.blocks[0].ffn
    assert isinstance(ffn, Fp8Ffn)
    x = torch.randn(1, 7, ffn[0].weight.shape[1])
    steps = ffn[2](F.gelu(ffn[0](x), approximate="tanh"))
    torch.testing.assert_close(ffn(x), steps, atol=2e-3, rtol=2**-6)


def test_the_operator_of_the_tensor_cores_multiplies_as_the_explicit_product() -> None:
    torch.manual_seed(3)
    x, x_scale = scaled(torch.randn(9, 32))
    weight, weight_scale = scaled(torch.randn(16, 32))
    bias = torch.randn(16).bfloat16()
    for given in (None, bias):
        got = tensor_core_product(x, x_scale, weight, weight_scale, given)
        want = dequantised_product(x, x_scale, weight, weight_scale, given)
        torch.testing.assert_close(got, want, atol=1e-2, rtol=2**-7)


def test_where_it_cannot_run_it_is_refused_in_one_line(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CaseError, match=r"needs a GPU for .*fp8-linears"):
        apply(pipeline, "fp8-linears")

    def refuse(*_: object) -> torch.Tensor:
        raise RuntimeError("Row-wise scaling needs sm90\nsecond line")

    monkeypatch.setattr(fp8_linears, "tensor_core_product", refuse)
    with pytest.raises(CaseError, match=r"cannot run here: Row-wise scaling needs sm90; it needs"):
        use_fp8(pipeline)
    block = pipeline.transformer.blocks[0]
    assert not any(isinstance(linear, Fp8Linear) for linear in timed_linears(block))
