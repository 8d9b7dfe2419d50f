import time

import pytest

from harness.errors import RecordError
from harness.host.runner import OutputReader, case_limit_s, deadline, read_record
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


def test_the_limit_leaves_room_for_the_case_s_own_budgets() -> None:
    slow = case(warmup_max_s=1000.0, measure_max_s=1000.0)
    assert case_limit_s(slow) > 2000 + case_limit_s(case()) - 1200


def test_a_record_of_another_case_is_refused() -> None:
    assert read_record(encode(result()), case()) == result()
    with pytest.raises(RecordError, match="not of case"):
        read_record(encode(result(case(mode="text"))), case())
