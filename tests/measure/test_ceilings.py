"""What is measured at best: sizes that fit, and calls that are the variant's own."""

import pytest
import torch
from torch import Tensor

from harness.measure.ceilings import COPY_BYTES, LEAST_COPY_BYTES, attention_calls, copied_bytes
from harness.presets import CPU_ATTENTION, PRESETS, WorkloadConfig
from harness.workload.build import build_pipeline
from harness.workload.rollout import Pipeline


@pytest.fixture
def pipeline() -> Pipeline:
    config = WorkloadConfig(
        model=PRESETS["tiny"].model,
        height_px=32,
        width_px=48,
        dtype="bfloat16",
        attention=CPU_ATTENTION,
    )
    made = build_pipeline(config, device=torch.device("cpu"), weights_dir=None)
    made.caches = made.new_caches()
    return made


def test_the_copy_shrinks_with_the_free_memory() -> None:
    assert copied_bytes(100 * 2**30) == COPY_BYTES
    assert copied_bytes(4 * 2**30) == 2**30
    assert copied_bytes(2**20) == LEAST_COPY_BYTES


def test_every_use_of_attention_is_called_at_the_shape_of_a_chunk(pipeline: Pipeline) -> None:
    model, frame_tokens = pipeline.config.model, pipeline.config.tokens_per_frame
    queries = model.frames_per_chunk * frame_tokens
    keys = {
        "cached_self": model.local_attn_frames * frame_tokens,
        "cross": model.text_len,
        "vace_self": queries,
    }
    calls = attention_calls(pipeline)
    assert {use: flops for use, (flops, _) in calls.items()} == {
        use: 4.0 * queries * count * model.dim for use, count in keys.items()
    }
    for _, call in calls.values():
        assert call().shape == (1, queries, model.num_heads, model.head_dim)


def test_the_cached_one_is_the_blocks_own_in_the_type_of_its_cache(pipeline: Pipeline) -> None:
    narrow = torch.float8_e4m3fn
    seen: list[torch.dtype] = []

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        seen.extend((q.dtype, k.dtype, v.dtype))
        return q

    vars(pipeline.transformer.blocks[0].self_attn)["attend"] = attend
    pipeline.caches[0].k = pipeline.caches[0].k.to(narrow)
    attention_calls(pipeline)["cached_self"][1]()
    assert seen == [torch.bfloat16, narrow, narrow]
