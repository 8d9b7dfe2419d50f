import gzip
import json
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from torch.profiler import ProfilerActivity, profile, record_function

from harness.measure.attribution import profiled_chunks
from harness.presets import CPU_ATTENTION, PRESETS, WorkloadConfig
from harness.profile_checks import chunk_problems, problems
from harness.profiled import Gap, ProfiledChunk
from harness.workload.build import build_pipeline
from harness.workload.inputs import generated_clip
from harness.workload.rollout import stage_names
from tests.measure.made_traces import MadeTrace, one_chunk, typical


def healthy(folder: Path) -> ProfiledChunk:
    (chunk,) = typical().analyse(folder)
    return msgspec.structs.replace(chunk, event_ms=chunk.span_ms * 1.04)


def test_a_healthy_chunk_has_no_problems(tmp_path: Path) -> None:
    chunk = healthy(tmp_path)
    assert chunk_problems(chunk, on_gpu=True, stages=["encode", "denoise.0"]) == []
    without_events = msgspec.structs.replace(chunk, event_ms=None)
    assert chunk_problems(without_events, on_gpu=True) == []


def scaled(chunk: ProfiledChunk, factor: float) -> list[Any]:
    return [
        msgspec.structs.replace(row, device_ms=row.device_ms * factor) for row in chunk.operators
    ]


BREAKS: dict[str, Callable[[ProfiledChunk], dict[str, Any]]] = {
    "no device events": lambda _: {"kernels": 0},
    "busy and idle time over the span: 100.50%, must be 99.9 % to 100.1 %": lambda chunk: {
        "gaps": [*chunk.gaps, Gap(cause="sync", part="", gaps=1, idle_ms=chunk.span_ms * 0.005)]
    },
    "sum of all operators over that of all parts: 101.00%, must be 99.9 % to 100.1 %": (
        lambda chunk: {"operators": scaled(chunk, 1.01)}
    ),
    "span over the event time of the same chunk: 90.00%, must be 95 % to 105 %": lambda chunk: {
        "event_ms": chunk.span_ms / 0.9
    },
    "GPU time attributed to a part or operator: 98.00%, must be at least 99 %": lambda chunk: {
        "unattributed_ms": sum(row.device_ms for row in chunk.parts) * 0.02 / 0.98
    },
    "launches that left a kernel or copy: 60.00%, must be at least 99 %": lambda _: {
        "host_calls": {"cudaLaunchKernel": 3, "cudaMemcpy": 2, "cudaEventRecord": 9}
    },
    "host time of all parts over wall time: 90.91%, must be 99.9 % to 100.1 %": lambda _: {
        "wall_ms": 1.1
    },
}


@pytest.mark.parametrize("problem", list(BREAKS))
def test_each_check_finds_what_it_is_for(tmp_path: Path, problem: str) -> None:
    chunk = healthy(tmp_path)
    broken = msgspec.structs.replace(chunk, **BREAKS[problem](chunk))
    assert problem in chunk_problems(broken, on_gpu=True)


def test_time_that_left_the_parts_is_noticed(tmp_path: Path) -> None:
    chunk = healthy(tmp_path)
    rows = [row for row in chunk.parts if row.part != "base"]
    found = chunk_problems(msgspec.structs.replace(chunk, parts=rows), on_gpu=True)
    assert any("sum of all kinds of work over GPU-busy time" in problem for problem in found)


def test_missing_stage_marks_are_named(tmp_path: Path) -> None:
    made = MadeTrace()
    made.range("chunk.steady.4", 0, 100)
    made.operator("aten::mm", 10, 60)
    made.launch((20, 30), (40, 60))
    (chunk,) = made.analyse(tmp_path)
    assert chunk_problems(chunk, on_gpu=True, stages=["decode"]) == [
        "no range of stage decode",
        "no stage ranges",
        "wall time attributed to a stage: 0.00%, must be at least 95 %",
    ]


def test_a_cpu_is_held_to_the_host_checks_alone(tmp_path: Path) -> None:
    (chunk,) = one_chunk().analyse(tmp_path, on_gpu=False)
    assert chunk_problems(chunk, on_gpu=False) == []
    assert chunk_problems(chunk, on_gpu=True) == ["no device events"]


def test_problems_of_a_profile_name_their_chunk(tmp_path: Path) -> None:
    (chunk,) = one_chunk().analyse(tmp_path, on_gpu=False)
    assert problems([chunk], on_gpu=True) == ["steady chunk 4: no device events"]
    assert problems([], on_gpu=True) == ["no chunk was profiled"]


class Stages:
    """Stage ranges of a real pipeline, from its marks."""

    def __init__(self, stack: ExitStack) -> None:
        self._outer, self._open = stack, ExitStack()
        stack.callback(lambda: self._open.close())

    def mark(self, stage: str) -> None:
        self._open.close()
        self._open = ExitStack()
        self._open.enter_context(record_function(f"stage.{stage}"))


def test_a_real_profile_of_a_tiny_chunk_adds_up(tmp_path: Path) -> None:
    config = WorkloadConfig(
        model=PRESETS["tiny"].model,
        height_px=32,
        width_px=32,
        dtype="float32",
        attention=CPU_ATTENTION,
    )
    device = torch.device("cpu")
    pipeline = build_pipeline(config, device=device, weights_dir=None)
    clip = generated_clip(config, "inpainting", device=device, chunks=2)
    pipeline.run_chunk(*clip.chunk(0))
    pipeline.attention.trace("cached_self")
    blocks = len(pipeline.transformer.blocks)
    for block in pipeline.transformer.blocks:
        opened: list[ExitStack] = []

        def enter(*_: object, opened: list[ExitStack] = opened) -> None:
            opened.append(ExitStack())
            opened[-1].enter_context(record_function("part.base"))

        def leave(*_: object, opened: list[ExitStack] = opened) -> None:
            opened.pop().close()

        block.register_forward_pre_hook(enter)
        block.register_forward_hook(leave)
    with (
        profile(activities=[ProfilerActivity.CPU]) as profiler,
        record_function("chunk.filling.1"),
        ExitStack() as stack,
    ):
        pipeline.run_chunk(*clip.chunk(1), Stages(stack).mark)
    profiler.export_chrome_trace(str(tmp_path / "real.json.gz"))
    (chunk,) = profiled_chunks(tmp_path / "real.json.gz", on_gpu=False)
    rows = {(row.stage, row.part): row for row in chunk.parts}
    assert {stage for stage, _ in rows} - {""} == set(stage_names(config, "inpainting"))
    assert sum(row.host_ms for row in chunk.parts) == pytest.approx(chunk.wall_ms, rel=1e-6)
    whole = [event for event in profiler.events() or [] if event.name == "chunk.filling.1"]
    assert chunk.wall_ms == pytest.approx(whole[0].cpu_time_total / 1e3, rel=1e-3)
    assert rows["clean", "base"].calls == blocks
    assert rows["denoise.0", "base"].calls == blocks
    assert rows["clean", "base"].host_ms > 0
    text = gzip.decompress((tmp_path / "real.json.gz").read_bytes())
    counted = Counter(event["name"] for event in json.loads(text)["traceEvents"])
    seen = {row.operator for row in chunk.operators}
    assert {"aten::mm", "attention.cached_self"} <= seen
    for name in seen:
        assert sum(r.calls for r in chunk.operators if r.operator == name) == counted[name]
    assert (chunk.kernels, chunk.span_ms, chunk.gaps, chunk.host_calls) == (0, 0, [], {})
    assert problems([chunk], on_gpu=False, stages=stage_names(config, "inpainting")) == []
