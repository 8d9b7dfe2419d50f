from pathlib import Path

from harness.errors import EngineError
from harness.expansion import Settings, expand
from harness.host.choice import Surroundings
from harness.host.doctor import (
    Finding,
    examine,
    gpu_findings,
    memory_findings,
    site_of,
)
from harness.host.engine import Engine
from harness.host.gpu import NoWay, Way
from harness.host.options import BenchOptions
from harness.host.ways import find_way
from harness.job import Devices, GpuDevice
from harness.matrices import MATRICES
from tests.host.fake_api import FakeApi
from tests.host.trees import add_spec, linux_host, machine

WAY = Way(name="nvidia-runtime", reason="listed", host_settings={})


def found(project: Path, around: Surroundings, options: BenchOptions) -> dict[str, Finding]:
    findings = examine(options, around, project, project / "reports")
    return {finding.subject: finding for finding in findings}


def test_an_old_driver_and_a_missing_image_are_told(project: Path) -> None:
    around = Surroundings(
        engine=Engine(FakeApi(), is_local=True), engine_error=None, way=WAY, driver="550.1"
    )
    seen = found(project, around, BenchOptions())
    assert seen["engine"].state == "ok"
    assert seen["way to the GPU"].text.startswith("nvidia-runtime")
    assert seen["driver"].state == "problem"
    assert "needs 580" in seen["driver"].text and seen["driver"].remedy
    assert "invoke build" in seen["image"].remedy


def test_without_an_engine_the_remedy_is_the_engine_s(project: Path) -> None:
    error = EngineError("no permission", next_step="join the docker group")
    around = Surroundings(
        engine=None, engine_error=error, way=NoWay("no container engine answers"), driver=None
    )
    seen = found(project, around, BenchOptions(runtime="docker"))
    assert "join the docker group" in seen["engine"].line
    assert seen["choice"].state == "problem"
    assert seen["disk for records"].state == "ok"


def test_the_whole_doctor_on_a_rootless_engine_with_a_stale_specification(
    project: Path, tmp_path: Path
) -> None:
    root = add_spec(linux_host(tmp_path, libraries=False), driver="570.86.10")
    information = {**machine("docker-rootless-no-cgroup"), "CDISpecDirs": ["/etc/cdi"]}
    engine = Engine(FakeApi(memory=information), is_local=True)
    way = find_way(information, is_local=True, gpu=None, root=root)
    around = Surroundings(engine=engine, engine_error=None, way=way, driver="580.159.04", root=root)
    findings = list(examine(BenchOptions(device="cuda"), around, project, tmp_path))
    lines = [finding.line for finding in findings]
    names = [finding.name for finding in findings if finding.name]
    expected = ["limits-ignored", "cgroup-v1", "cdi-stale", "libraries-not-found", "no-toolkit"]
    assert names == expected
    assert any(line.startswith("ok      engine: Docker 99.0") for line in lines)
    # What is in the way is said once, with its remedy, and not beside a line that sounds better.
    assert not any(line.startswith("ok      way to the GPU") for line in lines)
    assert findings[-1].subject == "choice"


def test_a_desktop_s_disk_is_not_this_host_s(project: Path) -> None:
    for name, is_seen in (("docker-desktop-wsl2", False), ("docker-27-plain", True)):
        engine = Engine(FakeApi(memory=machine(name)), is_local=True)
        around = Surroundings(engine=engine, engine_error=None, way=WAY, driver=None)
        seen = site_of(BenchOptions(), around)
        assert (seen.image_disk_bytes is not None) is is_seen
        assert seen.traits.is_desktop is not is_seen


def devices() -> Devices:
    gpu = GpuDevice(
        index=0,
        name="NVIDIA H200",
        uuid="GPU-0",
        total_bytes=140 << 30,
        free_bytes=139 << 30,
        capability=(9, 0),
        driver="580.65.06",
        utilisation_percent=0,
    )
    return Devices(
        torch_version="2.13.0",
        torch_cuda="13.0",
        gpus=[gpu],
        problems=["GPU too old for this torch", "note: throttled before the case"],
        python_version="3",
        cpu_count=8,
    )


def test_the_preflight_s_problems_and_notes_are_passed_on() -> None:
    findings = list(gpu_findings(devices()))
    assert [finding.state for finding in findings] == ["problem", "note", "ok"]
    assert findings[1].text == "throttled before the case"
    assert "139.0 GiB of 140.0 GiB free" in findings[2].line


def test_each_case_says_what_it_needs_of_the_gpu() -> None:
    cases = expand(MATRICES["quick"], Settings(preset="full", device="cuda"))
    lines = [finding.line for finding in memory_findings(cases)]
    assert len(lines) == len(cases)
    assert "ok      memory: e2e-inpainting-eager needs at least 9.5 GiB of the GPU" in lines
    on_cpu = expand(MATRICES["quick"], Settings(preset="tiny", device="cpu"))
    assert list(memory_findings(on_cpu)) == []
