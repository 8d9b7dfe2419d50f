"""Whole cases on a CPU with the tiny preset, from the job to the record."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from harness.job import ClipFile, Progress
from harness.measure import session
from harness.measure.bench import Bench
from harness.measure.clock_watch import ClockWatch
from harness.measure.session import run_job
from harness.measure.telemetry import GpuGoneError, Telemetry
from harness.presets import PRESETS
from harness.result import Failure, Record, Result, decode, encode
from harness.workload.rollout import stage_names
from tests.measure.cases import SALT, small_job
from tests.measure.test_telemetry import command as sampler_command

RECORD_LIMIT_BYTES = 2**20


def ignore(_: Progress) -> None:
    pass


def finished(record: Record) -> Result:
    assert isinstance(record, Result), record.detail
    return record


@pytest.fixture(scope="module")
def told() -> list[Progress]:
    """Progress of the depth case."""
    return []


@pytest.fixture(scope="module")
def depth(tmp_path_factory: pytest.TempPathFactory, told: list[Progress]) -> Result:
    job = small_job(mode="depth")
    return finished(run_job(job, tmp_path_factory.mktemp("depth"), told.append))


def test_the_record_is_valid_and_small(depth: Result) -> None:
    blob = encode(depth)
    assert decode(blob, name="depth") == depth
    assert len(blob) < RECORD_LIMIT_BYTES / 10


def test_phases_follow_each_other_in_order(depth: Result) -> None:
    assert [p.name for p in depth.phases] == ["load", "warmup", "steady", "memory", "count"]
    for before, after in zip(depth.phases, depth.phases[1:], strict=False):
        assert before.start_s <= before.end_s <= after.start_s + 1e-3
    for chunk in depth.chunks:
        (phase,) = [p for p in depth.phases if p.start_s - 1e-3 <= chunk.start_s < p.end_s]
        assert phase.name == chunk.phase


def test_progress_covers_every_phase(depth: Result, told: list[Progress]) -> None:
    phases = list(dict.fromkeys(line.phase for line in told))
    assert phases == [phase.name for phase in depth.phases]


def test_every_chunk_is_kept_and_the_first_is_apart(depth: Result) -> None:
    assert [chunk.chunk for chunk in depth.chunks] == list(range(len(depth.chunks)))
    assert [chunk.frames for chunk in depth.chunks] == [9] + [12] * (len(depth.chunks) - 1)
    steady = [chunk for chunk in depth.chunks if chunk.phase == "steady"]
    assert [chunk.block for chunk in steady] == [0, 0, 1, 1]
    assert min(chunk.chunk for chunk in steady) >= 4


def test_stages_are_those_of_the_workload_and_sum_to_the_chunk(depth: Result) -> None:
    config = session.workload_config(depth.case, None)
    for chunk in depth.chunks:
        assert list(chunk.stage_ms) == stage_names(config, "depth")
        assert sum(chunk.stage_ms.values()) == pytest.approx(chunk.wall_ms, abs=0.01)
        assert chunk.event_ms is None


def test_warm_up_and_stop_say_why(depth: Result) -> None:
    assert depth.convergence is not None
    assert depth.convergence.chunks == 5
    assert not depth.convergence.converged
    assert any(flag.startswith("warm-up not converged") for flag in depth.flags)
    assert depth.provenance["measure.stop"].value == "all 2 planned blocks"


def test_the_count_pass_counts_one_steady_chunk(depth: Result) -> None:
    counted = depth.count_pass
    assert counted is not None
    assert counted.chunk >= 4
    calls = {operator.name: operator.calls for operator in counted.operators}
    model = PRESETS["tiny"].model
    assert calls["aten::mm"] == 5 * model.num_layers * 8 * 2  # LoRA A and B, nothing else
    assert calls["attention.cached_self"] == 5 * model.num_layers
    assert calls["attention.vace_self"] == 4 * len(model.vace_layers)
    assert set(counted.attention_kernels) == {"cached_self", "cross", "vace_self"}
    assert all(operator.device_ms is None for operator in counted.operators)
    assert counted.kernels == []


def test_a_cpu_has_no_gpu_state_and_says_why(depth: Result) -> None:
    assert depth.gpu.source == "none"
    assert depth.gpu.reason == "the case runs on a CPU"
    assert depth.memory is not None
    assert depth.memory.reason == "no CUDA device"


def test_provenance_has_a_value_or_a_reason(depth: Result) -> None:
    facts = depth.provenance
    assert all(fact.value is not None or fact.reason for fact in facts.values())
    assert facts["attention.cached_self"].value == "sdpa"
    assert "scaled_dot_product" in str(facts["attention.sdpa_kernel"].value)


def test_generated_clips_are_named_and_hashed(depth: Result) -> None:
    (clip,) = depth.clips
    assert (clip.role, clip.source, clip.frames_in_file) == ("depth", "generated", None)
    assert len(clip.sha256) == 64
    assert depth.vace_context_sha256 is not None


def test_a_file_clip_changes_the_context_and_is_named(tmp_path: Path, depth: Result) -> None:
    frames = torch.randint(0, 256, (12, 1, 32, 32), dtype=torch.uint8)
    save_file({"frames": frames}, tmp_path / "depth.safetensors")
    clip = ClipFile(
        role="depth",
        file="depth.safetensors",
        name="mine.mp4",
        sha256="ab" * 32,
        frames_in_file=7,
        frames_used=12,
        looped=True,
    )
    job = small_job(mode="depth", clips=[clip], blocks=1, chunks_per_block=1)
    result = finished(run_job(job, tmp_path, ignore))
    (use,) = result.clips
    assert (use.source, use.name, use.sha256) == ("file", "mine.mp4", "ab" * 32)
    assert (use.frames_in_file, use.frames_used, use.looped) == (7, 12, True)
    assert result.vace_context_sha256 != depth.vace_context_sha256


def test_isolated_components_with_their_calls_per_chunk(tmp_path: Path) -> None:
    result = finished(run_job(small_job(kind="isolated"), tmp_path, ignore))
    assert {c.name: c.calls_per_chunk for c in result.components} == {
        "vae_encode_single": 0,
        "context_encode": 1,
        "vace_patch_embedding": 4,
        "vace_forward": 4,
        "vae_decode": 1,
    }
    for component in result.components:
        assert component.variant == "eager"
        assert component.block == [0, 0, 1, 1]
        assert len(component.wall_ms) == len(component.start_s) == 4
        assert component.event_ms is None
    short = next(c for c in result.components if c.name == "vace_patch_embedding")
    assert short.calls_per_sample > 1
    assert result.convergence is None
    assert result.compile is None


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_dynamo")
def test_compiled_components_stand_beside_their_eager_twins(tmp_path: Path) -> None:
    job = small_job(kind="isolated", compiled=True)
    result = finished(run_job(job, tmp_path, ignore))
    assert [(c.name, c.variant) for c in result.components] == [
        ("vace_patch_embedding", "eager"),
        ("vace_patch_embedding", "compiled"),
        ("vace_forward", "eager"),
        ("vace_forward", "compiled"),
    ]
    assert "compile" in [phase.name for phase in result.phases]
    assert result.compile is not None
    assert set(result.compile.cold_s) == {"vace_patch_embedding", "vace_forward"}
    assert result.compile.graphs >= 2
    assert bool(result.compile.graph_breaks) == bool(result.compile.break_reasons)
    # Interleaved: the order of the variants turns around from block to block.
    starts = {c.variant: c.start_s for c in result.components if c.name == "vace_forward"}
    assert starts["eager"][0] < starts["compiled"][0]
    assert starts["compiled"][2] < starts["eager"][2]


def test_a_reset_is_a_phase_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bench, "chunks_per_cycle", 8)
    job = small_job(blocks=2, chunks_per_block=2)
    result = finished(run_job(job, tmp_path, ignore))
    names = [phase.name for phase in result.phases]
    assert names.count("steady") == 2
    assert names[names.index("steady") + 1] == "warmup"
    steady = [chunk.chunk for chunk in result.chunks if chunk.phase == "steady"]
    assert steady == [5, 6, 5, 6]


def test_a_block_longer_than_a_cycle_is_refused(tmp_path: Path) -> None:
    record = run_job(small_job(chunks_per_block=338), tmp_path, ignore)
    assert isinstance(record, Failure)
    assert record.category == "input"
    assert "at most 337 chunks" in record.message


def test_an_abort_keeps_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose_gpu(bench: Bench, _: object) -> None:
        raise GpuGoneError("the GPU is lost", "device")

    monkeypatch.setattr("harness.measure.e2e.measure_memory", lose_gpu)
    record = run_job(small_job(blocks=1), tmp_path, ignore)
    assert isinstance(record, Failure)
    assert (record.category, record.exit_code) == ("device", None)
    assert record.partial is not None
    assert [c.phase for c in record.partial.chunks].count("steady") == 2
    assert decode(encode(record), name="aborted") == record


def test_a_failure_is_told_though_nothing_else_can_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some CUDA errors no call of the process succeeds, those of the provenance neither."""

    def sticky(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(session, "build_pipeline", sticky)
    monkeypatch.setattr(session, "collect", sticky)
    record = run_job(small_job(), tmp_path, ignore)
    assert isinstance(record, Failure)
    assert record.category == "device"
    assert "device-side assert" in str(record.provenance["provenance"].reason)


def test_a_sleep_of_the_host_flags_the_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flags(self: ClockWatch) -> list[str]:
        return ["the host slept for 9.0 s during the case"]

    monkeypatch.setattr(ClockWatch, "flags", flags)
    result = finished(run_job(small_job(mode="text", blocks=1), tmp_path, ignore))
    assert "the host slept for 9.0 s during the case" in result.flags


def test_nothing_private_enters_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "margarethe")
    monkeypatch.setattr("socket.gethostname", lambda: "secret-host")

    def fail(*_: object, **__: object) -> None:
        raise OSError(f"{tmp_path}/inner/file.bin of margarethe on secret-host is bad")

    monkeypatch.setattr(session, "build_pipeline", fail)
    record = run_job(small_job(), tmp_path, ignore)
    assert isinstance(record, Failure)
    assert record.category == "bug"
    assert "file.bin" in record.message
    text = encode(record).decode()
    for private in ("margarethe", "secret-host", str(tmp_path), str(Path.home()) + "/", SALT):
        assert private not in text
    assert str(Path(session.__file__).parent) not in text


