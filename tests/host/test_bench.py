import io
import json
import multiprocessing
import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.errors import DeviceError, EngineError, UsageError
from harness.host import bench as bench_module
from harness.host import ready
from harness.host.bench import bench
from harness.host.plan import Plan
from harness.host.ready import Place
from harness.host.screen import Screen
from harness.host.session import Runners
from harness.job import Devices, PreflightRequest
from harness.matrix import Case
from harness.result import Failure, Result
from harness.store import RunFolder
from tests.host.test_session import CASES, TOOLS, FakeRunner, paired, session
from tests.samples import result


def test_a_resumed_run_is_fed_with_the_same_clips(tmp_path: Path) -> None:
    work = session(tmp_path, FakeRunner())
    use = result().clips[0]
    from_file = type(use)(
        **{**{f: getattr(use, f) for f in use.__struct_fields__}, "source": "file"}
    )
    with pytest.raises(UsageError, match="the video clip is not the one"):
        bench_module._check_same_clips(work.plan, [result(clips=[from_file])])
    bench_module._check_same_clips(work.plan, [result()])


def test_problems_of_the_preflight_stop_the_run_and_notes_do_not() -> None:
    stream = io.StringIO()
    ready.preflight(FakeRunner(problems=["note: the GPU is warm"]), CASES, Screen(stream))
    assert "note: the GPU is warm" in stream.getvalue()
    small = FakeRunner(problems=["GPU memory is too small: needs 20 GiB, 3 GiB free", "note: warm"])
    with pytest.raises(DeviceError, match="needs 20 GiB, 3 GiB free"):
        ready.preflight(small, CASES, Screen(stream))


@dataclass
class LostEngine(FakeRunner):
    """Its engine goes away in the first preflights."""

    losses: int = 1

    def preflight(self, request: PreflightRequest) -> Devices:
        if self.losses:
            self.losses -= 1
            raise EngineError("the container engine cannot be reached (Connection refused)")
        return super().preflight(request)


def test_a_preflight_waits_once_for_an_engine_that_restarts() -> None:
    stream = io.StringIO()
    engine = LostEngine(recovers=1)
    ready.preflight(engine, CASES, Screen(stream))
    assert engine.recovers == 0
    assert "(Connection refused); waiting for the container engine" in stream.getvalue()
    with pytest.raises(EngineError, match="stays away"):
        ready.preflight(LostEngine(), CASES, Screen(stream))
    with pytest.raises(EngineError, match="Connection refused"):
        ready.preflight(LostEngine(losses=2, recovers=1), CASES, Screen(stream))


@pytest.mark.slow
def test_a_run_from_start_to_report(tmp_path: Path, surroundings: dict[str, str]) -> None:
    """The real thing on the CPU: one tiny case, its record, and a resume that finds all done."""
    (tmp_path / "one.toml").write_text(
        'name = "one"\n[[cases]]\nkind = ["e2e"]\nmode = ["text"]\n'
        "blocks = 1\nchunks_per_block = 1\nwarmup_max_chunks = 5\n"
    )
    place = Place(
        project=Path(__file__).resolve().parents[2],
        reports=tmp_path / "reports",
        environment=surroundings,
    )
    given = {"matrix": str(tmp_path / "one.toml"), "runtime": "local", "device": "cpu"}
    stream = io.StringIO()
    report = bench(given, place, TOOLS, Screen(stream))
    lines = stream.getvalue().splitlines()
    assert lines[-1] == str(report)
    assert "1 case, expected to take" in stream.getvalue()
    run = RunFolder(report.parent).load()
    (record,) = run.results.values()
    assert isinstance(record, Result)
    assert run.manifest.gpu_slug == "cpu"
    assert run.manifest.runtime_reason == "asked for with --runtime local"
    assert run.manifest.facts["engine.version"].reason
    assert str(tmp_path) not in json.dumps(run.manifest.command)
    again = bench({"resume": run.manifest.run_id}, place, TOOLS, Screen(io.StringIO()))
    assert again == report
    assert isinstance(RunFolder(report.parent).load().results["e2e-text-eager"], Result)
    assert not isinstance(record, Failure)


def _bench_of(given: dict[str, str], place: Place) -> None:
    bench(given, place, TOOLS, Screen(io.StringIO()))


@pytest.mark.slow
def test_two_benches_measure_one_run(
    tmp_path: Path, surroundings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For real, in two processes: every case once, and the run whole when both have ended."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # threads that wait in a loop would stop each other
    (tmp_path / "two.toml").write_text(
        'name = "two"\n[[cases]]\nkind = ["e2e"]\nmode = ["text", "depth"]\n'
        "blocks = 1\nchunks_per_block = 1\nwarmup_max_chunks = 5\n"
    )
    project = Path(__file__).resolve().parents[2]
    place = Place(project=project, reports=tmp_path / "reports", environment=surroundings)
    given = {"matrix": str(tmp_path / "two.toml"), "runtime": "local", "device": "cpu"}
    first = multiprocessing.get_context("spawn").Process(target=_bench_of, args=(given, place))
    first.start()
    deadline_s = time.monotonic() + 120
    while not (found := list(place.reports.glob("cpu/*/.claims/*"))):
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    stream = io.StringIO()
    name = found[0].parents[1].name
    bench({"beside": name}, place, TOOLS, Screen(stream))
    first.join(120)
    assert first.exitcode == 0
    run = RunFolder(place.reports / "cpu" / name).load()
    assert run.todo == []
    assert "another bench has it" in stream.getvalue()
    assert any("run.beside" in result.provenance for result in run.finished)
    assert not (run.path / ".claims").exists()


def plan_of(tmp_path: Path, cases: list[Case]) -> Plan:
    return session(tmp_path, FakeRunner(), cases).plan


def test_bare_cases_are_left_out_where_the_host_cannot_run_them(tmp_path: Path) -> None:
    cases = [paired(), paired(bare=True)]
    stream = io.StringIO()
    boxed = FakeRunner()
    for bare, reason in (
        (boxed, "the run's other cases are bare too"),
        (FakeRunner(problems=["no torch here"]), "no torch here"),
    ):
        runners = Runners(chosen=boxed, bare=bare)
        plan, facts = ready.without_impossible_bare(
            plan_of(tmp_path / reason[:7], cases), runners, Screen(stream)
        )
        assert plan.cases == cases[:1]
        assert facts[ready.BARE_FACT].reason == reason
        assert reason in stream.getvalue()
    plan, facts = ready.without_impossible_bare(
        plan_of(tmp_path / "kept", cases), Runners(boxed, FakeRunner()), Screen(stream)
    )
    assert plan.cases == cases
    assert facts[ready.BARE_FACT].value == "measured"


def test_local_cases_stay_on_the_cpus_that_were_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cpus: taken.append(cpus))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    plan = plan_of(tmp_path, CASES)
    ready._use_cpus("1-2", plan)
    assert taken == [{1, 2}]
    with pytest.raises(UsageError, match="names a CPU that this host has not"):
        ready._use_cpus("2-4", plan)
