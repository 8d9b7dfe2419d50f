"""The host's GPU: its driver, and the way a container reaches it. Needs no NVIDIA library.

Three ways, tried in this order: the NVIDIA runtime, CDI, and plain device nodes with the driver's
library folder. `find_way` returns the first that works, with its reason, or why none does.
"""

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from docker.types import DeviceRequest

from harness.errors import DeviceError

MINIMUM_DRIVER = {13: 580, 12: 525, 11: 450}  # CUDA major version -> NVIDIA driver branch
DRIVER_FOLDERS = ("usr/local/nvidia",)
CONTROL_NODES = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools")
CDI_KIND = "nvidia.com/gpu"


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
    """The NVIDIA driver's version, from the kernel module, else nvidia-smi; None without one."""
    try:
        text = (root / "proc/driver/nvidia/version").read_text()
    except OSError:
        return _driver_from_nvidia_smi() if root == Path("/") else None
    match = re.search(r"NVRM version:.*?\s(\d{3,}\.\d+(?:\.\d+)?)\s", text)
    return match[1] if match else None


def _driver_from_nvidia_smi() -> str | None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    query = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = answer.stdout.split()
    return lines[0] if answer.returncode == 0 and lines else None


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
            next_step="update the driver, or choose an older base image and torch with "
            "--base-image and --torch",
        )


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


def find_way(
    information: Mapping[str, Any], *, is_local: bool, gpu: str | None, root: Path = Path("/")
) -> Way | NoWay:
    """The first way that works for one GPU (index or UUID; None: the first).

    `information` is the engine's own. A remote engine's device nodes cannot be seen from here, so
    only the first two ways are open there.
    """
    device = gpu or "0"
    tried = []
    if is_local and driver_version(root) is None:
        return NoWay("no NVIDIA driver is loaded")
    if "nvidia" in (information.get("Runtimes") or {}):
        request = DeviceRequest(device_ids=[device], capabilities=[["gpu", "compute", "utility"]])
        return Way(
            name="nvidia-runtime",
            reason="the engine lists the NVIDIA runtime",
            host_settings={"device_requests": [request]},
            environment={"NVIDIA_DRIVER_CAPABILITIES": "compute,utility"},
        )
    tried.append("no NVIDIA runtime in the engine")
    if _has_cdi(information, is_local=is_local, root=root):
        request = DeviceRequest(driver="cdi", device_ids=[f"{CDI_KIND}={device}"])
        return Way(
            name="cdi",
            reason=f"the engine knows {CDI_KIND} devices through CDI; {tried[0]}",
            host_settings={"device_requests": [request]},
        )
    tried.append("no CDI devices")
    if not is_local:
        return NoWay(f"{'; '.join(tried)}; a remote engine's device nodes cannot be seen")
    return _device_nodes(gpu, tried, root)


def _has_cdi(information: Mapping[str, Any], *, is_local: bool, root: Path) -> bool:
    found = information.get("DiscoveredDevices")
    if found is not None:
        return any(str(device.get("ID", "")).startswith(CDI_KIND) for device in found)
    folders = information.get("CDISpecDirs") or []
    specs = [file for folder in folders for file in (root / folder.lstrip("/")).glob("*.*")]
    return is_local and any(
        CDI_KIND in file.read_text(errors="replace")
        for file in specs
        if file.suffix in (".yaml", ".yml", ".json")
    )


def _device_nodes(gpu: str | None, tried: list[str], root: Path) -> Way | NoWay:
    listed = host_gpus(root)
    chosen = next((g for i, g in enumerate(listed) if gpu in (None, str(i), g.uuid)), None)
    if chosen is None:
        which = f"GPU {gpu} is not among the {len(listed)} found" if gpu else "no GPU is found"
        return NoWay(f"{'; '.join(tried)}; {which} in /proc/driver/nvidia/gpus and /dev")
    nodes = [f"nvidia{chosen.minor}", *CONTROL_NODES]
    missing = [f"/dev/{name}" for name in nodes if not (root / "dev" / name).exists()]
    if missing:
        return NoWay(f"{'; '.join(tried)}; no device node {', '.join(missing)}")
    for folder in DRIVER_FOLDERS:
        for libraries in ("lib64", "lib"):
            if any((root / folder / libraries).glob("libcuda.so*")):
                bind = {f"/{folder}": {"bind": f"/{folder}", "mode": "ro"}}
                return Way(
                    name="device-nodes",
                    reason=f"{'; '.join(tried)}; device nodes and /{folder} are there",
                    host_settings={
                        "devices": [f"/dev/{name}:/dev/{name}:rw" for name in nodes],
                        "binds": bind,
                    },
                    library_path=f"/{folder}/{libraries}",
                )
    searched = ", ".join(f"/{folder}" for folder in DRIVER_FOLDERS)
    return NoWay(f"{'; '.join(tried)}; the driver's libcuda.so is not under {searched}")
