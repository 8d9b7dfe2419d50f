"""The WanVAE as a function of frames and memory gives what it gives as it is."""

import pytest
import torch
from torch import Tensor

from harness.errors import CaseError
from harness.presets import CPU_ATTENTION, PRESETS, WorkloadConfig
from harness.workload.build import build_pipeline
from harness.workload.rollout import Pipeline
from harness.workload.variants import compiled_wan
from harness.workload.variants.registry import apply, twin

PIXELS = torch.linspace(-1, 1, 3 * 12 * 32 * 32).reshape(1, 3, 12, 32, 32)
MASK = torch.zeros(1, 1, 12, 32, 32)
MASK[..., 8:24, 8:24] = 1


def wan_pipeline() -> Pipeline:
    config = WorkloadConfig(
        model=PRESETS["tiny"].model, height_px=32, width_px=32, dtype="float32",
        attention=CPU_ATTENTION, vae="wanvae", wan_vae_dim=8,
    )  # fmt: skip
    return build_pipeline(config, device=torch.device("cpu"), weights_dir=None)


def chunks(pipeline: Pipeline, count: int) -> list[Tensor]:
    return [pipeline.run_chunk(PIXELS, MASK) for _ in range(count)]


def test_calls_with_explicit_memory_are_the_same_and_only_the_usual_ones() -> None:
    seen: list[tuple[int, bool]] = []

    def stream(
        coder: compiled_wan.CompiledCoder, x: Tensor, slots: compiled_wan.Slots
    ) -> tuple[Tensor, compiled_wan.Slots]:
        seen.append((x.shape[2], slots[0] is None))
        return compiled_wan.run_stream(coder, x, slots)

    plain = wan_pipeline()
    changed = twin(plain)
    compiled_wan.use_stream(changed, stream)
    for got, want in zip(chunks(changed, 3), chunks(plain, 3), strict=True):
        assert torch.equal(got, want)
    changed.reset()
    plain.reset()
    assert torch.equal(chunks(changed, 1)[0], chunks(plain, 1)[0])
    # A stream begins with one frame; groups of four, and single latents, go on with a memory.
    assert set(seen) == {(1, True), (4, False), (1, False)}


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_dynamo")
def test_compiled_it_is_the_same_within_rounding() -> None:
    plain = wan_pipeline()
    changed = twin(plain)
    apply(changed, "wan-compiled")
    for got, want in zip(chunks(changed, 2), chunks(plain, 2), strict=True):
        torch.testing.assert_close(got, want, atol=1e-5, rtol=0)


def test_the_other_autoencoder_is_refused(pipeline: Pipeline) -> None:
    with pytest.raises(CaseError, match="is for the WanVAE"):
        apply(pipeline, "wan-compiled")
