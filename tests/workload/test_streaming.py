"""The protocol: what a pipeline gets from its base, and the built-in workload behind it."""

import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from harness.cost import chunk_flops
from harness.matrix import FIRST_STEADY_CHUNK
from harness.presets import WorkloadConfig
from harness.workload.build import build_pipeline
from harness.workload.built_in import BuiltIn
from harness.workload.inputs import generated_clip
from harness.workload.parts import part
from harness.workload.rollout import LAST_START_FRAME, Pipeline, stage_names
from harness.workload.streaming import Mark, StreamingPipeline, Work

CPU = torch.device("cpu")


class Doubler(nn.Module):
    @part("double")
    def forward(self, x: Tensor) -> Tensor:
        return x * 2


class Counting(StreamingPipeline):
    def __init__(self) -> None:
        super().__init__(CPU)
        self.doubler, self.state, self.grad_on = Doubler(), torch.ones(1), True

    def step(self, given: None, mark: Mark) -> int:
        mark("work")
        self.state, self.grad_on = self.again(self.doubler(self.state)), torch.is_grad_enabled()
        return 3

    def reset(self) -> None:
        self.state = torch.ones(1)

    @part("again")
    def again(self, x: Tensor) -> Tensor:
        return x + 1


def ranges(pipeline: StreamingPipeline) -> list[str]:
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        pipeline.run(None)
    return [event.name for event in profiler.events() if event.name.startswith("part.")]


def test_chunks_are_counted_and_run_without_gradients() -> None:
    pipeline = Counting()
    assert (pipeline.chunk_index, pipeline.prepare(0)) == (0, None)
    assert [pipeline.run(None), pipeline.run(None)] == [3, 3]
    assert (pipeline.chunk_index, pipeline.grad_on, float(pipeline.state)) == (2, False, 7.0)
    pipeline.restart()
    assert (pipeline.chunk_index, float(pipeline.state)) == (0, 1.0)


def test_marked_methods_of_the_pipeline_and_its_modules_are_ranges_only_while_traced() -> None:
    pipeline = Counting()
    with pipeline.part_ranges(compiled=False):
        assert sorted(ranges(pipeline)) == ["part.again", "part.double"]
    assert ranges(pipeline) == []
    assert "forward" not in vars(pipeline.doubler)


def test_what_a_pipeline_does_not_say_is_empty() -> None:
    pipeline = Counting()
    assert (pipeline.describe_cost(), pipeline.components()) == ({}, ())
    assert (pipeline.stages, pipeline.input_tensor) == ([], None)
    assert Work(2.0, 3.0).times(4) == Work(8.0, 12.0)


@pytest.mark.parametrize("mode", ["inpainting", "text"])
def test_the_built_in_workload_gives_the_same_frames_through_the_protocol(
    config: WorkloadConfig, pipeline: Pipeline, mode: str
) -> None:
    clip = None if mode == "text" else generated_clip(config, mode, device=CPU)
    direct = build_pipeline(config, device=CPU, weights_dir=None)
    seen: list[Tensor] = []
    pipeline.watch = lambda name, value: seen.append(value) if name == "video" else None
    streamed = BuiltIn(pipeline, clip, mode)
    for chunk in range(2):
        assert streamed.chunk_index == chunk
        frames, mask = (None, None) if clip is None else clip.chunk(chunk)
        expected = direct.run_chunk(frames, mask)
        marks: list[str] = []
        assert streamed.run(streamed.prepare(chunk), marks.append) == expected.shape[0]
        assert torch.equal(seen[-1], expected)
        assert list(dict.fromkeys(marks)) == streamed.stages == stage_names(config, mode)
    assert (streamed.input_tensor is None) == (mode == "text")
    streamed.restart()
    assert streamed.chunk_index == 0


def test_the_built_in_workload_says_when_it_is_steady_and_what_it_costs(
    pipeline: Pipeline,
) -> None:
    streamed = BuiltIn(pipeline, None, "text")
    assert streamed.first_steady_chunk == FIRST_STEADY_CHUNK
    assert (streamed.chunks_per_cycle - 1) * 3 < LAST_START_FRAME <= streamed.chunks_per_cycle * 3
    cost = streamed.describe_cost()
    flops = chunk_flops(pipeline.config, "text", chunk=FIRST_STEADY_CHUNK)
    assert {name: work.flops for name, work in cost.items() if name in flops} == flops
    assert cost["RoPE"].flops == 0 < cost["RoPE"].moved_bytes
    assert streamed.components() == ()
