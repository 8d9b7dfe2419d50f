"""The audit of reports finds a planted number and a missing fact, by name and in one line."""

import shutil
from pathlib import Path

import pytest

from harness.errors import RecordError, ReportError
from harness.report import view
from harness.report.audit import check_reports, required
from harness.report.cells import Cell, Line, line
from harness.report.material import Material
from harness.report.templates import TEMPLATES
from harness.result import Fact, Result
from harness.store import RunFolder
from tests.records import build

ROOT = Path(__file__).resolve().parents[2]


def without(result: Result, key: str) -> Result:
    facts = {name: fact for name, fact in result.provenance.items() if name != key}
    return build.change(result, provenance=facts)


def stored(folder: Path, result: Result, **plan: object) -> None:
    build.store(folder, build.manifest([result.case], **plan), [result])


def test_our_own_reports_pass() -> None:
    check_reports(ROOT / "reports")


def test_made_up_runs_pass(tmp_path: Path) -> None:
    build.gpu_run(tmp_path)
    build.cpu_run(tmp_path)
    build.selfcheck_run(tmp_path)
    check_reports(tmp_path)


@pytest.mark.parametrize("template", sorted(path.name for path in TEMPLATES.glob("*.j2")))
def test_a_number_planted_in_any_template_is_found(tmp_path: Path, template: str) -> None:
    templates = tmp_path / "templates"
    shutil.copytree(TEMPLATES, templates)
    check_reports(tmp_path / "reports", templates)
    file = templates / template
    file.write_text(file.read_text() + "\nA chunk takes 735 ms.\n")
    with pytest.raises(ReportError, match=rf"template {template}:\d+: number in the template") as e:
        check_reports(tmp_path / "reports", templates)
    assert "735" in e.value.line
    assert "\n" not in e.value.line


def test_a_number_without_source_names_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bare_number(material: Material) -> Line:
        return line("runs ", Cell(str(len(material.results))))

    build.cpu_run(tmp_path)
    monkeypatch.setattr(view, "device_name", bare_number)
    with pytest.raises(ReportError, match="run 20261123-070000-quick: number without source: '6'"):
        check_reports(tmp_path)


@pytest.mark.parametrize("key", ["torch.version", "gpu.driver", "gpu.uuid_hash", "image.base"])
def test_a_fact_that_a_container_on_a_gpu_lacks_is_named(tmp_path: Path, key: str) -> None:
    stored(tmp_path, without(build.result(build.gpu_cases()[-1]), key))
    with pytest.raises(ReportError) as found:
        check_reports(tmp_path)
    assert "run 20261123-080000-full: e2e-inpainting-eager-sdpa.json" in found.value.line
    assert f"states neither {key} nor why" in found.value.line


def test_a_fact_without_value_needs_a_reason(tmp_path: Path) -> None:
    result = build.result(build.gpu_cases()[-1])
    silent = build.change(result, provenance={**result.provenance, "gpu.driver": Fact(value=None)})
    stored(tmp_path, silent)
    with pytest.raises(ReportError, match=r"gpu\.driver"):
        check_reports(tmp_path)


def test_every_process_is_looked_at(tmp_path: Path) -> None:
    case = build.gpu_cases()[2]
    first, second = (build.result(case, process=number) for number in range(2))
    build.store(tmp_path, build.manifest([case]), [first, without(second, "cpu.model")])
    with pytest.raises(ReportError, match=r"e2e-inpainting-eager\.process-2\.json"):
        check_reports(tmp_path)


def test_a_bare_case_states_no_container(tmp_path: Path) -> None:
    run = RunFolder(build.selfcheck_run(tmp_path)).load()
    inside, bare = (
        next(result for result in run.finished if result.case.bare is is_bare)
        for is_bare in (False, True)
    )
    assert "container.lockdown" in required(run, inside)
    assert "container.lockdown" not in required(run, bare)
    assert "gpu.driver" in required(run, bare)


def test_a_run_without_a_sampler_states_why(tmp_path: Path) -> None:
    run = RunFolder(build.gpu_run(tmp_path)).load()
    result = without(run.finished[0], "gpu.driver")
    reason = Fact(value=None, reason="NVML: Driver Not Loaded")
    told = build.change(result, provenance={**result.provenance, "gpu.telemetry": reason})
    assert "gpu.driver" not in required(run, told)
    assert "gpu.telemetry" in required(run, told)


def test_a_damaged_record_is_an_error_of_its_own(tmp_path: Path) -> None:
    path = build.cpu_run(tmp_path)
    (path / "cases" / "e2e-text-eager.json").write_text("{")
    with pytest.raises(RecordError):
        check_reports(tmp_path)