def fake_gpu_state(_: object, samples: Path) -> Telemetry:
    """The real sampler process on a fake of NVML, beside a CPU case."""
    return Telemetry.start(sampler_command(samples, "--throttled"), samples, 0.02)


def test_text_only_with_counters_around_every_block_and_their_flags(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    result = finished(run_job(small_job(mode="text"), tmp_path, ignore, fake_gpu_state))
    assert [reading.label for reading in result.gpu.counters] == [
        "steady.0.start",
        "steady.0.end",
        "steady.1.start",
        "steady.1.end",
    ]
    for block in (0, 1):
        chunks = [chunk for chunk in result.chunks if chunk.block == block]
        start, end = result.gpu.counters[2 * block : 2 * block + 2]
        assert start.t_s <= chunks[0].start_s
        assert end.t_s >= chunks[-1].start_s + chunks[-1].wall_ms / 1e3 - 1e-3
    steady = [chunk for chunk in result.chunks if chunk.phase == "steady"]
    assert any("throttled" in chunk.flags for chunk in steady)
    assert any(flag.startswith("throttled in ") for flag in result.flags)
    assert "throttled before the case" in result.flags
    assert len(result.gpu.series.t_s) > 10
    for chunk in steady:
        assert chunk.state is not None
        assert chunk.state.sm_clock_mhz is not None and chunk.state.power_mw is not None
        assert chunk.state.run_queue is not None
        assert set(chunk.state.throttled_ns.values()) == {0}  # the bits said it, not the counters
    assert result.clips == []
    assert result.vace_context_sha256 is None
    assert "encode" not in result.chunks[0].stage_ms
