"""The workload in float16, for GPUs that have no bfloat16: the same chunk, at least as exact."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from harness.presets import CPU_ATTENTION, PRESETS, WorkloadConfig
from harness.workload.build import build_pipeline
from harness.workload.prompt import seeded_prompt
from harness.workload.variants.exact import exact_twin, set_exact_prompt

TINY = PRESETS["tiny"]
CONFIG = WorkloadConfig(
    model=TINY.model,
    height_px=32,
    width_px=32,
    dtype="float16",
    attention=CPU_ATTENTION,
    wan_vae_dim=TINY.wan_vae_dim,
    steps=(1000,),
)


def first_frames(dtype: str) -> tuple[Tensor, Tensor]:
    """Of a text-only chunk in this type, and in float32 from the same weights and noise."""
    config = replace(CONFIG, dtype=dtype)
    pipeline = build_pipeline(config, device=torch.device("cpu"), weights_dir=None)
    exact = exact_twin(pipeline)
    prompt = seeded_prompt(config.model, config.seed).to(pipeline.dtype)
    set_exact_prompt(exact, prompt)
    return pipeline.run_chunk(None, None), exact.run_chunk(None, None)


@pytest.mark.slow
def test_float16_is_closer_to_float32_than_bfloat16() -> None:
    errors = {}
    for dtype in ("float16", "bfloat16"):
        got, want = first_frames(dtype)
        assert torch.isfinite(got).all()
        errors[dtype] = float((got - want).norm() / want.norm())
    assert errors["float16"] == pytest.approx(0, abs=2e-3)
    assert errors["float16"] < errors["bfloat16"]
