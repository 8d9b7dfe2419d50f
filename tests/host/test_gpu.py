from pathlib import Path

import pytest

from harness.errors import DeviceError
from harness.host.gpu import (
    OLDER_IMAGES,
    HostGpu,
    check_driver,
    driver_version,
    host_gpus,
    image_cuda_major,
    library_versions,
    older_image,
)
from tests.host.trees import MODULE, UUID, linux_host, write

PROPRIETARY = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15\n"


@pytest.mark.parametrize(("text", "version"), [(PROPRIETARY, "535.183.01"), (MODULE, "580.159.04")])
def test_driver_version_needs_no_library(tmp_path: Path, text: str, version: str) -> None:
    folder = tmp_path / "proc/driver/nvidia"
    folder.mkdir(parents=True)
    (folder / "version").write_text(text)
    assert driver_version(tmp_path) == version


def test_without_a_driver_there_is_no_version(tmp_path: Path) -> None:
    assert driver_version(tmp_path) is None
    assert host_gpus(tmp_path) == []


def test_gpus_are_listed_in_pci_order(tmp_path: Path) -> None:
    assert host_gpus(linux_host(tmp_path))[0] == HostGpu("NVIDIA H200", UUID, 1)


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


@pytest.mark.parametrize(
    ("driver", "advice"),
    [
        ("575.57.08", "--torch torch==2.10.0 --base-image nvidia/cuda:12.8"),
        ("525.60.13", "(CUDA 12)"),
        ("470.1", "(CUDA 11)"),
        ("390.157", "another host"),
    ],
)
def test_an_old_driver_is_told_which_image_it_serves(driver: str, advice: str) -> None:
    assert advice in older_image(driver)
    with pytest.raises(DeviceError) as caught:
        check_driver(driver, 13, "the image")
    assert advice in caught.value.next_step


@pytest.mark.parametrize(("torch", "base", "major"), [(*o, m) for m, o in OLDER_IMAGES.items()])
def test_the_advised_images_are_of_the_cuda_they_are_advised_for(
    torch: str, base: str, major: int
) -> None:
    assert image_cuda_major(base, torch, []) == major


def test_library_versions_are_read_from_names(tmp_path: Path) -> None:
    write(tmp_path / "usr/local/nvidia/lib64/libcuda.so.580.159.04")
    write(tmp_path / "usr/lib/x86_64-linux-gnu/libcuda.so.1")
    write(tmp_path / "usr/lib64/libcuda.so.570.10")
    assert library_versions(tmp_path) == {"580.159.04", "570.10"}
