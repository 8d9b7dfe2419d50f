"""`invoke compare`: what changed between two cases with profiles, on the page and in the JSON."""

from pathlib import Path

import msgspec

from harness.matrix import Case
from harness.report.changed import CaseChanges
from harness.report.compare import compare_runs
from harness.report.comparison import Comparison
from harness.result import Result
from tests.analysis.plants import PLANTS, cached_attention, noisy, plant, plant_times
from tests.analysis.profiled import CASES, EAGER, with_state
from tests.records import build


def of_case(case: Case, result: Result) -> Result:
    """The measurement under another case's name."""
    return build.change(result, case=case, case_id=case.id)


def planted_run(reports: Path, *names: str, processes: int = 1) -> Path:
    """A run of a twin and some plants, "sdpa" among them."""
    plain = msgspec.structs.replace(CASES[EAGER], processes=processes)
    records: list[Result] = []
    for process in range(processes):
        twin = with_state(build.result(plain, process=process), operator_us=8.0)
        records.append(twin if process else noisy(twin, 0))
        for name in names:
            case = msgspec.structs.replace(plain, plant=name)
            if name == "sdpa":
                case = msgspec.structs.replace(plain, attention="sdpa")
                changed = cached_attention(twin, 0.5)
            elif process:
                changed = plant_times(twin, PLANTS[name])
            else:
                changed = plant(twin, PLANTS[name])
            records.append(of_case(case, changed if process else noisy(changed, 50)))
    cases = list({record.case.id: record.case for record in records}.values())
    manifest = build.manifest(cases, run_id="20261125-120000-planted", matrix="planted")
    return build.store(reports, manifest, list(records))


def compared(reports: Path, run: Path, case_b: str, case_a: str = EAGER) -> CaseChanges:
    answer = compare_runs(reports, a=f"{run.name}:{case_a}", b=f"{run.name}:{case_b}", as_json=True)
    (changes,) = msgspec.json.decode(answer.text, type=Comparison).changes
    return changes


def page(reports: Path, run: Path, case_b: str) -> str:
    return compare_runs(reports, a=f"{run.name}:{EAGER}", b=f"{run.name}:{case_b}").text


def test_a_plant_is_the_top_changed_cause_on_the_page_and_in_the_json(tmp_path: Path) -> None:
    run = planted_run(tmp_path, "casts", "pause")
    told = compared(tmp_path, run, f"{EAGER}-plant-casts")
    assert told.causes[0].cause == "work" and told.causes[0].operator == "aten::_to_copy"
    assert told.causes[0].measure == "busy" and told.busy is not None
    assert abs(told.causes[0].change_ms - told.busy.ms) < 0.25 * told.busy.ms
    assert (told.wall.low_ms, told.wall.high_ms) == (None, None)  # of one process each
    text = page(tmp_path, run, f"{EAGER}-plant-casts")
    assert "## What changed" in text
    assert "Top changed cause: **GPU work by aten::\\_to_copy in base**, +" in text
    assert "| `base` | 0.000 | 66.95 | 0 | 6,000 | 0 | 0 |" in text
    assert "kernels: 0 before, 6,000 after" in text
    paused = page(tmp_path, run, f"{EAGER}-plant-pause")
    assert "Top changed cause: **Python of the host in base**" in paused


def test_a_twin_against_itself_has_no_changed_cause(tmp_path: Path) -> None:
    run = planted_run(tmp_path, "casts")
    told = compared(tmp_path, run, EAGER)
    assert told.causes == [] and (told.wall.ms, told.unexplained_ms) == (0.0, 0.0)
    assert "No changed cause." in page(tmp_path, run, EAGER)


def test_several_processes_give_the_cost_an_interval(tmp_path: Path) -> None:
    run = planted_run(tmp_path, "clones", processes=3)
    told = compared(tmp_path, run, f"{EAGER}-plant-clones")
    assert told.busy is not None
    assert told.busy.low_ms is not None and told.busy.high_ms is not None
    assert told.busy.low_ms < told.busy.ms < told.busy.high_ms
    assert told.busy.low_ms - 5 < told.causes[0].change_ms < told.busy.high_ms + 5
    text = page(tmp_path, run, f"{EAGER}-plant-clones")
    assert "; GPU-busy time: +110.0 ms (" in text


def test_cases_without_profiles_have_no_section(tmp_path: Path) -> None:
    run = planted_run(tmp_path, "casts")
    answer = compare_runs(tmp_path, a=run.name, b=run.name)
    assert "## What changed" in answer.text
    results = [build.change(build.result(CASES[EAGER]), profile=None)]
    bare = build.store(tmp_path, build.manifest([results[0].case]), list(results))
    text = compare_runs(tmp_path, a=bare.name, b=bare.name).text
    assert "## What changed" not in text
