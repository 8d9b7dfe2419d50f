"""harness.host.session: processes run in order, each record is kept, undecided ones get more."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from harness.errors import CaseError, EngineError, StorageError
from harness.host import session as session_module
from harness.host.beside import hold_run
from harness.host.choice import Choice
from harness.host.plan import Plan
from harness.host.runner import Notify
from harness.host.screen import Screen
from harness.host.session import Runners, Session, Tools
from harness.job import Devices, Job, PreflightRequest
from harness.matrix import Case, schedule
from harness.privacy import Scrubber
from harness.profiled import Profile
from harness.result import Fact, Record
from harness.run import Run
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
    name: str = ""
    numbers: list[int] = field(default_factory=list)
    trace: bytes | None = None
    recovers: int = 0  # how often an engine that has gone comes back

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
        return {"runner": Fact(value=self.name)}

    def recover(self) -> None:
        if not self.recovers:
            raise EngineError("the engine stays away")
        self.recovers -= 1

    def run(self, job: Job, clips: list[Path], notify: Notify, trace: Path | None = None) -> Record:
        self.ran.append(job.case.id)
        self.numbers.append(job.process)
        if trace is not None and self.trace is not None:
            trace.parent.mkdir(parents=True, exist_ok=True)
            trace.write_bytes(self.trace)
        return self.play(job.case)


def session(
    tmp_path: Path,
    runner: FakeRunner,
    cases: list[Case] = CASES,
    *,
    bare: FakeRunner | None = None,
    budget_s: float | None = None,
) -> Session:
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
    return Session(
        run=folder,
        runners=Runners(chosen=runner, bare=bare or runner),
        plan=plan,
        salt="salt",
        scrub=scrub,
        facts=FACTS,
        screen=Screen(io.StringIO()),
        budget_s=budget_s,
    )


def render(path: Path) -> Path:
    (path / "report.md").write_text("report")
    return path / "report.md"


def nothing_undecided(_: Run) -> list[str]:
    return []


TOOLS = Tools(render=render, undecided=nothing_undecided)


def shown(work: Session) -> list[str]:
    stream = work.screen._stream
    assert isinstance(stream, io.StringIO)
    return stream.getvalue().splitlines()


def all_of(cases: list[Case]) -> dict[str, float]:
    return {each.id: 1.0 for each in cases}


def test_every_record_is_saved_and_the_report_s_path_comes_last(tmp_path: Path) -> None:
    work = session(tmp_path, FakeRunner())
    report = work.finish(TOOLS, schedule(CASES), all_of(CASES))
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
        work.finish(TOOLS, schedule(CASES), all_of(CASES))
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
        work.finish(TOOLS, schedule(CASES), all_of(CASES))
    assert shown(work)[-1] == "stopped; go on with: invoke bench --resume 20261123-080000-quick"
    run = work.run.load()
    assert run.missing == [CASES[1].id, CASES[2].id]
    if isinstance(stop, EngineError):
        assert run.failures[CASES[1].id].category == "infrastructure"


def test_an_engine_that_comes_back_costs_one_case(tmp_path: Path) -> None:
    def play(of: Case) -> Record:
        if of == CASES[0]:
            raise EngineError("the engine has gone")
        return result(of)

    work = session(tmp_path, FakeRunner(play, recovers=1))
    with pytest.raises(CaseError, match="1 of 3 cases failed"):
        work.finish(TOOLS, schedule(CASES), all_of(CASES))
    run = work.run.load()
    assert run.missing == [CASES[0].id]
    assert run.failures[CASES[0].id].message == "the engine has gone"
    assert "waiting for the container engine" in shown(work)


def test_an_engine_that_fails_twice_in_a_row_ends_the_run(tmp_path: Path) -> None:
    def play(of: Case) -> Record:
        raise EngineError("the engine refused")

    runner = FakeRunner(play, recovers=9)
    work = session(tmp_path, runner)
    with pytest.raises(EngineError, match="refused"):
        work.finish(TOOLS, schedule(CASES), all_of(CASES))
    assert len(runner.ran) == 2
    assert len(work.run.load().failures) == 2


def test_only_what_is_missing_runs_again(tmp_path: Path) -> None:
    runner = FakeRunner()
    work = session(tmp_path, runner)
    work.run.save(result(CASES[1]))
    work.finish(TOOLS, work.run.load().todo, all_of(CASES))
    assert runner.ran == [CASES[0].id, CASES[2].id]
    assert work.run.load().missing == []


def test_a_full_disk_stops_before_a_case_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = FakeRunner()
    work = session(tmp_path, runner)
    monkeypatch.setattr(session_module, "RECORD_LIMIT_BYTES", 1 << 62)
    with pytest.raises(StorageError, match="free for records"):
        work.finish(TOOLS, schedule(CASES), all_of(CASES))
    assert runner.ran == []


def paired(**changes: object) -> Case:
    return case(**({"kind": "paired", "arms": ("base", "again"), "processes": 3} | changes))


def test_processes_run_in_rotated_order_and_keep_their_number(tmp_path: Path) -> None:
    cases = [paired(), paired(arms=("base", "delay5"), processes=2), case()]
    runner = FakeRunner()
    work = session(tmp_path, runner, cases)
    work.finish(TOOLS, schedule(cases), all_of(cases))
    first, second, single = (each.id for each in cases)
    assert runner.ran == [first, second, single, second, first, first]
    run = work.run.load()
    assert [record.process for record in run.processes[first]] == [0, 1, 2]
    assert run.missing == []
    assert sorted(path.name for path in (work.run.path / "cases").iterdir())[:3] == [
        f"{single}.json",
        f"{first}.json",
        f"{first}.process-2.json",
    ]


def test_a_bare_case_goes_to_the_host_and_says_so(tmp_path: Path) -> None:
    cases = [paired(), paired(bare=True)]
    boxed, bare = FakeRunner(name="box"), FakeRunner(name="host")
    work = session(tmp_path, boxed, cases, bare=bare)
    work.finish(TOOLS, schedule(cases), all_of(cases))
    assert (set(boxed.ran), set(bare.ran)) == ({cases[0].id}, {cases[1].id})
    found = work.run.load().results
    assert found[cases[1].id].provenance["runner"] == Fact(value="host")


def extended(tmp_path: Path, *, budget_s: float | None) -> tuple[Session, FakeRunner]:
    cases = [paired(), case()]
    runner = FakeRunner()
    work = session(tmp_path, runner, cases, budget_s=budget_s)
    tools = Tools(render=render, undecided=lambda run: [cases[0].id])
    work.finish(tools, schedule(cases), all_of(cases))
    return work, runner


def test_an_undecided_comparison_gets_more_processes_once(tmp_path: Path) -> None:
    work, runner = extended(tmp_path, budget_s=60)
    run = work.run.load()
    assert [record.process for record in run.processes[paired().id]] == [0, 1, 2, 3, 4]
    assert len(runner.ran) == 3 + 1 + 2
    work.finish(Tools(render, lambda run: [paired().id]), run.todo, all_of([paired(), case()]))
    assert len(runner.ran) == 3 + 1 + 2


@pytest.mark.parametrize("budget_s", [1.0, None])
def test_without_budget_there_are_no_more_processes(tmp_path: Path, budget_s: float | None) -> None:
    work, runner = extended(tmp_path, budget_s=budget_s)
    assert len(runner.ran) == 3 + 1
    told = any("more processes each" in line for line in shown(work))
    assert told == (budget_s is not None)


def test_a_narrowed_run_gets_no_more_processes_and_goes_on_narrowed(tmp_path: Path) -> None:
    runner = FakeRunner()
    work = replace(session(tmp_path, runner, [paired()], budget_s=60), only="paired-*")
    tools = Tools(render=render, undecided=lambda run: [paired().id])
    work.finish(tools, schedule([paired()]), all_of([paired()]))
    assert len(runner.ran) == 3
    assert work.resume_command == f"invoke bench --resume {work.run.path.name} --only 'paired-*'"


def test_a_failed_process_is_named_and_run_again(tmp_path: Path) -> None:
    def play(of: Case) -> Record:
        return failure(of) if len(runner.ran) == 2 else result(of)

    cases = [paired()]
    runner = FakeRunner(play)
    work = session(tmp_path, runner, cases)
    with (
        hold_run(work.run.path),
        pytest.raises(CaseError, match=r"1 of 3 processes failed: .* \(process 2\)"),
    ):
        work.finish(TOOLS, schedule(cases), all_of(cases))
    run = work.run.load()
    assert [process.number for process in run.todo] == [1]
    assert run.failures[paired().id].process == 1
    work.finish(TOOLS, run.todo, all_of(cases))
    done = work.run.load()
    assert done.missing == [] and done.failures == {}


@pytest.mark.parametrize("trace", [b"packed", None])
def test_the_first_process_of_a_profiled_case_leaves_its_trace(
    tmp_path: Path, trace: bytes | None
) -> None:
    profiled = case(profile=True, processes=2)
    profile = Profile(
        chunks=[],
        steady_wall_ms=[],
        wall_median_ms=None,
        sync_sites=[],
        sync_reason="a CPU",
        trace="trace.json.gz",
        problems=[],
    )
    runner = FakeRunner(lambda of: result(of, profile=profile), trace=trace)
    work = session(tmp_path, runner, [profiled])
    work.finish(TOOLS, schedule([profiled]), all_of([profiled]))
    first = work.run.load().results[profiled.id]
    assert first.profile is not None
    kept = work.run.path / "traces" / f"{profiled.id}.json.gz"
    assert kept.is_file() == (trace is not None)
    assert first.profile.trace == (f"traces/{kept.name}" if trace else None)
    assert runner.numbers == [0, 1]
