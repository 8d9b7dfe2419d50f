from pathlib import Path
from typing import Any

import pytest

from harness.errors import DeviceError
from harness.host.gpu import (
    HostGpu,
    NoWay,
    Way,
    check_driver,
    driver_version,
    host_gpus,
    image_cuda_major,
)
from harness.host.ways import find_way

PROPRIETARY = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15\n"
OPEN = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build  (x@y)\n"
    "GCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1)\n"
)
UUID = "GPU-01234567-89ab-cdef-0123-456789abcdef"


def host(root: Path, *, nodes: bool = True, libraries: bool = True) -> Path:
    """A host with two GPUs, whose second has the lower device minor, and no toolkit."""
    module = root / "proc/driver/nvidia"
    for bus, model, uuid, minor in (
        ("0000:1a:00.0", "NVIDIA H200", UUID, 1),
        ("0000:3b:00.0", "NVIDIA H200", UUID.replace("0", "f"), 0),
    ):
        folder = module / "gpus" / bus
        folder.mkdir(parents=True)
        (folder / "information").write_text(
            f"Model: \t\t {model}\nIRQ:   \t\t 123\nGPU UUID: \t {uuid}\nDevice Minor: \t {minor}\n"
        )
    (module / "version").write_text(OPEN)
    if nodes:
        (root / "dev").mkdir()
        for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"):
            (root / "dev" / name).touch()
    if libraries:
        (root / "usr/local/nvidia/lib64").mkdir(parents=True)
        (root / "usr/local/nvidia/lib64/libcuda.so.1").touch()
    return root


@pytest.mark.parametrize(("text", "version"), [(PROPRIETARY, "535.183.01"), (OPEN, "580.159.04")])
def test_driver_version_needs_no_library(tmp_path: Path, text: str, version: str) -> None:
    folder = tmp_path / "proc/driver/nvidia"
    folder.mkdir(parents=True)
    (folder / "version").write_text(text)
    assert driver_version(tmp_path) == version


def test_without_a_driver_there_is_no_version(tmp_path: Path) -> None:
    assert driver_version(tmp_path) is None
    assert host_gpus(tmp_path) == []


def test_gpus_are_listed_in_pci_order(tmp_path: Path) -> None:
    assert host_gpus(host(tmp_path))[0] == HostGpu("NVIDIA H200", UUID, 1)


def test_device_nodes_stand_in_where_the_module_lists_no_gpu(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    for name in ("nvidia3", "nvidiactl", "nvidia-uvm"):
        (tmp_path / "dev" / name).touch()
    assert host_gpus(tmp_path) == [HostGpu("", "", 3)]


@pytest.mark.parametrize(
    ("driver", "major", "fits"),
    [
        ("580.65.06", 13, True),
        ("575.57.08", 13, False),
        ("525.60.13", 12, True),
        ("470.1", 12, False),
        (None, 13, True),
        ("470.1", None, True),
    ],
)
def test_driver_against_cuda(driver: str | None, major: int | None, fits: bool) -> None:
    if fits:
        check_driver(driver, major, "the image")
        return
    with pytest.raises(DeviceError, match="too old") as caught:
        check_driver(driver, major, "the image")
    assert str(driver) in caught.value.line


def test_a_torch_without_cuda_is_refused() -> None:
    with pytest.raises(DeviceError, match="without CUDA"):
        check_driver("580.65.06", 0, "the image")


@pytest.mark.parametrize(
    ("base", "torch", "wheels", "major"),
    [
        ("nvidia/cuda:13.0.2-base-ubuntu24.04", "torch==2.13.0", [], 13),
        ("nvidia/cuda:12.8.1-base-ubuntu24.04", "torch==2.13.0", [], 13),
        ("nvidia/cuda:12.8.1-base-ubuntu24.04", "torch==2.9.1", [], 12),
        ("nvidia/cuda:12.8.1-base-ubuntu24.04", "keep", [], 12),
        ("gpu-base:local", "keep", [], None),
        ("debian:12", "torch==2.13.0", ["torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl"], 0),
        ("debian:12", "torch==2.13.0", ["torch-2.13.0+cu128-cp311-cp311-linux_x86_64.whl"], 12),
        ("debian:12", "torch==2.13.0+cu130", [], 13),
    ],
)
def test_cuda_of_an_image(base: str, torch: str, wheels: list[str], major: int | None) -> None:
    assert image_cuda_major(base, torch, wheels) == major


def way(root: Path, information: dict[str, Any], **changes: Any) -> Way | NoWay:
    return find_way(information, **({"is_local": True, "gpu": None, "root": root} | changes))


def test_the_nvidia_runtime_comes_first(tmp_path: Path) -> None:
    found = way(host(tmp_path), {"Runtimes": {"nvidia": {}, "runc": {}}}, gpu="1")
    assert isinstance(found, Way) and found.name == "nvidia-runtime"
    assert found.host_settings["device_requests"][0]["DeviceIDs"] == ["1"]


@pytest.mark.parametrize("listed", [True, False])
def test_cdi_comes_second(tmp_path: Path, listed: bool) -> None:
    information: dict[str, Any] = {"Runtimes": {}, "CDISpecDirs": ["/etc/cdi"]}
    if listed:
        information["DiscoveredDevices"] = [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}]
    else:  # an engine that does not list devices: its specifications are read
        folder = tmp_path / "etc/cdi"
        folder.mkdir(parents=True)
        (folder / "nvidia.yaml").write_text(
            'cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: "0"\n'
        )
    found = way(host(tmp_path), information)
    assert isinstance(found, Way) and found.name == "cdi"
    assert found.host_settings["device_requests"][0]["DeviceIDs"] == ["nvidia.com/gpu=0"]
    assert "no NVIDIA runtime" in found.reason


def test_device_nodes_come_last_and_expose_one_gpu(tmp_path: Path) -> None:
    found = way(host(tmp_path), {"Runtimes": {"runc": {}}})
    assert isinstance(found, Way) and found.name == "device-nodes"
    devices = found.host_settings["devices"]
    assert "/dev/nvidia1:/dev/nvidia1:rw" in devices  # the first in PCI order
    assert not any("nvidia0" in device for device in devices)
    assert found.host_settings["binds"] == {
        "/usr/local/nvidia": {"bind": "/usr/local/nvidia", "mode": "ro"}
    }
    assert found.library_path == "/usr/local/nvidia/lib64"


def test_a_gpu_is_chosen_by_uuid(tmp_path: Path) -> None:
    found = way(host(tmp_path), {}, gpu=UUID.replace("0", "f"))
    assert isinstance(found, Way)
    assert "/dev/nvidia0:/dev/nvidia0:rw" in found.host_settings["devices"]


@pytest.mark.parametrize(
    ("missing", "changes", "reason"),
    [
        ({"nodes": False}, {}, "no device node /dev/nvidia1"),
        ({"libraries": False}, {}, "libcuda.so"),
        ({}, {"gpu": "7"}, "GPU 7 is not among the 2"),
        ({}, {"is_local": False}, "remote"),
    ],
)
def test_why_there_is_no_way(
    tmp_path: Path, missing: dict[str, bool], changes: dict[str, Any], reason: str
) -> None:
    found = way(host(tmp_path, **missing), {"Runtimes": {}}, **changes)
    assert isinstance(found, NoWay)
    assert reason in found.reason
    assert "no NVIDIA runtime" in found.reason


def test_without_a_driver_there_is_no_way(tmp_path: Path) -> None:
    assert way(tmp_path, {"Runtimes": {"nvidia": {}}}) == NoWay("no NVIDIA driver is loaded")
