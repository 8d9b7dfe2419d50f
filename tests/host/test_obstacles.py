"""Every obstacle of the table is met on a host made for it, and on no host without it."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import EngineError
from harness.host.engine_checks import IMAGE_BYTES
from harness.host.nvidia_smi import Smi
from harness.host.obstacles import OBSTACLES, obstacles
from harness.host.site import Finding, Site
from harness.host.ways import find_way
from tests.host.trees import (
    DRIVER,
    FIRST_INSTANCE,
    add_instances,
    add_spec,
    linux_host,
    machine,
    smi,
    write,
    wsl_host,
)

DOCS = Path(__file__).parents[2] / "docs/hosts.md"
MISMATCH = Smi(failure="Failed to initialize NVML: Driver/library version mismatch")


def site(root: Path, engine: str | None = "docker-27-nvidia-runtime", **changes: Any) -> Site:
    """A host with this tree and engine; the way is what the program finds there."""
    fields: dict[str, Any] = {
        "information": machine(engine) if engine else None,
        "is_local": True,
        "driver": DRIVER,
        "root": root,
        "cuda_major": 13,
    } | changes
    asked = {name: fields[name] for name in ("gpu", "smi") if name in fields}
    found = find_way(
        fields["information"] or {},
        **({"gpu": None} | asked),
        is_local=fields["is_local"],
        root=root,
    )
    return Site(way=found, **fields)


def bare(root: Path) -> Path:
    """A host with a GPU on its bus and no driver."""
    device = root / "sys/bus/pci/devices/0000:1a:00.0"
    write(device / "vendor", "0x10de\n")
    write(device / "class", "0x030200\n")
    return root


def selinux_host(root: Path, *, devices: str) -> Path:
    write(root / "sys/fs/selinux/enforce", "1")
    write(root / "sys/fs/selinux/booleans/container_use_devices", devices)
    return add_spec(linux_host(root))


def without(root: Path, *nodes: str) -> Path:
    for node in nodes:
        (root / "dev" / node).unlink()
    return root


def closed(root: Path) -> Path:
    (root / "dev/nvidia1").chmod(0o660)
    return root


def refused(what: str, remedy: str) -> dict[str, Any]:
    return {"engine": None, "engine_error": EngineError(what, next_step=remedy)}


# name -> the host, the obstacle's state, and words of its line
Met = tuple[Callable[[Path], Site], str, str]
MET: dict[str, Met] = {
    "engine-permission": (
        lambda root: site(
            linux_host(root),
            **refused("no permission on the container engine's socket", "join the docker group"),
        ),
        "note",
        "join the docker group",
    ),
    "engine-unreachable": (
        lambda root: site(linux_host(root), **refused("cannot be reached", "start it")),
        "note",
        "start it",
    ),
    "desktop-without-gpu": (
        lambda root: site(linux_host(root), "docker-desktop-linux"),
        "problem",
        "use Docker Engine",
    ),
    "podman-too-old": (
        lambda root: site(linux_host(root), "podman-4.3"),
        "note",
        "Podman 4.3.1 ignores requests",
    ),
    "limits-ignored": (
        lambda root: site(linux_host(root), "docker-rootless-no-cgroup"),
        "note",
        "rootless engine enforces no limit of memory and processes (cgroup driver none",
    ),
    "no-seccomp": (
        lambda root: site(linux_host(root), "docker-unconfined"),
        "note",
        "without a system-call filter",
    ),
    "users-remapped": (
        lambda root: site(linux_host(root), "docker-20.10-userns-remap"),
        "note",
        "chmod -R o+rX",
    ),
    "selinux": (
        lambda root: site(selinux_host(root, devices="0 0"), "podman-5-selinux"),
        "problem",
        "setsebool -P container_use_devices on",
    ),
    "cgroup-v1": (
        lambda root: site(linux_host(root), "docker-20.10-cgroup-v1"),
        "note",
        "cgroup v1",
    ),
    "no-driver": (
        lambda root: site(bare(root), driver=None),
        "problem",
        "on the bus, but no driver is loaded",
    ),
    "driver-mismatch": (
        lambda root: site(linux_host(root), smi=MISMATCH),
        "problem",
        "NVML error 18); reboot",
    ),
    "libraries-differ": (
        lambda root: site(write(linux_host(root) / "usr/lib64/libcuda.so.570.86.10").parents[2]),
        "note",
        f"the kernel module is {DRIVER}, libcuda.so is 570.86.10",
    ),
    "nvidia-smi-fails": (
        lambda root: site(linux_host(root), smi=Smi(failure="No devices were found")),
        "note",
        "nvidia-smi says: No devices were found",
    ),
    "torch-without-cuda": (
        lambda root: site(linux_host(root), cuda_major=0),
        "problem",
        "a torch without CUDA",
    ),
    "driver-too-old": (
        lambda root: site(linux_host(root), driver="550.54.15"),
        "problem",
        "--torch torch==2.10.0",
    ),
    "wsl-1": (
        lambda root: site(
            wsl_host(root, kernel="4.4.0-22621-Microsoft", gpu=False), None, driver=None
        ),
        "problem",
        "wsl --set-version",
    ),
    "wsl-without-gpu": (
        lambda root: site(wsl_host(root, gpu=False), None, driver=None),
        "problem",
        "no /dev/dxg and no /usr/lib/wsl/lib/libcuda.so; install NVIDIA's driver in Windows",
    ),
    "wsl-telemetry": (
        lambda root: site(wsl_host(root), "docker-desktop-wsl2", driver="581.29", smi=smi("wsl")),
        "note",
        "NVML tells less",
    ),
    "mig-unknown": (
        lambda root: site(linux_host(root), gpu="MIG-none", smi=smi("mig-two")),
        "problem",
        f"choose one of: {FIRST_INSTANCE}",
    ),
    "mig-without-instance": (
        lambda root: site(linux_host(root), smi=smi("mig-none")),
        "problem",
        "an administrator must create one",
    ),
    "mig-choice": (
        lambda root: site(linux_host(root), smi=smi("mig-two")),
        "problem",
        f"choose one with --gpu: {FIRST_INSTANCE} (3g.40gb)",
    ),
    "mig-access": (
        lambda root: site(
            add_instances(linux_host(root), nodes=False),
            "docker-27-plain",
            gpu=FIRST_INSTANCE,
            smi=smi("mig-two"),
        ),
        "problem",
        "no device node /dev/nvidia-caps/nvidia-cap21, /dev/nvidia-caps/nvidia-cap22",
    ),
    "mig-telemetry": (
        lambda root: site(linux_host(root), gpu=FIRST_INSTANCE, smi=smi("mig-two")),
        "note",
        "MIG instance 3g.40gb",
    ),
    "device-nodes-missing": (
        lambda root: site(without(linux_host(root), "nvidia-uvm"), "docker-27-plain"),
        "problem",
        "no device node /dev/nvidia-uvm; `sudo nvidia-modprobe -c 0 -u`",
    ),
    "device-nodes-closed": (
        lambda root: site(closed(linux_host(root))),
        "problem",
        "/dev/nvidia1 cannot be opened",
    ),
    "rootless-toolkit": (
        lambda root: site(linux_host(root), "docker-rootless-cgroup-v2"),
        "problem",
        "no-cgroups is not set in /etc/nvidia-container-runtime/config.toml",
    ),
    "cdi-stale": (
        lambda root: site(
            add_spec(linux_host(root, libraries=False), driver="570.86.10"), "docker-27-cdi-on"
        ),
        "problem",
        f"/etc/cdi/nvidia.yaml is for driver 570.86.10, not {DRIVER}; sudo nvidia-ctk cdi generate",
    ),
    "cdi-too-old": (
        lambda root: site(add_spec(linux_host(root, libraries=False)), "docker-20.10-cgroup-v1"),
        "problem",
        "Docker 20.10.24+dfsg1 knows no CDI",
    ),
    "cdi-off": (
        lambda root: site(add_spec(linux_host(root, libraries=False)), "docker-27-plain"),
        "problem",
        '"features": {"cdi": true}',
    ),
    "libraries-not-found": (
        lambda root: site(linux_host(root, libraries=False), "docker-27-plain"),
        "note",
        "no libcuda.so under /usr/local/nvidia",
    ),
    "no-toolkit": (
        lambda root: site(linux_host(root, libraries=False), "docker-27-plain"),
        "problem",
        "neither the NVIDIA runtime nor CDI devices; install the NVIDIA container toolkit",
    ),
    "remote-no-toolkit": (
        lambda root: site(root, "docker-27-plain", is_local=False, driver=None),
        "note",
        "the remote engine has neither",
    ),
    "disk-too-small": (
        lambda root: site(linux_host(root), image_disk_bytes=IMAGE_BYTES // 4),
        "problem",
        "5.0 GiB free at /var/lib/docker, 20.0 GiB advised",
    ),
}

# Hosts on which a run on the GPU goes well -> the notes that it comes with
FINE: dict[str, tuple[Callable[[Path], Site], set[str]]] = {
    "toolkit": (lambda root: site(linux_host(root), smi=Smi(driver=DRIVER)), set()),
    "cdi": (lambda root: site(add_spec(linux_host(root)), "docker-28.2-cdi"), set()),
    "device nodes": (lambda root: site(linux_host(root), "docker-27-plain"), set()),
    "device nodes on Debian": (
        lambda root: site(linux_host(root), "docker-20.10-cgroup-v1"),
        {"cgroup-v1"},
    ),
    "podman": (
        lambda root: site(selinux_host(root, devices="1 1"), "podman-5-selinux"),
        {"selinux"},
    ),
    "remote": (lambda root: site(root, is_local=False, driver=None), set()),
    "rootless": (
        lambda root: site(
            write(
                linux_host(root) / "etc/nvidia-container-runtime/config.toml",
                "[nvidia-container-cli]\nno-cgroups = true\n",
            ).parents[2],
            "docker-rootless-cgroup-v2",
        ),
        set(),
    ),
    "desktop on Windows": (
        lambda root: site(wsl_host(root), "docker-desktop-wsl2", driver="581.29", smi=smi("wsl")),
        {"no-seccomp", "wsl-telemetry"},
    ),
    "engine in WSL": (
        lambda root: site(wsl_host(root), "docker-wsl2-engine", driver="581.29", smi=smi("wsl")),
        {"wsl-telemetry"},
    ),
    "MIG": (
        lambda root: site(linux_host(root), gpu=FIRST_INSTANCE, smi=smi("mig-two")),
        {"mig-telemetry"},
    ),
    "an older Podman without a GPU": (
        lambda root: site(root, "podman-4.3", driver=None),
        {"no-driver", "cgroup-v1"},
    ),
    "no GPU": (lambda root: site(root, "docker-27-plain", driver=None), {"no-driver"}),
}


def by_name(found: Site) -> dict[str, Finding]:
    return {finding.name: finding for finding in obstacles(found)}


@pytest.mark.parametrize("name", MET)
def test_an_obstacle_is_named_with_its_remedy(name: str, tmp_path: Path) -> None:
    build, state, words = MET[name]
    finding = by_name(build(tmp_path))[name]
    assert finding.state == state
    assert words in finding.line
    assert finding.remedy and "\n" not in finding.line


@pytest.mark.parametrize("name", FINE)
def test_where_nothing_is_in_the_way_nothing_is_said(name: str, tmp_path: Path) -> None:
    build, notes = FINE[name]
    found = by_name(build(tmp_path))
    assert set(found) == notes, [finding.line for finding in found.values()]
    assert all(finding.state == "note" for finding in found.values())


def test_every_obstacle_is_tried_in_the_table_s_order(tmp_path: Path) -> None:
    names = [row.name for row in OBSTACLES]
    assert list(MET) == names
    assert len(set(names)) == len(names)
    told = list(by_name(site(linux_host(tmp_path), "docker-20.10-userns-remap", cuda_major=0)))
    assert told == [name for name in names if name in told] and len(told) == 3


def test_the_documentation_has_every_obstacle_once() -> None:
    listed = re.findall(r"(?m)^\| `([a-z0-9-]+)` \|", DOCS.read_text())
    assert listed == [row.name for row in OBSTACLES]


def test_a_remote_host_is_not_judged_by_this_one_s_files(tmp_path: Path) -> None:
    here = site(closed(linux_host(tmp_path)), smi=smi("mig-none"))
    assert set(by_name(here)) == {"mig-without-instance", "device-nodes-closed"}
    assert by_name(replace(here, is_local=False)).keys() <= {"remote-no-toolkit"}


def test_nodes_that_the_runtime_makes_itself_are_a_note(tmp_path: Path) -> None:
    found = by_name(site(without(linux_host(tmp_path), "nvidia-uvm")))
    assert found["device-nodes-missing"].state == "note"


def test_a_stale_specification_that_nobody_needs_is_a_note(tmp_path: Path) -> None:
    root = add_spec(linux_host(tmp_path), driver="570.86.10")
    assert by_name(site(root, "docker-27-cdi-on"))["cdi-stale"].state == "note"


def test_a_host_without_a_gpu_is_no_problem(tmp_path: Path) -> None:
    assert by_name(site(tmp_path, "docker-27-plain", driver=None))["no-driver"].state == "note"


def test_selinux_that_only_warns_is_not_in_the_way(tmp_path: Path) -> None:
    root = selinux_host(tmp_path, devices="0 0")
    write(root / "sys/fs/selinux/enforce", "0")
    assert "selinux" not in by_name(site(root, "podman-5-selinux"))
