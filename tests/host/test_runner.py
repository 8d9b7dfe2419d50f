import threading
import time

import pytest

from harness.errors import EngineError, RecordError
from harness.host import runner
from harness.host.runner import OutputReader, case_limit_s, deadline, explain, read_record
from harness.job import Progress
from harness.result import encode
from tests.samples import case, result


def test_output_is_split_into_progress_and_the_last_lines() -> None:
    seen: list[Progress] = []
    reader = OutputReader(seen.append)
    text = b'warning\n{"phase":"steady","done":1,"total":2}\nTrace\xffback\nlast'
    for start in range(0, len(text), 5):  # pieces cut anywhere
        reader.feed(text[start : start + 5])
    assert [progress.phase for progress in seen] == ["steady"]
    assert reader.close() == "warning\nTrace\ufffdback\nlast"


def test_only_the_last_lines_are_kept() -> None:
    reader = OutputReader(lambda progress: None)
    reader.feed(b"".join(b"line %d\n" % number for number in range(100)))
    reader.feed(b"x" * 200_000)  # a line without end does not grow without limit
    kept = reader.close().splitlines()
    assert len(kept) == 40
    assert len(kept[-1]) == 2000
    assert kept[0].startswith("line 6")


def test_a_deadline_stops_what_runs_too_long() -> None:
    stopped: list[bool] = []
    with deadline(0.05, lambda: stopped.append(True)) as late:
        time.sleep(0.3)
    assert stopped and late.passed


def test_a_deadline_that_is_kept_does_nothing() -> None:
    stopped: list[bool] = []
    with deadline(0.2, lambda: stopped.append(True)) as late:
        pass
    time.sleep(0.3)
    assert not stopped and not late.passed


class Hasty(threading.Event):
    """Waits end at once, as on a Python whose waits follow a wall clock that was set."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


def test_a_deadline_follows_its_clock_and_not_the_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner.threading, "Event", Hasty)
    read: list[float] = []
    shown = iter([0.0, 0.0, 50.0, 99.9, 100.0])

    def clock() -> float:
        read.append(next(shown))
        return read[-1]

    stopped: list[float] = []
    with deadline(100, lambda: stopped.append(read[-1]), clock=clock):
        time.sleep(0.3)
    assert stopped == [100.0]


def test_a_deadline_tells_why_it_could_not_stop() -> None:
    def stop() -> None:
        raise EngineError("the engine does not answer")

    with deadline(0.01, stop) as late:
        time.sleep(0.3)
    assert late.passed and late.failed is not None


@pytest.mark.parametrize(
    ("code", "category", "message"),
    [
        (137, "killed", "the case was killed from outside (SIGKILL)"),
        (129, "killed", "the case was killed from outside (SIGHUP)"),
        (134, "bug", "the case crashed (SIGABRT)"),
        (None, "killed", "the case was removed from outside"),
        (2, "infrastructure", "no record: the disk is full; free some"),
        (1, "bug", "the case ended without a valid record (exit 1)"),
    ],
)
def test_how_a_process_ended(code: int | None, category: str, message: str) -> None:
    tail = "warning: x\nerror: the disk is full; free some"
    assert explain(code, place="case", tail=tail) == (category, message)


def test_the_limit_leaves_room_for_the_case_s_own_budgets() -> None:
    slow = case(warmup_max_s=1000.0, measure_max_s=1000.0)
    assert case_limit_s(slow) > 2000 + case_limit_s(case()) - 1200


def test_a_record_of_another_case_is_refused() -> None:
    assert read_record(encode(result()), case()) == result()
    with pytest.raises(RecordError, match="not of case"):
        read_record(encode(result(case(mode="text"))), case())
