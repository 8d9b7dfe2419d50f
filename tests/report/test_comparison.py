import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.errors import StorageError, UsageError
from harness.report.cells import Cell, line
from harness.report.combined import Combined
from harness.report.compare import Answer, compare_runs, table_of_runs
from harness.report.comparison import Comparison
from harness.report.comparison_view import check_sides
from harness.report.gate import gate_runs
from harness.report.lint import UnsourcedNumberError
from harness.result import encode
from harness.store import RunFolder, runs
from tests.report.made_runs import EAGER, PAIRED, SDPA, run

OLD = runs(Path(__file__).parent.parent / "records" / "schema-1")[0]


def compared(reports: Path, a: str = "a", b: str = "b", **options: Any) -> Comparison:
    answer = compare_runs(reports, a=a, b=b, as_json=True, **options)
    told = msgspec.json.decode(answer.text, type=Comparison)
    assert answer.exit_code == told.exit_code
    return told


def page(reports: Path, a: str = "a", b: str = "b", **options: Any) -> str:
    return compare_runs(reports, a=a, b=b, **options).text


def test_a_run_against_itself_is_the_same(tmp_path: Path) -> None:
    run(tmp_path, "a")
    told = compared(tmp_path, "a", "a")
    assert (told.call, told.exit_code, told.differences) == ("same", 0, [])
    assert {(row.time.ratio, row.call) for row in told.verdicts} == {(1.0, "same")}
    text = page(tmp_path, "a", "a")
    assert "Nothing that is recorded differs." in text
    assert text.splitlines()[-1] == "next: `invoke gate --baseline a` holds the next run against B"


def test_a_slowed_run_is_slower(tmp_path: Path) -> None:
    run(tmp_path, "a"), run(tmp_path, "b", of_case={EAGER: 1.05})
    told = compared(tmp_path)
    assert (told.call, told.exit_code) == ("slower", 4)
    slower = [row for row in told.verdicts if row.call == "slower"]
    assert {(row.case_a, row.measure) for row in slower} == {(EAGER, "wall"), (EAGER, "busy")}
    for row in slower:
        assert row.time.ratio == pytest.approx(1.05, abs=0.003)
        assert row.time.low is not None and row.time.high is not None and row.cycles is not None
        assert 1 < row.time.low < row.time.ratio < row.time.high
        assert row.cycles.ratio == pytest.approx(row.time.ratio)
    assert told.next_step == (
        f"next: {EAGER} is slower; `invoke compare --a a:{EAGER} --b b:{EAGER}`"
    )


def test_one_run_against_several(tmp_path: Path) -> None:
    run(tmp_path, "a"), run(tmp_path, "b", of_case={EAGER: 1.05}), run(tmp_path, "c")
    answer = compare_runs(tmp_path, a="a", b="b, c", as_json=True)
    told = msgspec.json.decode(answer.text, type=Combined)
    assert [one.call for one in told.comparisons] == ["slower", "same"]
    assert (answer.exit_code, told.exit_code) == (4, 4)
    assert told.comparisons == [compared(tmp_path, "a", "b"), compared(tmp_path, "a", "c")]
    text = page(tmp_path, "a", "b,c", out=str(tmp_path / "kept"))
    assert text == f"{tmp_path}/kept/comparison.md"
    (row,) = (
        line
        for line in (tmp_path / "kept/comparison.md").read_text().splitlines()
        if line.startswith(f"| `{EAGER}` | GPU-busy |")
    )
    assert re.search(
        r"1\.0\d\d \(1\.0\d\d to 1\.0\d\d\), \*\*slower\*\* \| .*, \*\*same\*\* \|$", row
    )
    assert "`c`: nothing that is recorded" in page(tmp_path, "a", "b,c")
    with pytest.raises(UsageError, match="not found"):
        page(tmp_path, "a", "b,")


def test_runs_of_a_bench_are_told_in_one_table(tmp_path: Path) -> None:
    paths = [run(tmp_path, name) for name in "abc"]
    assert table_of_runs([RunFolder.find(tmp_path, name).path for name in "abc"]).startswith(
        "# Runs compared with `a`"
    )
    assert len(paths) == 3


def test_a_faster_run_is_no_failure(tmp_path: Path) -> None:
    run(tmp_path, "a"), run(tmp_path, "b", times=0.95)
    told = compared(tmp_path)
    assert (told.call, told.exit_code) == ("faster", 0)


