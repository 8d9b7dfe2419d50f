"""Both kernels of a reduction: in every half, with and without keys written in place."""

import pytest
import torch

from harness.workload.rollout import Pipeline
from harness.workload.variants import compiled_blocks, fused_keys
from harness.workload.variants.compiled_blocks import Halves
from harness.workload.variants.fused_keys import Writing
from harness.workload.variants.one_pass_rows import BOTH_KERNELS
from harness.workload.variants.registry import apply

BLOCKS = "lora-merged+ring-cache+compiled-blocks"


@pytest.fixture(autouse=True)
def options(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Options of every half that would be compiled."""
    given: list[object] = []

    def kept(half: object, options: object = compiled_blocks.TUNED) -> object:
        given.append(options)
        return half

    for module in (compiled_blocks, fused_keys):
        monkeypatch.setattr(module, "compiled", kept)
    return given


def test_options_are_inductors_own() -> None:
    known = torch._inductor.config.get_config_copy()
    assert BOTH_KERNELS.keys() <= known.keys()
    assert BOTH_KERNELS.items() > compiled_blocks.TUNED.items()


@pytest.mark.parametrize("keys", ["", "+fused-keys"])
def test_every_half_of_both_branches_is_compiled_with_them(
    pipeline: Pipeline, keys: str, options: list[object]
) -> None:
    apply(pipeline, f"{BLOCKS}{keys}+one-pass-rows")
    assert options.count(BOTH_KERNELS) == options.count(compiled_blocks.TUNED) + 3 * (not keys)
    shared = {id(block.halves) for block in pipeline.transformer.blocks}
    assert len(shared) == 1 and isinstance(pipeline.transformer.blocks[0].halves, Halves)
    first = pipeline.vace.vace_blocks[0].halves.first
    if keys:
        assert all(isinstance(b.writing, Writing) for b in pipeline.transformer.blocks)
        assert first is fused_keys.swapped_first
    else:
        assert first is compiled_blocks.before_attention
    assert torch.isfinite(pipeline.run_chunk(None, None)).all()
