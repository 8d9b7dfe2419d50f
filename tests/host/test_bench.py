import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.errors import CaseError, DeviceError, EngineError, StorageError, UsageError
from harness.host import bench as bench_module
from harness.host.bench import Place, Session, bench
from harness.host.choice import Choice
from harness.host.plan import Plan
from harness.host.runner import Notify
from harness.host.screen import Screen
from harness.job import Devices, Job, PreflightRequest
from harness.matrix import Case
from harness.privacy import Scrubber
from harness.result import Fact, Failure, Record, Result
from harness.store import RunFolder
from tests.samples import case, failure, manifest, result

CASES = [case(mode="depth"), case(mode="text"), case()]
FACTS = {"git.commit": Fact(value="c" * 40)}


@dataclass
class FakeRunner:
    """Answers each case with what `play` gives."""

    play: Callable[[Case], Record] = result
    problems: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)

    def preflight(self, request: PreflightRequest) -> Devices:
        return Devices(
            torch_version="t",
            torch_cuda=None,
            gpus=[],
            problems=self.problems,
            python_version="3",
            cpu_count=1,
        )

    def facts(self) -> dict[str, Fact]:
        return FACTS

    def run(self, job: Job, clips: list[Path], notify: Notify) -> Record:
        self.ran.append(job.case.id)
        return self.play(job.case)


def session(tmp_path: Path, runner: FakeRunner, cases: list[Case] = CASES) -> Session:
    plan = Plan(
        run_id="20261123-080000-quick",
        matrix="quick",
        choice=Choice(runtime="local", device="cpu", reason="a test"),
        cases=cases,
        clips={(64, 64): ([], [])},
        weights=None,
    )
    folder = RunFolder.create(tmp_path, manifest(*cases))
    scrub = Scrubber({"/home/ann": "<home>"})
    return Session(folder, runner, plan, "salt", scrub, FACTS, Screen(io.StringIO()))


def render(path: Path) -> Path:
    (path / "report.md").write_text("report")
    return path / "report.md"


def shown(work: Session) -> list[str]:
    stream = work.screen._stream
    assert isinstance(stream, io.StringIO)
    return stream.getvalue().splitlines()


def all_of(cases: list[Case]) -> dict[str, float]:
    return {each.id: 1.0 for each in cases}


def test_every_record_is_saved_and_the_report_s_path_comes_last(tmp_path: Path) -> None:
    work = session(tmp_path, FakeRunner())
    report = work.finish(render, all_of(CASES))
    run = work.run.load()
    assert run.missing == []
    assert run.results[CASES[0].id].provenance["git.commit"] == FACTS["git.commit"]
    assert shown(work)[-1] == str(report)


def test_a_failed_case_is_saved_and_the_next_one_runs(tmp_path: Path) -> None:
    def play(of: Case) -> Record:
        if of == CASES[0]:
            return failure(of, message="no /home/ann/x", detail="in /home/ann")
        return result(of)

    runner = FakeRunner(play)
    work = session(tmp_path, runner)
    with pytest.raises(CaseError, match=f"1 of 3 cases failed: {CASES[0].id}") as caught:
        work.finish(render, all_of(CASES))
    assert "--resume 20261123-080000-quick" in caught.value.next_step
    assert len(runner.ran) == 3
    saved = work.run.load().failures[CASES[0].id]
    assert (saved.message, saved.detail) == ("no <home>/x", "in <home>")
    assert any("FAILED, no <home>/x" in line for line in shown(work))
    assert shown(work)[-1].endswith("report.md")


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), EngineError("the engine has gone")])
def test_what_stops_a_run_says_how_to_go_on(tmp_path: Path, stop: BaseException) -> None:
    def play(of: Case) -> Record:
        if of == CASES[1]:
            raise stop
        return result(of)

    work = session(tmp_path, FakeRunner(play))
    with pytest.raises(type(stop)):
        work.finish(render, all_of(CASES))
    assert shown(work)[-1] == "stopped; go on with: invoke bench --resume 20261123-080000-quick"
    run = work.run.load()
    assert run.missing == [CASES[1].id, CASES[2].id]
    if isinstance(stop, EngineError):
        assert run.failures[CASES[1].id].category == "infrastructure"


def test_only_what_is_missing_runs_again(tmp_path: Path) -> None:
    runner = FakeRunner()
    work = session(tmp_path, runner)
    work.run.save(result(CASES[1]))
    work.finish(render, all_of([CASES[0], CASES[2]]))
    assert runner.ran == [CASES[0].id, CASES[2].id]
    assert work.run.load().missing == []


def test_a_full_disk_stops_before_a_case_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = FakeRunner()
    work = session(tmp_path, runner)
    monkeypatch.setattr(bench_module, "RECORD_LIMIT_BYTES", 1 << 62)
    with pytest.raises(StorageError, match="free for records"):
        work.finish(render, all_of(CASES))
    assert runner.ran == []


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
    bench_module._preflight(FakeRunner(problems=["note: the GPU is warm"]), CASES, Screen(stream))
    assert "note: the GPU is warm" in stream.getvalue()
    small = FakeRunner(problems=["GPU memory is too small: needs 20 GiB, 3 GiB free", "note: warm"])
    with pytest.raises(DeviceError, match="needs 20 GiB, 3 GiB free"):
        bench_module._preflight(small, CASES, Screen(stream))


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
    report = bench(given, place, render, Screen(stream))
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
    again = bench({"resume": run.manifest.run_id}, place, render, Screen(io.StringIO()))
    assert again == report
    assert isinstance(RunFolder(report.parent).load().results["e2e-text-eager"], Result)
    assert not isinstance(record, Failure)
