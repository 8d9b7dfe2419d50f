"""The first screen of a report: the verdict, three findings at most, the figure, then the rest."""

from pathlib import Path

import msgspec

from harness.matrix import Case
from harness.report.render import render_run
from tests.records import build
from tests.report.made_runs import PAIRED, run
from tests.report.test_render import section


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
