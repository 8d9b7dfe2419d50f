"""harness.measure.profile_pass on a CPU: the whole pass of a tiny case, record and trace."""

import gzip
from pathlib import Path

import msgspec
import pytest
import torch
from torch import Tensor

from harness.job import TRACE_FILE
from harness.measure.profile_pass import _brief as brief_of
from harness.measure.profile_pass import _kept as kept_of
from harness.measure.profile_tables import profile_tables
from harness.measure.session import run_job
from harness.measure.sync_sites import NO_DEVICE
from harness.measure.witness import timed_reads
from harness.profiled import Profile
from harness.result import Result, decode, encode
from harness.workload.rollout import stage_names
from tests.measure.cases import small_job
from tests.measure.made_traces import one_chunk

pytestmark = pytest.mark.slow


def ignore(_: object) -> None:
    """Progress that nobody looks at."""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    folder = tmp_path_factory.mktemp("exchange")
    record = run_job(small_job(profile=True, blocks=1), folder, ignore)
    assert isinstance(record, Result), record.detail
    return record, folder


def profile_of(measured: tuple[Result, Path]) -> Profile:
    profile = measured[0].profile
    assert profile is not None
    return profile


def test_one_chunk_of_each_kind_is_kept_and_nothing_is_wrong_with_it(
    measured: tuple[Result, Path],
) -> None:
    profile = profile_of(measured)
    assert [(chunk.kind, chunk.chunk) for chunk in profile.chunks][1:] == [
        ("first", 0),
        ("filling", 2),
    ]
    assert profile.chunks[0].kind == "steady" and profile.chunks[0].chunk >= 4
    assert len(profile.steady_wall_ms) == 3
    assert profile.chunks[0].wall_ms == sorted(profile.steady_wall_ms)[1]
    assert profile.problems == []


def test_every_stage_and_the_parts_inside_are_there(measured: tuple[Result, Path]) -> None:
    from harness.measure.devices import workload_config

    stages = stage_names(workload_config(measured[0].case, None), "inpainting")
    for chunk in profile_of(measured).chunks:
        assert set(stages) <= {part.stage for part in chunk.parts}
        assert {"base/rope", "base/qkv/lora", "vace/stack", "vae"} <= {p.part for p in chunk.parts}
        assert sum(part.host_ms for part in chunk.parts) == pytest.approx(chunk.wall_ms, rel=1e-3)


def test_the_witness_names_the_same_stages(measured: tuple[Result, Path]) -> None:
    profile = profile_of(measured)
    assert set(profile.stages_host_ms) == set(profile.stages_synchronised_ms)
    assert set(profile.stages_host_ms) == set(measured[0].chunks[-1].stage_ms)
    assert (profile.reads_ms, profile.reads) == (None, None)  # a CPU waits for no device


def test_the_witness_comes_before_any_profiler(measured: tuple[Result, Path]) -> None:
    names = [mark.name for mark in measured[0].phases]
    assert names.index("profile") < names.index("count")


def test_operators_and_python_fill_the_hosts_time(measured: tuple[Result, Path]) -> None:
    for chunk in profile_of(measured).chunks:
        for part in chunk.parts:
            assert part.operator_ms is not None and part.python_ms is not None
            assert part.operator_ms + part.python_ms == pytest.approx(part.host_ms, abs=1e-5)


class OnDevice(Tensor):
    """A tensor of the CPU that says it lies on a GPU."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("cuda")


def test_reads_of_the_device_are_counted_and_timed_only_while_they_are_watched() -> None:
    item, far = Tensor.item, torch.ones(1).as_subclass(OnDevice)
    with timed_reads() as reads:
        assert torch.ones(1).item() == 1.0  # a read of the CPU waits for nothing
        assert (reads.count, reads.spent_ns) == (0, 0)
        assert [far.item() for _ in range(3)] == [1.0] * 3
    assert reads.count == 3 and reads.spent_ns > 0
    assert far.item() == 1.0 and reads.count == 3
    assert Tensor.item is item and "item" not in vars(Tensor)


def test_only_operators_that_say_something_are_kept_on_a_gpu(tmp_path: Path) -> None:
    made = one_chunk()
    made.operator("aten::_to_copy", 5, 60)
    made.operator("aten::copy_", 10, 50)
    made.launch((20, 30), (40, 80))
    made.operator("aten::view", 100, 100.2)
    made.operator("aten::slow_view", 200, 300)
    (chunk,) = made.analyse(tmp_path)
    kept = {item.operator for item in kept_of(chunk, on_gpu=True).operators}
    assert kept == {"aten::copy_", "aten::_to_copy", "aten::slow_view"}
    assert kept_of(chunk, on_gpu=False) == chunk
    brief = brief_of(chunk)
    assert brief.timeline is None and {gap.stage for gap in brief.gaps} <= {None}
    assert sum(gap.idle_ms for gap in brief.gaps) == sum(gap.idle_ms for gap in chunk.gaps)


def test_the_trace_is_left_beside_the_record(measured: tuple[Result, Path]) -> None:
    trace = msgspec.json.decode(gzip.decompress((measured[1] / TRACE_FILE).read_bytes()))
    names = {event.get("name") for event in trace["traceEvents"]}
    assert {"stage.encode", "part.rope"} <= names
    assert not list(measured[1].glob("tmp*"))


def test_a_cpu_has_neither_ceilings_nor_synchronising_lines(measured: tuple[Result, Path]) -> None:
    record = measured[0]
    assert record.ceilings is not None and record.ceilings.reason == "the case runs on a CPU"
    assert profile_of(measured).sync_reason == NO_DEVICE


def test_the_record_comes_back_equal(measured: tuple[Result, Path]) -> None:
    assert decode(encode(measured[0]), name="x") == measured[0]


def test_tables_for_a_terminal(measured: tuple[Result, Path]) -> None:
    by_stage, by_part = (list(profile_tables(measured[0], kind)) for kind in ("stages", "torch"))
    assert any(line.startswith("denoise.0") for line in by_stage)
    assert any(line.startswith("base/qkv/lora") for line in by_part)


def test_only_the_first_process_is_profiled(tmp_path: Path) -> None:
    job = msgspec.structs.replace(small_job(profile=True, blocks=1, mode="text"), process=1)
    record = run_job(job, tmp_path, ignore)
    assert isinstance(record, Result)
    assert record.profile is None and record.process == 1
