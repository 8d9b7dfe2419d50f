"""harness.workload.parts: the work of a chunk has names, and the names change nothing."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from harness.analysis.work_kinds import place_of
from harness.measure.compile_log import CompileSnapshot, work_done
from harness.presets import WorkloadConfig
from harness.workload.build import build_pipeline
from harness.workload.built_in import BuiltIn
from harness.workload.components import compile_vace
from harness.workload.inputs import Clip, generated_clip
from harness.workload.parts import PREFIX, part, trace_parts
from harness.workload.rollout import Pipeline
from harness.workload.variants.registry import apply

CPU = torch.device("cpu")
STEADY_CHUNK = 4  # the first that rolls the cache
LEAST_COVERED = 0.97
MODES = ("inpainting", "depth", "text")

ATTENTION = {"qkv", "norm", "attention", "out"}
BLOCK = {
    *ATTENTION,
    *("rope", "modulation", "ffn", "cross_attention"),
    *(f"cross_attention/{name}" for name in ATTENTION),
}
ADAPTED = {"qkv", "out", "ffn", "cross_attention/qkv", "cross_attention/out"}
UPDATE = {"cache.roll", "cache.write"}
TEXT_PARTS = {
    *("embed.patch", "embed.time", "embed.text", "head", "unpatchify"),
    *("noise", "x0", "add_noise", "add_noise/noise", "history", "vae", "output"),
    *("base", *(f"base/{name}" for name in BLOCK | UPDATE)),
    *("base/cache.index", "base/cache.clone", "base/cache.window"),
    *("base/cache.update", *(f"base/cache.update/{name}" for name in UPDATE)),
    *(f"base/{name}/lora" for name in ADAPTED),
}
VACE_FRAME = {"vace", "vace/patch", "vace/pad", "base/hints", "mask_split", "mask_channels"}
VACE_BLOCKS = {f"vace/{name}" for name in BLOCK | {"before", "after", "stack", "pad"}}
# Another look at the same data, or only a frame around the operator that works.
VIEWS = (
    *("alias", "as_strided", "detach", "expand", "permute", "select", "slice", "squeeze", "t"),
    *("chunk", "split", "split_with_sizes", "transpose", "unbind", "unsqueeze"),
    *("flatten", "unflatten", "reshape", "_reshape_alias", "view", "_unsafe_view"),
    *("view_as_complex", "view_as_real", "contiguous", "to", "lift_fresh"),
)


@pytest.fixture
def fresh_dynamo() -> Iterator[None]:
    """What another test of this process compiled is not found again."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def clip_of(pipeline: Pipeline, mode: str) -> Clip | None:
    if mode == "text":
        return None
    return generated_clip(pipeline.config, mode, device=CPU, chunks=2)  # type: ignore[arg-type]


def run(pipeline: Pipeline, clip: Clip | None, chunks: int = 1) -> list[Tensor]:
    return [
        pipeline.run_chunk(*((None, None) if clip is None else clip.chunk(pipeline.chunk_index)))
        for _ in range(chunks)
    ]


def profiled(
    pipeline: Pipeline, mode: str, *, base: bool, vace: bool, chunk: int = STEADY_CHUNK
) -> list[Any]:
    """Events of a chunk; the ranges are off again at the end."""
    clip = clip_of(pipeline, mode)
    run(pipeline, clip, chunk)
    trace_parts(pipeline, base=base, vace=vace)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        run(pipeline, clip)
    trace_parts(pipeline, base=False, vace=False)
    return list(profiler.events() or [])


def path_of(event: Any) -> str:
    """The ranges around an event and itself, from the outside in."""
    names = []
    while event is not None:
        if event.name.startswith(PREFIX):
            names.append(event.name.removeprefix(PREFIX))
        event = event.cpu_parent
    return "/".join(reversed(names))


def range_paths(events: list[Any]) -> set[str]:
    return {path_of(event) for event in events if event.name.startswith(PREFIX)}


def works(event: Any) -> bool:
    name = event.name.removeprefix("aten::")
    return name != event.name and name not in VIEWS


@pytest.mark.parametrize("mode", MODES)
def test_a_steady_chunk_has_these_parts_and_hardly_work_outside(
    pipeline: Pipeline, mode: str
) -> None:
    events = profiled(pipeline, mode, base=True, vace=True)
    expected = TEXT_PARTS if mode == "text" else TEXT_PARTS | VACE_FRAME | VACE_BLOCKS
    assert range_paths(events) == expected
    working = [event for event in events if works(event)]
    outside = Counter(event.name for event in working if path_of(event) == "")
    covered = 1 - outside.total() / len(working)
    print(f"{mode}: {covered:.2%} of {len(working)} operators; outside: {dict(outside)}")
    assert covered >= LEAST_COVERED, outside


