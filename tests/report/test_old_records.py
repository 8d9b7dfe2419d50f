"""Real records of each schema since the first keep loading and rendering, for good."""

import shutil
from pathlib import Path

import pytest

from harness.report.render import render_run
from harness.result import SCHEMA_VERSION
from harness.store import RunFolder, runs

RECORDS = Path(__file__).parent.parent / "records"
RECORDED = [
    run for version in range(1, SCHEMA_VERSION + 1) for run in runs(RECORDS / f"schema-{version}")
]


def test_every_schema_has_a_recorded_run() -> None:
    folders = {run.parent.parent.name for run in RECORDED}
    assert folders == {f"schema-{version}" for version in range(1, SCHEMA_VERSION + 1)}


@pytest.mark.parametrize("folder", RECORDED, ids=lambda folder: folder.parent.parent.name)
def test_an_old_run_loads_and_renders(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / folder.name
    shutil.copytree(folder, path)
    run = RunFolder(path).load()
    assert run.missing == []
    report = render_run(path).read_text()
    assert "Functional check, not a performance result" in report
    parts = any(result.components for result in run.finished if not result.case.pipeline)
    assert ("VACE forward, all VACE blocks" in report) == parts
    assert "## How far to trust this" in report


@pytest.mark.parametrize("folder", RECORDED[:2], ids=lambda folder: folder.parent.parent.name)
def test_a_run_without_profiles_has_no_sections_about_them(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / folder.name
    shutil.copytree(folder, path)
    report = render_run(path).read_text()
    for name in ("Detailed Profiling", "Roofline", "Root Causes", "Recommendations", "checked by"):
        assert name not in report
    assert not (path / "figures" / "idle.svg").exists()


def test_the_first_schema_renders_its_chunk_and_stages(tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(RECORDED[0], path)
    report = render_run(path).read_text()
    assert "a steady chunk of 12 frames at 64x64 takes" in report
    assert "Not measured yet on this GPU" in report
    assert (path / "figures" / "stages.svg").is_file()


def test_a_real_selfcheck_of_the_second_schema_tells_how_far_to_trust_it(tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(RECORDED[1], path)
    report = render_run(path).read_text()
    assert "From this run of 2026-11-24, 5 fresh processes." in report
    assert "| `delay5` | 9.284 | 5.1 % | 1.076 | 1.027 to 1.128 | slower |" in report
    assert "not measured: a CPU has no GPU-busy time" in report
    assert (path / "figures" / "trust.svg").is_file()


def test_a_real_profile_of_the_third_schema_is_told_part_by_part(tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(RECORDED[2], path)
    report = render_run(path).read_text()
    assert "a CPU has no device events, so times are the host's" in report
    assert "| `base/qkv/lora` | LoRA |" in report


def test_real_fixes_of_the_fourth_schema_pass_and_wrong_ones_are_caught(tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(RECORDED[3], path)
    report = render_run(path).read_text()
    assert "proof caught 4 of 4." in report
    assert "| `lora-merged+fused-qkv` | passes | 1.03 | 1.03 | 1.01 | 1.01 |" in report
    assert "| `wrong-ring-slot` | caught | 2.48 | 2.64 | 116.3 | 119.9 |" in report
    assert "saves most: 6.6 % of wall time; too few processes." in report
    assert "Energy is not known everywhere: the case runs on a CPU." in report
    assert not (path / "figures" / "fixes.svg").exists()


def test_a_real_pipeline_of_one_s_own_of_the_fifth_schema_is_told_by_its_parts(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run"
    shutil.copytree(RECORDED[5], path)
    report = render_run(path).read_text()
    assert report.startswith("# tiny-transformer on CPU\n")
    assert "| `attention/cache` | attention |" in report
    assert "| block | 4 |" in report
    assert "| `mlp` | 0.067 | 10.75 |" in report
    assert "VACE" not in report
    assert (path / "figures" / "stages.svg").is_file()
