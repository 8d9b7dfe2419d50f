import os
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from harness.errors import CaseError
from harness.measure import plants
from harness.measure.compile_log import work_done
from harness.measure.plants import planted
from harness.workload.build import build_pipeline
from harness.workload.rollout import Pipeline
from tests.measure.cases import small_case


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    from harness.measure.devices import workload_config

    config = workload_config(small_case(mode="text"), None)
    built = build_pipeline(config, device=torch.device("cpu"), weights_dir=None)
    built.run_chunk(None, None)  # the very first chunk also blends the prompt
    return built


def operators(pipeline: Pipeline, plant: str) -> dict[str, int]:
    """Calls by operator of one chunk with the plant."""
    pipeline.reset()
    with planted(pipeline, plant), profile(activities=[ProfilerActivity.CPU]) as profiler:
        pipeline.run_chunk(None, None)
    counts: dict[str, int] = {}
    for event in profiler.events() or []:
        counts[event.name] = counts.get(event.name, 0) + 1
    return counts


@pytest.mark.parametrize(
    ("plant", "operator", "each"),
    [
        ("items", "aten::item", plants.ITEMS),
        ("launches", "aten::add_", plants.LAUNCHES),
        ("casts", "aten::_to_copy", 2 * plants.CASTS),
        ("clones", "aten::clone", 2 * plants.CLONES),
    ],
)
def test_a_plant_adds_its_calls_in_every_base_block(
    pipeline: Pipeline, plant: str, operator: str, each: int
) -> None:
    plain, more = operators(pipeline, ""), operators(pipeline, plant)
    forwards = len(pipeline.config.steps) + 1
    added = more[operator] - plain.get(operator, 0)
    assert added == each * forwards * pipeline.config.model.num_layers


def test_nothing_stays_behind(pipeline: Pipeline) -> None:
    before = operators(pipeline, "")
    operators(pipeline, "items")
    assert operators(pipeline, "") == before
    assert not any(block._forward_pre_hooks for block in pipeline.transformer.blocks)


def test_contention_keeps_the_thread_on_one_core_and_gives_it_back(pipeline: Pipeline) -> None:
    allowed = os.sched_getaffinity(0)
    with planted(pipeline, "contention"):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == allowed


def test_an_unknown_plant_is_refused(pipeline: Pipeline) -> None:
    with pytest.raises(CaseError, match="unknown plant 'weeds'"), planted(pipeline, "weeds"):
        pass


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_dynamo")
def test_the_recompile_plant_compiles_in_every_chunk(pipeline: Pipeline) -> None:
    pipeline.reset()
    seen = [work_done()]
    with planted(pipeline, "recompile"):
        for _ in range(3):
            pipeline.run_chunk(None, None)
            seen.append(work_done())
    assert seen == sorted(set(seen))


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_dynamo")
def test_the_graph_break_plant_breaks_as_often_in_every_compiled_block() -> None:
    class Block(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(x)

    blocks = [Block(), Block()]
    pipeline = SimpleNamespace(
        device=torch.device("cpu"),
        transformer=SimpleNamespace(blocks=[]),
        vace=SimpleNamespace(vace_blocks=blocks),
    )
    counters = torch._dynamo.utils.counters
    counters.clear()  # a reset of dynamo keeps what earlier tests have counted
    with planted(pipeline, "graph-break"):  # type: ignore[arg-type]
        compiled = [torch.compile(block, backend="eager") for block in blocks]
        for block in compiled:
            block(torch.ones(2))
        assert sum(counters["graph_break"].values()) == plants.BREAKS
        graphs = counters["stats"]["unique_graphs"]
        assert graphs >= plants.BREAKS
        for block in compiled:
            block(torch.ones(2))
        assert counters["stats"]["unique_graphs"] == graphs  # entered again, not compiled again
    assert not any(block._forward_pre_hooks for block in blocks)
