"""harness.host.beside: one run, several benches, every process measured once."""

import os
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import pytest

from harness.errors import CaseError, EngineError, StorageError, UsageError
from harness.host.beside import BESIDE_FACT, CLAIMS, claim, help_run, hold_run, wait_for_others
from harness.matrix import Case, Process, schedule
from harness.result import Record
from tests.host.test_session import CASES, TOOLS, FakeRunner, all_of, session, shown
from tests.samples import failure, result

ROOT = Path(__file__).resolve().parents[2]
FIRST = Process(CASES[0], 0)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run.json").touch()
    return tmp_path


def test_a_run_is_held_by_one_process(run: Path) -> None:
    with hold_run(run), pytest.raises(UsageError, match="under way in another"), hold_run(run):
        pass
    with hold_run(run):
        pass


def test_a_folder_without_a_plan_cannot_be_held(tmp_path: Path) -> None:
    with pytest.raises(StorageError), hold_run(tmp_path):
        pass


def test_helpers_come_once_they_are_admitted_and_keep_the_run_from_being_taken_over(
    run: Path,
) -> None:
    with hold_run(run) as hold:
        with pytest.raises(UsageError, match="in use by another process"), help_run(run):
            pass
        hold.admit()
        with help_run(run), help_run(run):
            pass
    held = pytest.raises(UsageError, match="in use by another process")
    with help_run(run), held, hold_run(run):
        pass
    with hold_run(run):
        pass


def test_a_process_is_claimed_once_and_not_again_after_its_end(run: Path) -> None:
    with help_run(run), help_run(run):
        with claim(run, FIRST) as ours, claim(run, FIRST) as theirs:
            assert ours is not None
            assert theirs is None
        with claim(run, FIRST) as ours:  # it was let go of without a record
            assert ours is not None
            ours.end()
        with claim(run, FIRST) as again:
            assert again is None
    assert not (run / CLAIMS).exists()
    with help_run(run), claim(run, FIRST) as ours:
        assert ours is not None


def test_a_claim_counts_what_others_measure(run: Path) -> None:
    other = Process(CASES[1], 0)
    with claim(run, FIRST) as ours, claim(run, other) as theirs:
        assert ours is not None
        assert theirs is not None
        ours.look()
        assert ours.beside == 1
    with claim(run, other) as theirs:
        assert theirs is not None
        theirs.look()
        assert theirs.beside == 0


def test_a_run_is_waited_for_until_others_have_measured_it(run: Path) -> None:
    told: list[str] = []
    wait_for_others(run, told.append)  # no claim was ever made
    claimed, measured = Event(), Event()

    def measure() -> None:
        with help_run(run), claim(run, FIRST), claim(run, Process(CASES[1], 0)):
            claimed.set()
            measured.wait(60)
            ended.append(True)

    ended: list[bool] = []
    other = Thread(target=measure)
    other.start()
    assert claimed.wait(60)

    def say(line: str) -> None:
        told.append(line)
        measured.set()

    wait_for_others(run, say)
    other.join()
    assert told == [f"waiting for 2 processes of {run.name} that other benches measure"]
    assert ended == [True]


def test_the_claim_of_a_killed_bench_is_free(run: Path) -> None:
    script = (
        "import os\nfrom tests.host.test_beside import FIRST, claim, Path\n"
        f"with claim(Path({str(run)!r}), FIRST) as ours: os._exit(9 if ours else 0)"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == 9
    with claim(run, FIRST) as ours:
        assert ours is not None


def test_a_claim_through_a_link_is_refused(run: Path) -> None:
    (run / CLAIMS).mkdir()
    target = run / "elsewhere"
    target.write_text("kept")
    (run / CLAIMS / f"{CASES[0].id}.json").symlink_to(target)
    with pytest.raises(StorageError, match="cannot be claimed"), claim(run, FIRST):
        pass
    assert target.read_text() == "kept"


def test_two_benches_share_a_run(tmp_path: Path) -> None:
    """The second comes while the first measures its first case, and does the others."""
    helper = FakeRunner(name="second GPU")

    def play(of: Case) -> Record:
        if of == CASES[0]:
            with help_run(work.run.path):
                other.finish(TOOLS, schedule(CASES), all_of(CASES))
        return result(of)

    runner = FakeRunner(play, name="first GPU")
    work = session(tmp_path, runner)
    other = session(tmp_path / "unused", helper)
    object.__setattr__(other, "run", work.run)
    with hold_run(work.run.path) as hold:
        hold.admit()
        work.finish(TOOLS, schedule(CASES), all_of(CASES))
    assert runner.ran == [CASES[0].id]
    assert helper.ran == [CASES[1].id, CASES[2].id]
    run = work.run.load()
    assert run.missing == []
    assert [run.results[one.id].provenance["runner"].value for one in CASES] == [
        "first GPU",
        "second GPU",
        "second GPU",
    ]
    assert run.results[CASES[1].id].provenance[BESIDE_FACT].value == 1
    assert BESIDE_FACT not in run.results[CASES[0].id].provenance  # alone at both its ends
    assert f"[1/3] {CASES[0].id}: another bench has it" in shown(other)
    assert os.listdir(work.run.path / "cases")
    assert not (work.run.path / CLAIMS).exists()


def test_a_case_that_failed_is_not_tried_again_by_the_other(tmp_path: Path) -> None:
    def fail(of: Case) -> Record:
        return failure(of)

    runner = FakeRunner(fail)
    work = session(tmp_path, runner)
    helper = FakeRunner(fail)
    other = session(tmp_path / "unused", helper)
    object.__setattr__(other, "run", work.run)
    with help_run(work.run.path):
        with pytest.raises(CaseError, match="3 of 3"):
            work.finish(TOOLS, schedule(CASES), all_of(CASES))
        other.finish(TOOLS, schedule(CASES), all_of(CASES))
    assert helper.ran == []


def test_what_was_cut_off_is_free_for_the_other(tmp_path: Path) -> None:
    def stop(of: Case) -> Record:
        raise KeyboardInterrupt

    work = session(tmp_path, FakeRunner(stop))
    other = session(tmp_path / "unused", FakeRunner())
    object.__setattr__(other, "run", work.run)
    with help_run(work.run.path):
        with pytest.raises(KeyboardInterrupt):
            work.finish(TOOLS, schedule(CASES), all_of(CASES))
        other.finish(TOOLS, schedule(CASES), all_of(CASES))
    assert work.run.load().missing == []


def test_a_lost_engine_lets_go_of_the_claim_with_its_record(tmp_path: Path) -> None:
    def lose(of: Case) -> Record:
        raise EngineError("the engine has gone")

    work = session(tmp_path, FakeRunner(lose))
    with help_run(work.run.path):
        with pytest.raises(EngineError):
            work.finish(TOOLS, schedule(CASES), all_of(CASES))
        with claim(work.run.path, FIRST) as again:
            assert again is None