def test_base_alone_leaves_the_blocks_of_the_branch_in_one_range(pipeline: Pipeline) -> None:
    events = profiled(pipeline, "inpainting", base=True, vace=False)
    assert range_paths(events) == TEXT_PARTS | VACE_FRAME
    assert any(path_of(event) == "vace" and event.name == "aten::addmm" for event in events)


def test_ranges_change_neither_result_nor_operators(config: WorkloadConfig) -> None:
    videos, operators = [], []
    for on in (False, True):
        pipeline = build_pipeline(config, device=CPU, weights_dir=None)
        events = profiled(pipeline, "inpainting", base=on, vace=on, chunk=1)
        operators.append(Counter(e.name for e in events if e.name.startswith("aten::")))
        videos.append(run(pipeline, clip_of(pipeline, "inpainting"))[0])
    assert torch.equal(*videos)
    assert operators[0] == operators[1]


def test_off_leaves_every_object_as_it_was(pipeline: Pipeline) -> None:
    run(pipeline, clip_of(pipeline, "inpainting"))
    modules = [*pipeline.transformer.modules(), *pipeline.vace.modules()]
    owners = [pipeline, pipeline.noise, pipeline.scheduler, pipeline.context_encoder]
    owners += [*pipeline.caches, pipeline.vae, *modules]
    before = [set(vars(owner)) for owner in owners]
    keys = [*pipeline.transformer.state_dict(), *pipeline.vace.state_dict()]
    trace_parts(pipeline, base=True, vace=True)
    trace_parts(pipeline, base=True, vace=True)  # once more adds nothing
    assert [set(vars(owner)) for owner in owners] != before
    assert [*pipeline.transformer.state_dict(), *pipeline.vace.state_dict()] == keys
    trace_parts(pipeline, base=False, vace=False)
    assert [set(vars(owner)) for owner in owners] == before


def test_a_mark_returns_the_method_itself() -> None:
    def work() -> int:
        return 7

    assert part("work")(work) is work


def test_a_pipeline_without_caches_is_refused(pipeline: Pipeline) -> None:
    with pytest.raises(AssertionError, match="run a chunk first"):
        trace_parts(pipeline, base=True, vace=True)


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_dynamo")
def test_base_ranges_leave_a_compiled_branch_compiled(pipeline: Pipeline) -> None:
    clip = clip_of(pipeline, "inpainting")
    start = CompileSnapshot.now()
    compile_vace(pipeline)
    run(pipeline, clip, STEADY_CHUNK)
    compiled = CompileSnapshot.now()
    assert compiled.graphs > start.graphs
    for on in (True, False):
        trace_parts(pipeline, base=on, vace=False)
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            run(pipeline, clip)
        assert any(e.name == "part.vace" for e in profiler.events() or []) is on
    assert CompileSnapshot.now() == compiled


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_dynamo")
def test_blocks_compiled_in_regions_have_a_range_around_the_attention_between(
    pipeline: Pipeline,
) -> None:
    apply(pipeline, "compiled-blocks+ring-cache+once+lean-clean")
    run(pipeline, clip_of(pipeline, "inpainting"), STEADY_CHUNK + 1)
    before = work_done()
    streaming = BuiltIn(pipeline, clip_of(pipeline, "inpainting"), "inpainting")
    with (
        streaming.part_ranges(compiled=False),
        profile(activities=[ProfilerActivity.CPU]) as profiler,
    ):
        run(pipeline, clip_of(pipeline, "inpainting"))
    assert work_done() == before
    events = list(profiler.events() or [])
    inside = {path_of(event) for event in events if "scaled_dot_product" in event.name}
    assert inside == {"base", "base/attention", "vace", "vace/attention"}  # and cross-attention
    kinds = {
        place_of(event.name, path_of(event)) for event in events if "dot_product" in event.name
    }
    products = [event for event in events if event.name in ("aten::mm", "aten::addmm")]
    assert kinds == {"attention"}
    assert {place_of(event.name, path_of(event)) for event in products} == {"linears"}
    blocks = sum(path_of(event) in ("base", "vace") for event in products)
    assert blocks > 0.9 * len(products)
