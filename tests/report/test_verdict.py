"""The first screen of a report: the verdict, three findings at most, the figure, then the rest."""

from pathlib import Path

import msgspec

from harness.matrix import Case
from harness.record_parts import Convergence
from harness.report.render import render_run
from harness.result import Fact, Result
from tests.records import build
from tests.report.made_runs import PAIRED, run
from tests.report.test_render import row_of, section


def overview_of(path: Path) -> str:
    return section(render_run(path).read_text(), "Overview")


def bullets(text: str) -> list[str]:
    return [row for row in text.splitlines() if row.startswith("- ")]


def test_the_verdict_tells_speed_busy_time_and_confidence(tmp_path: Path) -> None:
    text = overview_of(build.gpu_run(tmp_path))
    verdict = next(row for row in text.splitlines() if row.startswith("**Verdict.**"))
    assert "takes **492.9 ms** (95 % interval " in verdict
    assert " Over whole blocks, slow chunks too, that is **24.34 FPS**. " in verdict
    assert verdict.endswith("No rule lowers the confidence in this.")
    assert " The GPU is busy for " in verdict


def test_doubts_are_named_in_the_verdict_and_above_the_remarks(tmp_path: Path) -> None:
    case = build.gpu_cases()[2]
    noisy = build.results([case], build.Knobs(host_noise=0.2))
    text = overview_of(build.store(tmp_path, build.manifest([case]), noisy))
    assert "Low confidence: wide spread." in text
    assert "<details><summary>Before you use a number: wide spread</summary>" in text


def test_three_findings_come_first_the_largest_causes_among_them(tmp_path: Path) -> None:
    first, more = overview_of(build.gpu_run(tmp_path)).split("<details>", 1)
    found = bullets(first)
    assert len(found) == 3
    costs = [float(row.split(" costs at most ")[1].split(" ms")[0]) for row in found[:2]]
    assert costs == sorted(costs, reverse=True)
    assert "VACE costs" in found[2]
    assert any("torch.compile of the VACE branch" in row for row in bullets(more))
    assert "figures/stages.svg" in first


def test_a_run_of_one_text_case_has_a_verdict_and_no_vace_finding(tmp_path: Path) -> None:
    case: Case = next(c for c in build.gpu_cases() if (c.kind, c.mode) == ("e2e", "text"))
    alone = msgspec.structs.replace(case, processes=1)
    path = build.store(tmp_path, build.manifest([alone]), [build.result(alone)])
    text = overview_of(path)
    assert "**Verdict.** Text-only: a steady chunk" in text
    assert "VACE costs" not in text


def test_a_run_of_paired_cases_speaks_of_its_base_arm(tmp_path: Path) -> None:
    text = overview_of(run(tmp_path, "20261124-080000-full", only=(PAIRED,)))
    assert "**Verdict.** Inpainting, base arm of a paired case: a steady chunk of 12" in text
    assert "over 3 fresh processes)" in text
    assert "The GPU is busy for " in text


def uneven(tmp_path: Path) -> str:
    """The report of three processes, one of them half as slow again, beside another bench."""
    case = msgspec.structs.replace(build.gpu_cases()[2], processes=3)
    made = build.results([case])
    first = made[0]
    assert isinstance(first, Result)
    chunks = [
        msgspec.structs.replace(
            chunk,
            wall_ms=1.5 * chunk.wall_ms,
            event_ms=1.5 * chunk.event_ms if chunk.event_ms else None,
            stage_ms={name: 1.5 * value for name, value in chunk.stage_ms.items()},
        )
        for chunk in first.chunks
    ]
    convergence = Convergence(converged=False, chunks=20, reason="cap of 20 chunks")
    provenance = first.provenance | {"run.beside": Fact(value=1)}
    made[0] = build.change(first, chunks=chunks, convergence=convergence, provenance=provenance)
    return render_run(build.store(tmp_path, build.manifest([case]), made)).read_text()


def test_stages_and_verdict_of_several_processes_speak_of_the_same_chunk(tmp_path: Path) -> None:
    report = uneven(tmp_path)
    row = row_of(section(report, "Overview"), "Inpainting, eager")
    assert row[2] != "–" and row[3] == "3"
    stages = section(report, "Where the chunk goes")
    told = float(stages.split("against a chunk of ")[1].split(" ms")[0])
    assert abs(told / float(row[1]) - 1) < 0.005
    total = float(stages.split("stage medians sum to ")[1].split(" ms")[0])
    assert abs(total / told - 1) < 0.05
    assert "times are geometric means of their medians" in stages


def test_what_is_of_the_first_process_alone_says_so(tmp_path: Path) -> None:
    report = uneven(tmp_path)
    assert "Steady phase, of a case's first process: median" in report
    assert "Energy, of a case's first process:" in report
    assert "The GPU meanwhile (medians, the first process's): " in report


def test_every_process_is_in_the_account_of_a_case(tmp_path: Path) -> None:
    report = uneven(tmp_path)
    row = row_of(section(report, "Test Setup"), "`e2e-inpainting-eager`")
    assert row[2].startswith("not converged in 1 of 3; after 20, ")
    overview = row_of(section(report, "Overview"), "Inpainting, eager")
    assert row[3] == overview[5]


def test_a_bench_beside_is_named_in_the_verdict(tmp_path: Path) -> None:
    text = section(uneven(tmp_path), "Overview")
    verdict = next(row for row in text.splitlines() if row.startswith("**Verdict.**"))
    assert "shared host" in verdict
    assert "under way on this host, at most: 1 (the worst process; it holds for 1 of 3)" in text


def test_the_first_table_has_the_time_that_the_gpu_works(tmp_path: Path) -> None:
    text = overview_of(build.gpu_run(tmp_path))
    assert "| GPU busy (ms) |" in text and "GPU events" not in text
    busy = text.split("The GPU is busy for ")[1].split(" ms")[0]
    assert row_of(text, "Inpainting, eager")[6] == busy


def test_published_figures_without_a_counterpart_are_left_out(tmp_path: Path) -> None:
    path = run(tmp_path, "20261124-080000-full", only=(PAIRED,))
    text = section(render_run(path).read_text(), "Against the published report")
    assert row_of(text, "Inpainting chunk, end to end")[2].endswith(" ms")
    assert "Published figures that this run has no counterpart of are left out." in text
    assert "VACE forward, isolated" not in text


def test_a_run_without_gpu_busy_time_has_no_column_for_it(tmp_path: Path) -> None:
    assert "GPU busy" not in overview_of(build.cpu_run(tmp_path))
