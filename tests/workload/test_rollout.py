"""The chunk loop: frames out, resets, recache, stability, marks."""

import pytest
import torch
from torch import Tensor

from harness.presets import WorkloadConfig
from harness.workload.build import build_pipeline
from harness.workload.inputs import generated_clip
from harness.workload.prompt import blend, seeded_prompt
from harness.workload.rollout import LAST_START_FRAME, Pipeline, stage_names

CPU = torch.device("cpu")


def run(pipeline: Pipeline, mode: str, chunks: int) -> list[Tensor]:
    if mode == "text":
        return [pipeline.run_chunk(None, None) for _ in range(chunks)]
    clip = generated_clip(pipeline.config, mode, device=CPU, chunks=2)  # type: ignore[arg-type]
    return [pipeline.run_chunk(*clip.chunk(index)) for index in range(chunks)]


@pytest.mark.parametrize("mode", ["inpainting", "depth", "text"])
def test_first_chunk_gives_nine_frames_and_every_other_twelve(
    pipeline: Pipeline, mode: str
) -> None:
    videos = run(pipeline, mode, 3)
    assert [tuple(video.shape) for video in videos] == [(9, 32, 48, 3), *[(12, 32, 48, 3)] * 2]
    assert all(video.dtype == torch.float32 for video in videos)
    assert all(float(video.min()) >= 0 and float(video.max()) <= 1 for video in videos)
    assert pipeline.chunk_index == 3


@pytest.mark.parametrize("mode", ["inpainting", "text"])
def test_marks_name_the_stages_in_order(pipeline: Pipeline, mode: str) -> None:
    run(pipeline, mode, 1)
    marks: list[str] = []
    clip = generated_clip(pipeline.config, "inpainting", device=CPU, chunks=1)
    pipeline.run_chunk(*(clip.chunk(0) if mode == "inpainting" else (None, None)), marks.append)
    assert list(dict.fromkeys(marks)) == stage_names(pipeline.config, mode)


def test_seeded_activations_keep_a_natural_size_over_twenty_chunks(config: WorkloadConfig) -> None:
    pipeline = build_pipeline(config, device=CPU, weights_dir=None)
    seen: list[tuple[str, float]] = []
    pipeline.watch = lambda name, value: seen.append((name, float(value.float().std())))
    run(pipeline, "inpainting", 20)
    for name, std in seen:
        low, high = (0.02, 0.6) if name in ("video", "vace_context") else (0.3, 3.0)
        assert low < std < high, (name, std)


def test_same_seed_same_video_other_seed_other_video(config: WorkloadConfig) -> None:
    first, second = (
        run(build_pipeline(config, device=CPU, weights_dir=None), "text", 1)[0] for _ in range(2)
    )
    assert torch.equal(first, second)
    other = WorkloadConfig(**{**vars(config), "seed": 7})
    assert not torch.equal(
        first, run(build_pipeline(other, device=CPU, weights_dir=None), "text", 1)[0]
    )


def test_a_prompt_change_cuts_with_frames_and_recaches_without(pipeline: Pipeline) -> None:
    prompt = seeded_prompt(pipeline.config.model, seed=5)
    seen: list[str] = []
    pipeline.watch = lambda name, _: seen.append(name)
    run(pipeline, "text", 2)
    pipeline.set_prompt(prompt)
    assert run(pipeline, "text", 1)[0].shape[0] == 12
    assert "recache/flow" in seen

    run(pipeline, "depth", 2)  # another input mode: a reset of its own
    seen.clear()
    pipeline.set_prompt(2 * prompt)
    assert run(pipeline, "depth", 1)[0].shape[0] == 9
    assert "recache/flow" not in seen


def test_a_requested_reset_starts_over_and_reproduces_the_first_chunk(pipeline: Pipeline) -> None:
    first = run(pipeline, "text", 3)[0]
    pipeline.reset()
    assert pipeline.chunk_index == 0
    assert torch.equal(run(pipeline, "text", 1)[0], first)


def test_the_position_table_ends_with_a_reset(pipeline: Pipeline) -> None:
    run(pipeline, "text", 1)
    pipeline.start_frame = LAST_START_FRAME
    assert run(pipeline, "text", 1)[0].shape[0] == 9


def test_a_chunk_without_a_prompt_is_refused(config: WorkloadConfig) -> None:
    pipeline = build_pipeline(config, device=CPU, weights_dir=None)
    pipeline._pending = None
    with pytest.raises(ValueError, match="prompt"):
        pipeline.run_chunk(None, None)


def test_blend_of_one_prompt_is_the_prompt_and_of_none_is_refused(config: WorkloadConfig) -> None:
    prompt = seeded_prompt(config.model, seed=1)
    torch.testing.assert_close(blend([prompt], [3.0], torch.float32), prompt)
    mixed = blend([prompt, -0.5 * prompt], [3.0, 1.0], torch.float32)
    expected_norm = (0.75 + 0.25 * 0.5) * prompt.norm()
    torch.testing.assert_close(mixed.norm(), expected_norm)
    with pytest.raises(ValueError, match="sum to nothing"):
        blend([prompt], [0.0], torch.float32)
