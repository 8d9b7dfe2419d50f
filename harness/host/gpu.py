"""The host's GPUs, their driver, and which image fits it. Needs no NVIDIA library.

How a container reaches one of them is for `harness.host.ways` to find.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.errors import DeviceError

MINIMUM_DRIVER = {13: 580, 12: 525, 11: 450}  # CUDA major version -> NVIDIA driver branch
# What the index builds for an older CUDA, newest first: CUDA major version -> torch, base image.
OLDER_IMAGES = {
    12: ("torch==2.10.0", "nvidia/cuda:12.8.1-base-ubuntu24.04"),
    11: ("torch==2.7.1+cu118", "nvidia/cuda:11.8.0-base-ubuntu22.04"),
}
DRIVER_FOLDERS = ("usr/local/nvidia",)
LIBRARY_FOLDERS = (
    *(f"{folder}/{name}" for folder in DRIVER_FOLDERS for name in ("lib64", "lib")),
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib64",
)


@dataclass(frozen=True)
class HostGpu:
    """A GPU as the kernel module lists it."""

    model: str
    uuid: str
    minor: int  # /dev/nvidia<minor>


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a container reaches one GPU, and what that adds to its settings."""

    name: Literal["nvidia-runtime", "cdi", "device-nodes"]
    reason: str
    host_settings: Mapping[str, Any]
    environment: Mapping[str, str] = field(default_factory=dict)
    library_path: str | None = None  # goes in front of the image's LD_LIBRARY_PATH


@dataclass(frozen=True)
class NoWay:
    """Why no container can reach a GPU."""

    reason: str


def driver_version(root: Path = Path("/")) -> str | None:
    """The NVIDIA driver's version as the kernel module tells it; None without one, as on WSL."""
    try:
        text = (root / "proc/driver/nvidia/version").read_text()
    except OSError:
        return None
    match = re.search(r"NVRM version:.*?\s(\d{3,}\.\d+(?:\.\d+)?)\s", text)
    return match[1] if match else None


def library_versions(root: Path = Path("/")) -> set[str]:
    """Versions of the driver's libcuda.so on this host, where it lies in a usual folder."""
    names = [
        file.name for folder in LIBRARY_FOLDERS for file in (root / folder).glob("libcuda.so.*")
    ]
    found = (re.fullmatch(r"libcuda\.so\.(\d{3,}\.\d+(?:\.\d+)?)", name) for name in names)
    return {match[1] for match in found if match}


def host_gpus(root: Path = Path("/")) -> list[HostGpu]:
    """GPUs in PCI order, which is nvidia-smi's; empty where the kernel module lists none."""
    gpus = []
    for file in sorted((root / "proc/driver/nvidia/gpus").glob("*/information")):
        fields = dict(re.findall(r"(?m)^([^:\n]+):[ \t]*(.*?)[ \t]*$", file.read_text()))
        if fields.get("Device Minor", "").isdigit():
            gpus.append(
                HostGpu(
                    fields.get("Model", ""), fields.get("GPU UUID", ""), int(fields["Device Minor"])
                )
            )
    return gpus or [
        HostGpu("", "", int(node.name.removeprefix("nvidia")))
        for node in sorted((root / "dev").glob("nvidia[0-9]"))
    ]


def check_driver(driver: str | None, cuda_major: int | None, image: str) -> None:
    """Raises DeviceError if the driver is too old for the image's CUDA; unknowns pass."""
    if cuda_major == 0:
        raise DeviceError(
            f"{image} holds a torch without CUDA",
            next_step="put a CUDA build of torch into the wheelhouse, or use --device cpu",
        )
    if driver is None or cuda_major is None:
        return
    needed = MINIMUM_DRIVER.get(cuda_major)
    if needed is not None and int(driver.partition(".")[0]) < needed:
        raise DeviceError(
            f"NVIDIA driver {driver} is too old for CUDA {cuda_major} of {image}, "
            f"which needs {needed} or newer",
            next_step=f"update the driver, or {older_image(driver)}",
        )


def older_image(driver: str) -> str:
    """The options that build an image which this driver serves, or that there is none."""
    branch = int(driver.partition(".")[0])
    for major, (torch, base) in OLDER_IMAGES.items():
        if branch >= MINIMUM_DRIVER[major]:
            return f"use --torch {torch} --base-image {base} (CUDA {major})"
    return f"use another host: {driver} serves no image that torch is built for"


def image_cuda_major(base_image: str, torch: str, wheels: list[str]) -> int | None:
    """CUDA major version that an image will hold; 0 for a CPU build of torch, None if unknown.

    Read from the CUDA base image's tag and from the torch that will be installed: the wheelhouse's
    wheel, a local version in the requirement, else what the package index builds it with.
    """
    tag = re.search(r"cuda:(\d+)\.", base_image)
    from_base = int(tag[1]) if tag else None
    if torch == "keep":
        return from_base
    wheel = next((name for name in wheels if name.startswith("torch-")), "")
    local = re.search(r"\+(cpu|cu(\d{2,3}))", wheel or torch)
    if local:
        return int(local[2]) // 10 if local[2] else 0
    version = re.fullmatch(r"torch==(\d+)\.(\d+).*", torch)
    if version is None:
        return from_base
    from_torch = 13 if (int(version[1]), int(version[2])) >= (2, 11) else 12
    return max(from_torch, from_base or 0)