def test_one_percent_is_below_the_minimum_effect(tmp_path: Path) -> None:
    run(tmp_path, "a"), run(tmp_path, "b", times=1.01)
    told = compared(tmp_path)
    assert {row.call for row in told.verdicts} <= {"same", "undecided"}
    assert told.exit_code in (0, 3)


def test_one_process_each_is_undecided(tmp_path: Path) -> None:
    run(tmp_path, "a", processes=1), run(tmp_path, "b", processes=1, times=1.5)
    told = compared(tmp_path)
    assert (told.call, told.exit_code) == ("undecided", 3)
    assert {row.reason for row in told.verdicts} == {"fewer processes than a verdict needs"}
    assert "`invoke bench --matrix full --processes 3`" in told.next_step
    assert "| – |" in page(tmp_path)


def test_another_clock_is_no_verdict(tmp_path: Path) -> None:
    run(tmp_path, "a"), run(tmp_path, "b", times=1.1, clock_mhz=1800.0)
    told = compared(tmp_path)
    assert told.exit_code == 3
    assert {row.time.call for row in told.verdicts} == {"slower"}
    assert all("the clock differed" in row.reason for row in told.verdicts)


def test_without_a_clock_the_time_decides(tmp_path: Path) -> None:
    run(tmp_path, "a", clock_mhz=None), run(tmp_path, "b", clock_mhz=None, times=1.1)
    told = compared(tmp_path)
    assert (told.exit_code, told.verdicts[0].cycles) == (4, None)


def test_wall_time_is_a_warning_where_busy_time_decides(tmp_path: Path) -> None:
    run(tmp_path, "a"), run(tmp_path, "b", times=1.1, busy_times=1.0)
    told = compared(tmp_path)
    assert (told.call, told.exit_code) == ("same", 0)
    assert f"warning: {EAGER} is slower in wall time, which does not decide here" in (told.warnings)
    assert f"warning: {EAGER} is slower" in page(tmp_path)
    assert compared(tmp_path, measure="wall").exit_code == 4


def test_other_presets_are_refused_with_their_keys(tmp_path: Path) -> None:
    run(tmp_path, "a", only=(EAGER,))
    run(tmp_path, "b", only=(EAGER,), case={"preset": "tiny", "width_px": 64, "height_px": 64})
    with pytest.raises(
        UsageError, match=r"case.preset: full against tiny.*case.width_px"
    ) as caught:
        compared(tmp_path)
    assert caught.value.exit_code == 2


def test_other_presets_stay_refused_where_the_cases_are_named(tmp_path: Path) -> None:
    run(tmp_path, "a", only=(EAGER,))
    run(tmp_path, "b", only=(SDPA,), case={"preset": "tiny", "width_px": 64, "height_px": 64})
    with pytest.raises(UsageError, match=r"case.preset"):
        compared(tmp_path, f"a:{EAGER}", f"b:{SDPA}")


def test_two_gpus_are_compared_if_they_are_the_question(tmp_path: Path) -> None:
    run(tmp_path, "a")
    run(tmp_path, "b", times=1.2, clock_mhz=1500.0, facts={"gpu.name": "NVIDIA L40S"})
    with pytest.raises(UsageError, match=r"gpu.name: NVIDIA H200 against NVIDIA L40S.*--across"):
        compared(tmp_path)
    told = compared(tmp_path, across="gpu")
    assert (told.exit_code, told.across) == (4, ["gpu"])
    assert [(row.key, row.asked) for row in told.differences] == [("gpu.name", True)]
    assert "the question: another GPU" in page(tmp_path, across="gpu")


def test_what_need_not_match_is_shown(tmp_path: Path) -> None:
    run(tmp_path, "a")
    run(tmp_path, "b", facts={"gpu.driver": "600.1", "torch.build_flags": "x" * 300 + " 7"})
    told = compared(tmp_path)
    assert {row.key for row in told.differences} == {"gpu.driver", "torch.build_flags"}
    text = page(tmp_path)
    assert "| `gpu.driver` | 580.159.04 | 600.1 | – |" in text
    assert "x" * 60 in text and "x" * 90 not in text


