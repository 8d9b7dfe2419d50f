import sys
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ClipError, DeviceError, UsageError, WeightsError
from harness.host.choice import Choice, Surroundings
from harness.host.engine import Engine
from harness.host.gpu import NoWay, Way
from harness.host.options import BenchOptions
from harness.host.plan import Plan, _confirm_local_gpu, measured_slug, new_plan, resumed_plan
from harness.host.processes import LocalRunner
from harness.job import Devices, GpuDevice
from harness.run import slug
from tests.host.fake_api import FakeApi
from tests.samples import case, manifest

WAY = Way(name="cdi", reason="the engine says so", host_settings={})
ENGINE = Engine(FakeApi(), is_local=True)


def on_gpu_host(driver: str) -> Surroundings:
    return Surroundings(engine=ENGINE, engine_error=None, way=WAY, driver=driver)


def bare(gpu: str | None) -> Surroundings:
    return Surroundings(engine=ENGINE, engine_error=None, way=NoWay("no driver"), driver=None)


def planned(tmp_path: Path, look: Any = bare, **options: Any) -> Plan:
    return new_plan(BenchOptions.parse(options), look, tmp_path, tmp_path)


def test_a_cpu_gets_the_tiny_preset(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    assert {each.preset for each in plan.cases} == {"tiny"}
    assert plan.run_id.endswith("-quick")
    assert plan.clips == {(64, 64): ([], [])}


def test_a_gpu_gets_the_full_preset(tmp_path: Path) -> None:
    plan = planned(tmp_path, lambda gpu: on_gpu_host("580.65.06"))
    assert {(each.preset, each.device) for each in plan.cases} == {("full", "cuda")}
    assert plan.choice.runtime == "docker"


def test_a_driver_too_old_is_found_before_the_build(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"driver 570\.1 is too old for CUDA 13"):
        planned(tmp_path, lambda gpu: on_gpu_host("570.1"))
    assert planned(
        tmp_path,
        lambda gpu: on_gpu_host("570.1"),
        torch="torch==2.9.1",
        base_image="nvidia/cuda:12.8.1-base-ubuntu24.04",
    ).cases


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"matrix": "slow"}, UsageError, "unknown matrix 'slow'"),
        ({"only": "nothing-*"}, UsageError, "matches no case"),
        ({"video": "/nonexistent.mp4"}, ClipError, "not found"),
        ({"weights": "/nonexistent"}, WeightsError, "not found"),
    ],
)
def test_what_cannot_be_planned(
    tmp_path: Path, options: dict[str, str], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        planned(tmp_path, **options)


def test_a_resumed_run_keeps_its_cases_and_reason(tmp_path: Path) -> None:
    kept = manifest(case(seed=7))
    plan = resumed_plan(kept, BenchOptions(matrix="full"), bare, tmp_path)
    assert plan.cases == kept.cases
    assert plan.choice.reason == kept.runtime_reason
    assert plan.run_id == kept.run_id


def test_a_resumed_run_of_checkpoints_needs_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give --weights again"):
        resumed_plan(manifest(case(weights="checkpoint")), BenchOptions(), bare, tmp_path)


def test_a_driver_without_a_usable_torch_ends_on_the_cpu() -> None:
    """`auto` with a loaded driver asks the local torch before it counts on the GPU."""
    script = (sys.executable, "-m", "tests.host.played")  # its preflight lists no GPU
    runner = LocalRunner(project=Path(__file__).resolve().parents[2], program=script)
    hoped = Choice(runtime="local", device="cuda", reason="a driver is loaded")
    settled = _confirm_local_gpu(hoped, runner, None)
    assert settled.device == "cpu"
    assert settled.reason == "a driver is loaded, but torch played can use no GPU"
    with pytest.raises(DeviceError, match=r"--gpu 0 cannot be had \(torch played sees no GPU\)"):
        _confirm_local_gpu(hoped, runner, "0")


def test_the_folder_s_name_is_the_gpu_s() -> None:
    gpus = [
        GpuDevice(
            index=index,
            name=name,
            uuid=f"GPU-{index}",
            total_bytes=1,
            free_bytes=1,
            capability=(9, 0),
            driver=None,
            utilisation_percent=None,
        )
        for index, name in enumerate(["NVIDIA H200", "NVIDIA GeForce RTX 4090 D"])
    ]
    devices = Devices(
        torch_version="t", torch_cuda="13", gpus=gpus, problems=[], python_version="3", cpu_count=1
    )
    assert measured_slug(devices, "cuda", None) == "nvidia-h200"
    assert measured_slug(devices, "cuda", "1") == "nvidia-geforce-rtx-4090-d"
    assert measured_slug(devices, "cuda", "GPU-1") == "nvidia-geforce-rtx-4090-d"
    assert measured_slug(devices, "cpu", None) == "cpu"
    assert slug("Tesla\u2122 T4") == "tesla-t4"
