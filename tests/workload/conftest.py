"""A tiny pipeline on the CPU, built anew for each test that moves its state."""

import pytest
import torch

from harness.presets import CPU_ATTENTION, PRESETS, WorkloadConfig
from harness.workload.build import build_pipeline
from harness.workload.rollout import Pipeline


@pytest.fixture
def config() -> WorkloadConfig:
    return WorkloadConfig(
        model=PRESETS["tiny"].model,
        height_px=32,
        width_px=48,
        dtype="float32",
        attention=CPU_ATTENTION,
    )


@pytest.fixture
def pipeline(config: WorkloadConfig) -> Pipeline:
    return build_pipeline(config, device=torch.device("cpu"), weights_dir=None)
