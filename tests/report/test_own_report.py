"""The report of a pipeline of one's own: its stages, parts and cost, and no other's."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.analysis.claims import Subject
from harness.analysis.root_causes import GENERAL, RULES, root_causes
from harness.record_parts import DescribedWork
from harness.report.index import index_view
from harness.report.render import render_all, render_run
from harness.result import Fact, Result
from tests.analysis.profiled import eager
from tests.records import build
from tests.report.test_render import row_of, section

# What only the built-in workload has. Names of parts are the pipeline's own and written small.
BUILT_IN_WORDS = re.compile(
    r"VACE|LoRA|RoPE|LongLive|\bTAE\b|\bVAE\b|Inpainting|Depth|Text-only|torch\.compile of|Compiled"
    r"|published|prompt|golden|harness\.measure|[Hh]ints of|[Dd]enoise step"
)
WORK = {
    "base": DescribedWork(flops=1.48e14, moved_bytes=1e10),
    "vae": DescribedWork(flops=1e12, moved_bytes=4.1e10),
}


def own(**changes: Any) -> Result:
    """The made-up built-in case on a GPU as if it were another pipeline whose parts bear the same
    names: every rule of the built-in workload would fire on it.
    """
    record = eager()
    case = msgspec.structs.replace(
        record.case, mode="own", pipeline="mine", pipeline_sha256="ab" * 32, processes=1
    )
    gone = ("attention.", "weights.", "workload.parameters.")
    facts = {name: fact for name, fact in record.provenance.items() if not name.startswith(gone)}
    counted = msgspec.structs.replace(record.count_pass, attention_kernels={})
    fields: dict[str, Any] = {
        "case": case,
        "case_id": case.id,
        "clips": [],
        "vace_context_sha256": None,
        "described": WORK,
        "count_pass": counted,
        "ceilings": msgspec.structs.replace(record.ceilings, attention_flops_per_s={}),
        "provenance": {**facts, "pipeline.file": Fact(value="mine.py")},
    }
    return build.change(record, **(fields | changes))


def rendered(reports: Path, record: Result) -> str:
    plan = build.manifest([record.case], run_id="20261123-090000-own")
    return render_run(build.store(reports, plan, [record])).read_text()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Beside a self-check of the built-in workload on the same GPU."""
    reports = tmp_path_factory.mktemp("reports")
    build.selfcheck_run(reports)
    return rendered(reports, own())


def test_nothing_of_the_built_in_workload_is_told(report: str) -> None:
    told = re.sub("`[^`]*`", "", report)  # without what bears the pipeline's own names
    assert "It is of the built-in workload and tells of the host" in told
    assert BUILT_IN_WORDS.findall(told) == []


def test_the_pipeline_and_its_file_are_named(report: str) -> None:
    assert report.startswith("# mine on NVIDIA H200\n")
    assert "**Verdict.** mine: a steady chunk of 12 frames takes **493.3 ms**" in report
    assert f"`mine`, of the file mine.py with sha256 `{'ab' * 32}`" in report
    assert "- Where the chunk goes: stage denoise 54.6 %, stage hints 25.4 %" in report


def test_stages_and_parts_have_their_own_names(report: str) -> None:
    assert row_of(section(report, "Where the chunk goes"), "hints.0")[0] == "hints.0"
    text = section(report, "Detailed Profiling")
    assert row_of(text, "base")[1:3] == ["339.3", "80.4 %"]
    assert "| `base/qkv/lora` | base |" in text
    assert row_of(section(report, "Where the chunk goes"), "mm")


def test_described_cost_stands_beside_the_profile_and_makes_a_roofline(report: str) -> None:
    cost = section(report, "Described Cost")
    assert row_of(cost, "`base`") == [
        *("`base`", "148,000.0", "10,000.0", "339.3"),
        *("436,137.8", "29.47"),
    ]
    roof = section(report, "Roofline")
    assert row_of(roof, "base")[3:7] == ["200.0", "arithmetic", "339.3", "58.9 %"]
    assert row_of(roof, "vae")[3:5] == ["10.00", "memory"]


def test_a_pipeline_without_described_cost_has_neither(tmp_path: Path) -> None:
    text = rendered(tmp_path, own(described={}))
    assert "## Described Cost" not in text
    assert "## Roofline" not in text
    assert "## Isolated Component Timings" not in text
    assert "## Detailed Profiling" in text


def test_rules_of_the_built_in_workload_do_not_fire_and_general_ones_do() -> None:
    built_in, mine = (
        {cause.id for cause in (*found.worth_it, *found.too_small)}
        for found in (root_causes(Subject(record)) for record in (eager(), own()))
    )
    assert {"lora", "rope", "text", "padding", "cache_copies", "attention"} <= built_in
    assert mine == {"launch", "sync", "casts"}
    assert set(GENERAL) < set(RULES)


def test_the_index_says_which_pipeline_a_run_is_of(tmp_path: Path) -> None:
    rendered(tmp_path, own())
    index = render_all(tmp_path)[-1].read_text()
    assert "| measurement, pipeline mine |" in index
    assert index_view([]).rows is None