def test_two_cases_of_one_run(tmp_path: Path) -> None:
    run(tmp_path, "a", only=(EAGER, SDPA), of_case={SDPA: 1.3}, case={"profile": False})
    told = compared(tmp_path, f"a:{EAGER}", f"a:{SDPA}")
    assert (told.exit_code, told.verdicts[0].case_b) == (4, SDPA)
    assert {row.key for row in told.differences if row.asked} == {"case.attention"}
    assert told.next_step.endswith("`invoke report --run a`")


def test_a_case_that_only_one_run_has_is_listed(tmp_path: Path) -> None:
    run(tmp_path, "a", only=(EAGER, SDPA)), run(tmp_path, "b", only=(EAGER, PAIRED))
    told = compared(tmp_path)
    assert told.not_compared == {SDPA: "only A has finished it", PAIRED: "only B has finished it"}
    assert f"- `{SDPA}`: only A has finished it" in page(tmp_path)


def test_an_old_run_has_wall_time_and_no_verdict() -> None:
    told = compared(OLD.parent.parent, OLD.name, OLD.name)
    assert told.exit_code == 0  # the samples are the same
    assert {row.measure for row in told.verdicts} == {"wall"}
    assert told.not_compared.keys() == {"isolated-inpainting-eager", "isolated-inpainting-compiled"}
    with pytest.raises(UsageError, match="has busy times to compare"):
        compared(OLD.parent.parent, OLD.name, OLD.name, measure="busy")


def test_both_forms_are_kept_and_read_back(tmp_path: Path) -> None:
    run(tmp_path, "a"), run(tmp_path, "b")
    out = tmp_path / "kept"
    answer = compare_runs(tmp_path, a=str(tmp_path / "nvidia-h200" / "a"), b="b", out=str(out))
    blob = (out / "comparison.json").read_bytes()
    told = msgspec.json.decode(blob, type=Comparison)
    assert encode(told) == blob
    assert told.schema_version == 2 and (told.a, told.b) == ("a", "b")
    assert str(tmp_path) not in blob.decode() + (out / "comparison.md").read_text()
    assert answer.text.splitlines()[-1] == told.next_step


