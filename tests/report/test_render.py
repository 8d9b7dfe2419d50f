"""Whole reports: sections in order, partial and failed runs, banners, the same bytes twice."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.errors import RecordError, StorageError
from harness.matrix import Case
from harness.record_parts import ClipUse, Convergence
from harness.report.render import render_all, render_run
from harness.result import SCHEMA_VERSION, Failure
from harness.store import RunFolder
from tests.records import build

OWN_VERSION = f'"schema_version": {SCHEMA_VERSION}'
SECTIONS = [
    "Overview",
    "Test Setup",
    "Isolated Component Timings",
    "torch.compile Results",
    "Depth against Inpainting against text-only",
    "Where the chunk goes",
    "Detailed Profiling",
    "Roofline",
    "Why torch.compile Does or Doesn't Help",
    "Root Causes",
    "Recommendations",
    "GPU State",
    "How far to trust this",
    "Reproduce",
    "Against the published report",
]


# What needs device events.
OF_A_GPU = (
    "Roofline",
    "Why torch.compile Does or Doesn't Help",
    "Root Causes",
    "Recommendations",
)
PROFILED = ("Detailed Profiling", *OF_A_GPU)


def failure(case: Case, **changes: Any) -> Failure:
    fields: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "case": case,
        "case_id": case.id,
        "started_utc": "2026-11-23T08:00:00Z",
        "category": "memory",
        "message": "CUDA out of memory: tried 2.00 GiB | free 1.10 GiB <now>",
        "detail": "Traceback\n  ``` in the middle\nOutOfMemoryError",
        "exit_code": 1,
        "provenance": {},
    }
    return Failure(**(fields | changes))


def eager_and_compiled() -> list[Case]:
    """A mode measured both ways by single processes, as before there were paired cases."""
    eager = msgspec.structs.replace(build.gpu_cases()[2], processes=1)
    return [eager, msgspec.structs.replace(eager, compiled=True)]


def headings(report: str) -> list[str]:
    return [row.removeprefix("## ") for row in report.splitlines() if row.startswith("## ")]


def section(report: str, name: str) -> str:
    return report.split(f"\n## {name}\n", 1)[1].split("\n## ", 1)[0]


def row_of(text: str, start: str) -> list[str]:
    row = next(row for row in text.splitlines() if row.startswith(f"| {start} |"))
    return [cell.strip() for cell in row.strip("|").split(" | ")]


@pytest.fixture(scope="module")
def gpu_report(tmp_path_factory: pytest.TempPathFactory) -> str:
    return render_run(build.gpu_run(tmp_path_factory.mktemp("reports"))).read_text()


@pytest.fixture(scope="module")
def cpu_report(tmp_path_factory: pytest.TempPathFactory) -> str:
    return render_run(build.cpu_run(tmp_path_factory.mktemp("reports"))).read_text()


def test_sections_are_in_order(gpu_report: str, cpu_report: str) -> None:
    assert headings(gpu_report) == SECTIONS
    assert headings(cpu_report) == [name for name in SECTIONS if name not in OF_A_GPU]


def test_the_overview_computes_its_sentences(gpu_report: str) -> None:
    text = section(gpu_report, "Overview")
    assert "a steady chunk of 12 frames at 512x512 takes **492.9 ms**" in text
    assert "(95 % interval 492.0 ms to 493.8 ms over 3 fresh processes)" in text
    assert "torch.compile of the VACE branch, inpainting: wall time same (0.97 % shorter" in text
    assert "its clocks were not held back" in text
    assert "Before you use a number" not in text


def test_the_estimate_stands_beside_the_measured_memory(gpu_report: str) -> None:
    table = gpu_report.split("Estimated allocation |", 1)[1]
    assert row_of(table, "Inpainting, eager")[1:] == [
        "9.00 GiB", "11.00 GiB", "12.00 GiB", "8.73 GiB",
    ]  # fmt: skip


def test_a_case_of_several_processes_shows_its_interval(gpu_report: str) -> None:
    overview = section(gpu_report, "Overview")
    assert row_of(overview, "Inpainting, eager")[1:6] == [
        "492.9", "492.0 to 493.8", "3", "0.31 %", "150",
    ]  # fmt: skip
    assert row_of(overview, "Inpainting, eager, attention sdpa")[1:4] == ["493.6", "–", "1"]
    assert "values are geometric means of their medians" in overview
    modes = section(gpu_report, "Depth against Inpainting against text-only")
    assert row_of(modes, "Inpainting, eager")[1:4] == ["492.9", "492.0 to 493.8", "3"]
    setup = section(gpu_report, "Test Setup")
    assert row_of(setup, "`e2e-inpainting-eager`")[1] == "finished, 3 processes"


def test_a_run_of_single_processes_has_no_column_for_intervals(cpu_report: str) -> None:
    assert "interval" not in section(cpu_report, "Overview")
    assert "of one process)" in section(cpu_report, "Overview")


def test_compiled_and_eager_of_the_same_processes(gpu_report: str) -> None:
    text = section(gpu_report, "torch.compile Results")
    row = row_of(text, "**Chunk, inpainting, wall time**")
    assert row[3:7] == ["0.990", "0.989 to 0.992", "3", "same"]
    assert row_of(text, "**Chunk, depth, GPU-busy time**")[6] == "same"
    assert row_of(text, "`paired-inpainting-compiled`")[1:3] == [
        "45.40 s",
        "the first compiled chunk",
    ]
    assert row_of(text, "VACE forward, all VACE blocks")[4] == "no measurable difference"


def test_single_processes_keep_their_own_comparison(tmp_path: Path) -> None:
    cases = eager_and_compiled()
    path = build.store(tmp_path, build.manifest(cases), [build.result(case) for case in cases])
    text = section(render_run(path).read_text(), "torch.compile Results")
    assert "below the minimum effect of 2.0 %" in text
    assert row_of(text, "**Chunk, inpainting**")[4] == "no measurable difference"


def test_a_case_with_some_of_its_processes_says_so(tmp_path: Path) -> None:
    case = build.gpu_cases()[2]
    path = build.store(tmp_path, build.manifest([case]), [build.result(case)])
    report = render_run(path).read_text()
    assert "**Partial run.** 1 of 3 planned processes have a result." in report
    assert "- `e2e-inpainting-eager`: 1 of 3 processes; `invoke bench --resume` goes on" in report
    assert row_of(report, "`e2e-inpainting-eager`")[1] == "1 of 3 processes finished"


def test_a_remark_about_several_processes_is_made_once(tmp_path: Path) -> None:
    case = build.gpu_cases()[2]
    noisy = build.results([case], build.Knobs(host_noise=0.2))
    path = build.store(tmp_path, build.manifest([case]), noisy)
    overview = section(render_run(path).read_text(), "Overview")
    assert overview.count("quartiles lie") == 1
    assert "(the worst process; it holds for 3 of 3)" in overview


def test_circumstances_of_the_chunks(gpu_report: str, cpu_report: str) -> None:
    text = section(gpu_report, "GPU State").split("Circumstances of the steady chunks", 1)[1]
    assert row_of(text, "`paired-depth-compiled`") == [
        "`paired-depth-compiled`", "300", "1.0", "2.0 %", "–", "450", "3.50", "none",
    ]  # fmt: skip
    assert "`core_mhz`: /proc or /sys does not tell" in text
    assert "| `e2e-text-eager` | 4 | 1.0 | 2.0 % | – | 450 | 3.50 | none |" in cpu_report


def test_flags_of_chunks_are_counted(tmp_path: Path) -> None:
    case = build.gpu_cases()[-1]
    result = build.result(case)
    flagged = [msgspec.structs.replace(chunk, flags=["clock low"]) for chunk in result.chunks[-2:]]
    spoiled = build.change(result, chunks=[*result.chunks[:-2], *flagged])
    path = build.store(tmp_path, build.manifest([case]), [spoiled])
    assert "| clock low: 2 |" in section(render_run(path).read_text(), "GPU State")


def test_component_shares(gpu_report: str) -> None:
    text = section(gpu_report, "Isolated Component Timings")
    row = row_of(text, "VACE forward, all VACE blocks")
    assert row[5:] == ["4", "123.6", "25.1 %"]
    assert row_of(text, "VAE encode, single stream")[5:] == ["0", "–", "–"]
    assert "top-down (this chunk minus the text-only chunk): 142.3 ms" in text


def test_operator_families(gpu_report: str) -> None:
    text = section(gpu_report, "Where the chunk goes")
    assert row_of(text, "SageAttention") == ["SageAttention", "150", "111.3", "26.3 %"]
    assert row_of(text, "mm (LoRA adapters)")[1:3] == ["2,400", "24.20"]
    assert "| Cached self-attention | `_attn_fwd` |" in text


def test_published_figures_beside_ours(gpu_report: str) -> None:
    text = section(gpu_report, "Against the published report")
    assert row_of(text, "VACE forward, isolated")[1:3] == ["38.9 ms", "30.90 ms"]
    assert row_of(text, "`aten::item`")[1:] == ["846", "906", "906", "none"]
    assert row_of(text, "`cross-attention`")[1:] == ["–", "210", "210", "none"]
    assert row_of(text, "`Memcpy DtoD`")[3] == "2,068"
    assert "counts one VACE forward; a chunk runs four" in text
    assert "8.7 and 9.0 ms end to end" in text


def test_the_banner_is_on_a_functional_check_only(gpu_report: str, cpu_report: str) -> None:
    assert "Functional check, not a performance result" not in gpu_report
    first = cpu_report.splitlines()[:6]
    assert any("**Functional check, not a performance result.**" in row for row in first)
    assert "493" not in section(cpu_report, "Against the published report")


def test_the_tiny_preset_on_a_gpu_carries_the_banner(tmp_path: Path) -> None:
    case = msgspec.structs.replace(build.gpu_cases()[2], preset="tiny", width_px=64, height_px=64)
    path = build.store(tmp_path, build.manifest([case]), [build.result(case)])
    assert "Functional check" in render_run(path).read_text()


def test_nulls_show_their_reason(cpu_report: str) -> None:
    assert "not available (the base image was loaded from an archive)" in cpu_report
    assert "Not available: the case ran on a CPU." in section(cpu_report, "GPU State")
    assert "a CPU run has no device memory" in cpu_report


def test_gpu_state_and_energy(gpu_report: str) -> None:
    text = section(gpu_report, "GPU State")
    row = row_of(text, "`e2e-inpainting-eager`")
    assert row[3] == "1,980"
    assert row[-1] == "nothing"
    assert "total-energy counter" in text
    assert "`memory_temperature_c`: Not Supported" in text


def test_a_partial_run_names_what_is_missing(tmp_path: Path) -> None:
    cases = build.gpu_cases()
    done = [build.result(case) for case in cases[:3]]
    lost = failure(cases[3])
    path = build.store(tmp_path, build.manifest(cases), [*done, lost])
    report = render_run(path).read_text()
    assert headings(report) == SECTIONS
    assert "**Partial run.** 3 of 21 planned processes have a result." in report
    overview = section(report, "Overview")
    assert r"failed (memory): CUDA out of memory: tried 2.00 GiB \| free 1.10 GiB &lt;now&gt;" in (
        overview
    )
    assert "- `e2e-text-eager`: not run yet; `invoke bench --resume` goes on" in overview
    assert "````text\nTraceback\n  ``` in the middle\nOutOfMemoryError\n````" in overview
    setup = section(report, "Test Setup")
    assert row_of(setup, "`e2e-depth-eager`")[1] == "failed (memory)"
    assert row_of(setup, "`e2e-text-eager`")[1] == "not run"
    assert "Top-down is missing: it needs the text-only case." in report
    assert "no finished eager end-to-end case of Depth, Text-only" in report


def test_only_the_last_failed_attempt_is_told(tmp_path: Path) -> None:
    case = build.gpu_cases()[2]
    attempts = [failure(case, message=f"attempt {word}") for word in ("one", "two")]
    path = build.store(tmp_path, build.manifest([case]), list(attempts))
    report = render_run(path).read_text()
    assert "attempt two" in report
    assert "attempt one" not in report


def test_a_run_without_any_result_renders(tmp_path: Path) -> None:
    path = build.store(tmp_path, build.manifest(build.gpu_cases()), [])
    report = render_run(path).read_text()
    assert headings(report) == [name for name in SECTIONS if name not in PROFILED]
    assert "No end-to-end case of this run has a result yet." in report
    assert "Missing: no compiled case has a result" in report
    assert "Not measured yet on this GPU; `invoke selfcheck` does." in report
    assert list(path.rglob("*.svg")) == []


def test_findings_lower_the_confidence(tmp_path: Path) -> None:
    case = build.gpu_cases()[2]
    capped = Convergence(converged=False, reason="cap of 20 chunks", chunks=20)
    spoiled = build.result(case, convergence=capped, flags=["gpu shared: 98 % busy"])
    path = build.store(tmp_path, build.manifest([case]), [spoiled])
    overview = section(render_run(path).read_text(), "Overview")
    assert row_of(overview, "Inpainting, eager")[-1] == "not converged, flagged case"
    assert "warm-up ended without a plateau after 20 chunks: cap of 20 chunks" in overview
    assert "Next: raise warmup_max_s" in overview


def test_a_verdict_on_doubtful_samples_says_so(tmp_path: Path) -> None:
    cases = eager_and_compiled()
    shared = [build.result(case, flags=["gpu shared"]) for case in cases]
    path = build.store(tmp_path, build.manifest(cases), list(shared))
    report = render_run(path).read_text()
    assert "below the minimum effect; low confidence: flagged case |" in report
    assert "`e2e-inpainting-eager`, `e2e-inpainting-compiled`: the whole case is flagged" in report


def test_names_from_records_cannot_break_the_page(tmp_path: Path) -> None:
    case = build.gpu_cases()[2]
    clip = ClipUse(
        role="video",
        source="file",
        name="<img src=x onerror=alert(1)> | [x](y) `z`.mp4",
        sha256="ab" * 32,
        frames_in_file=40,
        frames_used=48,
        looped=True,
    )
    path = build.store(tmp_path, build.manifest([case]), [build.result(case, clips=[clip])])
    report = render_run(path).read_text()
    assert "<img" not in report
    assert r"&lt;img src=x onerror=alert(1)&gt; \| \[x\](y) \`z\`.mp4" in report


def test_rendering_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    build.gpu_run(tmp_path)
    build.cpu_run(tmp_path)
    first = {path: path.read_bytes() for path in render_all(tmp_path)}
    first |= {path: path.read_bytes() for path in tmp_path.glob("*/*/figures/*.svg")}
    assert len(first) == 5 + 8
    for path in first:
        path.unlink()
    render_all(tmp_path)
    assert {path: path.read_bytes() for path in first} == first
    assert not list(tmp_path.rglob(".rendering-*"))


def test_another_process_draws_the_same_figures(tmp_path: Path) -> None:
    path = build.gpu_run(tmp_path)
    render_run(path)
    first = {figure.name: figure.read_bytes() for figure in (path / "figures").glob("*.svg")}
    shutil.rmtree(path / "figures")
    program = (
        "import sys, pathlib; from harness.report.render import render_run; "
        "render_run(pathlib.Path(sys.argv[1])); "
        "assert 'torch' not in sys.modules and 'docker' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)
    assert {
        figure.name: figure.read_bytes() for figure in (path / "figures").glob("*.svg")
    } == first


def test_a_figure_that_no_record_backs_is_removed(tmp_path: Path) -> None:
    path = build.cpu_run(tmp_path)
    render_run(path)
    stale = path / "figures" / "gpu_state.svg"
    stale.write_text("old")
    render_run(path)
    assert not stale.exists()


def test_a_damaged_record_is_refused_by_name(tmp_path: Path) -> None:
    path = build.cpu_run(tmp_path)
    (path / "cases" / "e2e-text-eager.json").write_text("{")
    with pytest.raises(RecordError, match=r"e2e-text-eager\.json is damaged"):
        render_run(path)


def test_a_newer_record_is_refused(tmp_path: Path) -> None:
    path = build.cpu_run(tmp_path)
    file = path / "cases" / "e2e-text-eager.json"
    file.write_text(file.read_text().replace(OWN_VERSION, '"schema_version": 99', 1))
    with pytest.raises(RecordError, match="schema 99"):
        render_run(path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    path = build.cpu_run(tmp_path)
    (path / "figures").write_text("a file where the folder belongs")
    with pytest.raises(StorageError, match="into figures/"):
        render_run(path)


def test_render_all_returns_what_it_wrote(tmp_path: Path) -> None:
    path = build.cpu_run(tmp_path)
    assert render_all(tmp_path) == [
        path / "report.md",
        tmp_path / "cpu" / "README.md",
        tmp_path / "README.md",
    ]
    assert RunFolder(path).load().missing == []
