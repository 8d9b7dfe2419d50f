"""What stands in the way on a host, each with what to do about it: the doctor's table.

Every row is explained in docs/hosts.md under its name. Nothing here changes the host: what an
administrator has to do is said, and left to them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness.host import engine_checks as engine
from harness.host import gpu_checks as gpu
from harness.host.site import Finding, Site
from harness.host.told import Told


@dataclass(frozen=True)
class Obstacle:
    """One row: `seen` says what is in the way, or None."""

    name: str
    subject: str
    seen: Callable[[Site], Told | None]


OBSTACLES = (
    Obstacle("engine-permission", "engine", engine.no_permission),
    Obstacle("engine-unreachable", "engine", engine.unreachable),
    Obstacle("desktop-without-gpu", "engine", engine.desktop_without_gpu),
    Obstacle("podman-too-old", "engine", engine.podman_too_old),
    Obstacle("limits-ignored", "lock-down", engine.limits_ignored),
    Obstacle("no-seccomp", "lock-down", engine.no_seccomp),
    Obstacle("users-remapped", "lock-down", engine.users_remapped),
    Obstacle("selinux", "lock-down", engine.selinux),
    Obstacle("cgroup-v1", "lock-down", engine.cgroup_v1),
    Obstacle("no-driver", "driver", gpu.no_driver),
    Obstacle("driver-mismatch", "driver", gpu.driver_mismatch),
    Obstacle("libraries-differ", "driver", gpu.libraries_differ),
    Obstacle("nvidia-smi-fails", "driver", gpu.smi_fails),
    Obstacle("torch-without-cuda", "driver", gpu.torch_without_cuda),
    Obstacle("driver-too-old", "driver", gpu.driver_too_old),
    Obstacle("wsl-1", "WSL", gpu.wsl_1),
    Obstacle("wsl-without-gpu", "WSL", gpu.wsl_without_gpu),
    Obstacle("wsl-telemetry", "WSL", gpu.wsl_telemetry),
    Obstacle("mig-unknown", "MIG", gpu.mig_unknown),
    Obstacle("mig-without-instance", "MIG", gpu.mig_without_instance),
    Obstacle("mig-choice", "MIG", gpu.mig_choice),
    Obstacle("mig-access", "MIG", gpu.mig_access),
    Obstacle("mig-telemetry", "MIG", gpu.mig_telemetry),
    Obstacle("device-nodes-missing", "device nodes", gpu.nodes_missing),
    Obstacle("device-nodes-closed", "device nodes", gpu.nodes_closed),
    Obstacle("rootless-toolkit", "way to the GPU", engine.rootless_toolkit),
    Obstacle("cdi-stale", "way to the GPU", engine.cdi_stale),
    Obstacle("cdi-too-old", "way to the GPU", engine.cdi_too_old),
    Obstacle("cdi-off", "way to the GPU", engine.cdi_off),
    Obstacle("libraries-not-found", "way to the GPU", gpu.libraries_not_found),
    Obstacle("no-toolkit", "way to the GPU", engine.no_toolkit),
    Obstacle("remote-no-toolkit", "way to the GPU", engine.remote_no_toolkit),
    Obstacle("disk-too-small", "disk for the image", engine.disk_too_small),
)

SUBJECTS = tuple(dict.fromkeys(row.subject for row in OBSTACLES))  # in the order of a run's needs


def obstacles(site: Site) -> Iterator[Finding]:
    """What is in the way at this site, in the table's order."""
    for row in OBSTACLES:
        told = row.seen(site)
        if told is not None:
            yield Finding(told.state, row.subject, told.text, told.remedy, row.name)
