from pathlib import Path

import pytest

from harness.analysis.experiment import Call, Verdict, unpaired_ratio, verdict
from harness.analysis.pairs import (
    compare_pair,
    deciding,
    enough_processes,
    pair_up,
    parse_measure,
    together,
)
from harness.errors import RecordError, UsageError
from harness.run import Run
from harness.store import RunFolder
from tests.report import made_runs
from tests.report.made_runs import EAGER, PAIRED, SDPA

STEADY = [100.0, 100.1, 99.9]


def load(reports: Path, name: str, **changes: object) -> Run:
    return RunFolder(made_runs.run(reports, name, **changes)).load()  # type: ignore[arg-type]


def said(factor: float) -> Verdict:
    """Same near 1, faster and slower away from it, undecided at 1.02."""
    return verdict(unpaired_ratio(STEADY, [t * factor + 0.01 for t in STEADY]))


@pytest.mark.parametrize(
    ("time", "cycles", "call"),
    [
        (1.1, 1.1, "slower"),
        (0.9, 0.9, "faster"),
        (1.1, 1.0, "undecided"),
        (0.9, 1.0, "undecided"),
        (1.1, 0.9, "undecided"),
        (1.1, 1.0198, "undecided"),
        (1.0, 1.1, "undecided"),
        (1.0, 1.0198, "same"),
        (1.0, 1.0, "same"),
        (1.0198, 1.1, "undecided"),
    ],
)
def test_the_cycles_must_not_contradict(time: float, cycles: float, call: Call) -> None:
    assert together(said(time), said(cycles))[0] == call
    assert together(said(time), None)[0] == said(time).call


def test_the_clock_is_named_as_the_reason() -> None:
    assert "the clock differed" in together(said(1.1), said(1.0))[1]
    assert "the clock differed" in together(said(1.0), said(1.1))[1]
    assert "may have differed" in together(said(1.1), said(1.0198))[1]


def test_runs_are_paired_by_case_and_the_rest_is_listed(tmp_path: Path) -> None:
    a = load(tmp_path, "a", only=(EAGER, SDPA))
    b = load(tmp_path, "b", only=(EAGER, PAIRED))
    found = pair_up(a, b)
    assert [pair.label for pair in found.pairs] == [EAGER]
    assert (found.only_a, found.only_b) == ([SDPA], [PAIRED])


def test_nothing_in_common_is_refused(tmp_path: Path) -> None:
    a, b = load(tmp_path, "a", only=(EAGER,)), load(tmp_path, "b", only=(SDPA,))
    with pytest.raises(UsageError, match=f"no finished case in common.*{EAGER}.*{SDPA}"):
        pair_up(a, b)


def test_a_case_named_once_is_meant_for_both(tmp_path: Path) -> None:
    run = load(tmp_path, "a", only=(EAGER, SDPA))
    assert pair_up(run, run, None, SDPA).pairs[0].label == SDPA
    (pair,) = pair_up(run, run, EAGER, SDPA).pairs
    assert pair.label == f"{EAGER} against {SDPA}"


def test_an_unknown_case_names_the_known(tmp_path: Path) -> None:
    run = load(tmp_path, "a", only=(EAGER,))
    with pytest.raises(UsageError, match=f"has no case 'other'; finished are: {EAGER}"):
        pair_up(run, run, "other")


def test_a_paired_case_compares_arm_by_arm(tmp_path: Path) -> None:
    a, b = load(tmp_path, "a", only=(PAIRED,)), load(tmp_path, "b", only=(PAIRED,), times=1.05)
    found = compare_pair(pair_up(a, b).pairs[0])
    assert [(one.arm, one.measure, one.call) for one in found] == [
        ("base", "wall", "slower"),
        ("base", "busy", "slower"),
        ("compiled", "wall", "slower"),
        ("compiled", "busy", "slower"),
    ]
    assert all(one.time.ratio.processes == (3, 3) for one in found)


def test_another_clock_leaves_a_change_undecided_unless_it_is_the_question(tmp_path: Path) -> None:
    a = load(tmp_path, "a", only=(EAGER,))
    b = load(tmp_path, "b", only=(EAGER,), times=1.1, clock_mhz=1800.0)
    (pair,) = pair_up(a, b).pairs
    assert {one.call for one in compare_pair(pair)} == {"undecided"}
    assert {one.call for one in compare_pair(pair, clock_asked=True)} == {"slower"}


def test_busy_decides_where_both_have_it(tmp_path: Path) -> None:
    a, b = load(tmp_path, "a", only=(EAGER,)), load(tmp_path, "b", only=(EAGER,), busy=False)
    with_busy, without = pair_up(a, a).pairs[0], pair_up(a, b).pairs[0]
    assert [one.measure for one in deciding(compare_pair(with_busy), None)] == ["busy"]
    assert [one.measure for one in deciding(compare_pair(with_busy), "wall")] == ["wall"]
    assert [one.measure for one in deciding(compare_pair(without), None)] == ["wall"]
    assert deciding(compare_pair(without), "busy") == []


def test_a_time_of_nothing_is_an_error_of_the_record(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"wall_ms"):
        load(tmp_path, "b", only=(EAGER,), times=0.0)


def test_the_measure_is_wall_or_busy() -> None:
    assert (parse_measure(None), parse_measure("wall"), parse_measure("busy")) == (
        None, "wall", "busy",
    )  # fmt: skip
    with pytest.raises(UsageError, match="'cycles' is unknown"):
        parse_measure("cycles")


def test_what_stays_undecided_needs_three_processes_or_two_more(tmp_path: Path) -> None:
    run = load(tmp_path, "a", only=(EAGER,))
    found = compare_pair(pair_up(run, run).pairs[0])
    assert max(found[0].time.ratio.processes) == 3
    assert enough_processes(found) == 5
    assert enough_processes([]) == 3
