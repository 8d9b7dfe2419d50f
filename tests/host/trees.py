"""Hosts that are not at hand: file trees, and the answers beside machines/README.md."""

import json
from pathlib import Path
from typing import Any

from harness.host.nvidia_smi import Smi, parse_instances, parse_query

MACHINES = Path(__file__).parent / "machines"
DRIVER = "580.159.04"
MODULE = (
    f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {DRIVER}  Release Build  (x@y)\n"
    "GCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1)\n"
)
UUID = "GPU-01234567-89ab-cdef-0123-456789abcdef"
SECOND_UUID = "GPU-f1234567-89ab-cdef-f123-456789abcdef"
FIRST_INSTANCE = "MIG-aaaaaaaa-0000-5000-8000-000000000001"
SECOND_INSTANCE = "MIG-aaaaaaaa-0000-5000-8000-000000000002"
NODES = ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools")
WSL_KERNEL = "5.15.167.4-microsoft-standard-WSL2"
SPEC = """cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
{devices}
containerEdits:
  env:
  - NVIDIA_VISIBLE_DEVICES=void
  hooks:
  - hookName: createContainer
    path: /usr/bin/nvidia-ctk
  mounts:
  - containerPath: /usr/lib/x86_64-linux-gnu/libcuda.so.{driver}
    hostPath: /usr/lib/x86_64-linux-gnu/libcuda.so.{driver}
"""


def machine(name: str) -> dict[str, Any]:
    """What an engine tells of itself (`docker info`)."""
    return dict(json.loads((MACHINES / f"{name}.json").read_text())["info"])


def smi(name: str) -> Smi:
    """What nvidia-smi tells of a host."""
    driver, gpus = parse_query(_text(f"smi-{name}.query"))
    instances = parse_instances(_text(f"smi-{name}.list"), _text(f"smi-{name}.xml"))
    return Smi(driver=driver, gpus=tuple(gpus), instances=tuple(instances))


def _text(name: str) -> str:
    path = MACHINES / name
    return path.read_text() if path.exists() else ""


def linux_host(root: Path, *, nodes: bool = True, libraries: bool = True) -> Path:
    """A host with two GPUs, whose second has the lower device minor, and no toolkit."""
    module = root / "proc/driver/nvidia"
    for bus, uuid, minor in (("0000:1a:00.0", UUID, 1), ("0000:3b:00.0", SECOND_UUID, 0)):
        write(
            module / "gpus" / bus / "information",
            f"Model: \t\t NVIDIA H200\nIRQ:   \t\t 123\nGPU UUID: \t {uuid}\n"
            f"Device Minor: \t {minor}\n",
        )
    write(module / "version", MODULE)
    for name in NODES if nodes else ():
        write(root / "dev" / name).chmod(0o666)
    if libraries:
        write(root / "usr/local/nvidia/lib64/libcuda.so.1")
    return root


def add_instances(root: Path, *, nodes: bool = True) -> Path:
    """MIG capabilities of the first GPU's two instances, whose device minor is 1."""
    for path, minor in (("gi2", 21), ("gi2/ci0", 22), ("gi9", 84), ("gi9/ci0", 85)):
        write(
            root / "proc/driver/nvidia/capabilities/gpu1/mig" / path / "access",
            f"DeviceFileMinor: {minor}\nDeviceFileMode: 292\nDeviceFileModify: 1\n",
        )
        if nodes:
            write(root / f"dev/nvidia-caps/nvidia-cap{minor}")
    return root


def wsl_host(root: Path, *, kernel: str = WSL_KERNEL, gpu: bool = True) -> Path:
    """A Linux of WSL, with the Windows driver's device and libraries."""
    write(root / "proc/sys/kernel/osrelease", f"{kernel}\n")
    if gpu:
        write(root / "dev/dxg")
        write(root / "usr/lib/wsl/lib/libcuda.so.1")
    return root


def add_spec(
    root: Path,
    *,
    driver: str = DRIVER,
    names: tuple[str, ...] = ("0", "1", "all"),
    path: str = "etc/cdi/nvidia.yaml",
) -> Path:
    """A CDI specification as `nvidia-ctk cdi generate` writes it."""
    devices = "\n".join(
        f'- name: "{name}"\n  containerEdits:\n    deviceNodes:\n    - path: /dev/nvidia0'
        for name in names
    )
    write(root / path, SPEC.format(devices=devices, driver=driver))
    return root


def write(path: Path, text: str = "") -> Path:
    """A file with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