def test_without_out_nothing_is_written(tmp_path: Path) -> None:
    run(tmp_path, "a"), run(tmp_path, "b")
    before = sorted(tmp_path.rglob("*"))
    page(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unwritable_folder_is_an_error(tmp_path: Path) -> None:
    run(tmp_path, "a")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write the comparison"):
        page(tmp_path, "a", "a", out=str(tmp_path / "file"))


def test_json_has_no_nan_and_every_field(tmp_path: Path) -> None:
    run(tmp_path, "a")
    answer = compare_runs(tmp_path, a="a", b="a", as_json=True)
    assert set(json.loads(answer.text)) == set(Comparison.__struct_fields__)


def test_the_lint_looks_into_the_folder_of_each_side(tmp_path: Path) -> None:
    a, b = run(tmp_path, "a", only=(EAGER,)), run(tmp_path, "b", only=(SDPA,))
    good = Cell("5", (f"a/cases/{EAGER}.json#/chunks", f"b/cases/{SDPA}.json#/chunks"))
    check_sides(line(good), a, b)
    check_sides(line(Cell("5", ("rule#MIN_EFFECT",))), a, b)
    for sources in ((), (f"b/cases/{EAGER}.json#/chunks",), (f"cases/{SDPA}.json#/chunks",)):
        with pytest.raises(UnsourcedNumberError):
            check_sides(line(Cell("5", sources)), a, b)


def test_every_number_of_a_page_has_its_source(tmp_path: Path) -> None:
    size = {"width_px": 768}
    run(tmp_path, "a", case=size), run(tmp_path, "b", case=size, times=1.1, busy_times=1.0)
    assert f"warning: {EAGER}-768x512 is slower" in page(tmp_path)  # a number in the case's id


def gated(reports: Path, baseline: str = "a", **options: Any) -> Answer:
    return gate_runs(reports, baseline=baseline, **options)


@pytest.mark.parametrize(
    ("times", "margin", "code", "word"),
    [
        (1.0, "3%", 0, "passed"),
        (1.01, "3%", 0, "passed"),
        (1.05, "3%", 4, "regressed"),
        (1.05, "0.1", 0, "passed"),
        (1.03, "3.1%", 3, "undecided"),
    ],
)
def test_the_gate(tmp_path: Path, times: float, margin: str, code: int, word: str) -> None:
    run(tmp_path, "a", only=(EAGER,)), run(tmp_path, "b", only=(EAGER,), times=times)
    answer = gated(tmp_path, max_regression=margin)
    assert answer.exit_code == code, answer.text
    first, *_, summary, step = answer.text.splitlines()
    assert first.startswith(word) and f"{EAGER}: busy" in first
    assert summary.startswith("gate: b against a, margin ") and summary.endswith(word)
    assert step.startswith("next: `invoke ")


def test_a_baseline_passes_its_own_gate(tmp_path: Path) -> None:
    run(tmp_path, "a", processes=1)
    assert gated(tmp_path, run="a").exit_code == 0


def test_the_newest_other_run_of_matrix_and_gpu_is_the_candidate(tmp_path: Path) -> None:
    run(tmp_path, "a"), run(tmp_path, "b"), run(tmp_path, "c", times=1.1)
    run(tmp_path, "d", matrix="other"), run(tmp_path, "e", gpu_slug="nvidia-l40s")
    assert "gate: c against a" in gated(tmp_path).text
    assert "gate: b against c" in gated(tmp_path, "c").text
    with pytest.raises(UsageError, match=r"no other run of matrix 'other'.*--matrix other"):
        gated(tmp_path, "d")


def test_a_planned_case_without_a_result_does_not_pass(tmp_path: Path) -> None:
    run(tmp_path, "a")
    b = run(tmp_path, "b")
    for path in (b / "cases").glob(f"{PAIRED}*"):
        path.unlink()
    answer = gated(tmp_path)
    assert answer.exit_code == 3
    assert f"undecided  {PAIRED}: planned in this run, but not finished" in answer.text
    assert answer.text.splitlines()[-1] == "next: `invoke bench --resume b`"


def test_a_case_that_was_not_planned_is_left_out(tmp_path: Path) -> None:
    run(tmp_path, "a"), run(tmp_path, "b", only=(EAGER,))
    answer = gated(tmp_path)
    assert answer.exit_code == 0
    assert f"left out   {PAIRED}: only A has finished it" in answer.text


def test_a_case_without_the_measure_is_left_out_by_name(tmp_path: Path) -> None:
    a, b = run(tmp_path, "a"), run(tmp_path, "b")
    for folder in (a, b):
        for path in (folder / "cases").glob(f"{EAGER}*"):
            record = json.loads(path.read_text())
            path.write_text(json.dumps(record | {"busy": []}))
    assert f"left out   {EAGER}: lacks the measure" in gated(tmp_path, measure="busy").text
    assert f"passed     {EAGER}: wall" in gated(tmp_path).text


def test_a_slower_clock_is_no_regression(tmp_path: Path) -> None:
    run(tmp_path, "a"), run(tmp_path, "b", times=1.1, clock_mhz=1800.0)
    answer = gated(tmp_path)
    assert answer.exit_code == 3 and "the clock differed" in answer.text


def test_a_gate_refuses_what_a_comparison_refuses(tmp_path: Path) -> None:
    run(tmp_path, "a"), run(tmp_path, "b", facts={"torch.version": "2.14.0"})
    with pytest.raises(UsageError, match=r"torch.version"):
        gated(tmp_path)
    assert gated(tmp_path, across="torch.version").exit_code == 0


def test_a_key_that_differs_from_case_to_case_names_them(tmp_path: Path) -> None:
    run(tmp_path, "a", facts={"host.kernel": "6.1"})
    b = run(tmp_path, "b", facts={"host.kernel": "6.2"})
    once = [row for row in page(tmp_path).splitlines() if row.startswith("| `host.kernel`")]
    assert once == ["| `host.kernel` | 6.1 | 6.2 | – |"]
    for path in (b / "cases").glob(f"{PAIRED}*"):
        path.write_text(path.read_text().replace('"6.2"', '"6.3"'))
    twice = [row for row in page(tmp_path).splitlines() if row.startswith("| `host.kernel`")]
    assert twice == [
        f"| `host.kernel` | 6.1 | 6.2 | in {EAGER} |",
        f"| `host.kernel` | 6.1 | 6.3 | in {PAIRED} |",
    ]
