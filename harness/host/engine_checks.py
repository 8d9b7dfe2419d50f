"""Obstacles on the side of the container engine, by what `docker info` and its files tell."""

import re

from harness.host import cdi
from harness.host.engine_traits import OLDEST_WITH_CDI
from harness.host.gpu import Way
from harness.host.site import Site
from harness.host.told import Told, note, problem
from harness.host.ways import local_specs

IMAGE_BYTES = 20 << 30
TOOLKIT_SETTINGS = "etc/nvidia-container-runtime/config.toml"
SELINUX = "sys/fs/selinux"
DEVICES_BOOLEAN = "container_use_devices"
INSTALL_TOOLKIT = (
    "install the NVIDIA container toolkit, then `sudo nvidia-ctk runtime configure "
    "--runtime=docker` and restart the engine"
)
GENERATE = "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"


def no_permission(site: Site) -> Told | None:
    """The engine's socket is not open to this user."""
    error = site.engine_error
    if error is None or "no permission" not in error.what:
        return None
    return note(error.what, error.next_step)


def unreachable(site: Site) -> Told | None:
    """No engine answers, for another reason."""
    error = site.engine_error
    if error is None or "no permission" in error.what:
        return None
    return note(error.what, error.next_step)


def desktop_without_gpu(site: Site) -> Told | None:
    """Docker Desktop's virtual machine has a GPU on Windows with WSL2 alone."""
    if not site.traits.is_desktop or site.traits.is_wsl:
        return None
    return problem(
        "Docker Desktop runs containers in a virtual machine that has no GPU",
        "on Linux use Docker Engine (`docker context use default`), on Windows the WSL 2 backend",
    )


def podman_too_old(site: Site) -> Told | None:
    """Its Docker API drops a request for CDI devices without a word."""
    traits = site.traits
    has_no_gpu = site.is_local and site.driver is None
    if not traits.is_podman or traits.knows_cdi or has_no_gpu:
        return None
    return note(
        f"Podman {_version(site)} ignores requests for GPUs that come through its Docker API",
        "use Podman 5 or newer, or Docker",
    )


def limits_ignored(site: Site) -> Told | None:
    """A limit that the lock-down asks for is not enforced."""
    if not site.has_engine or not site.traits.ignored_limits:
        return None
    names = " and ".join(site.traits.ignored_limits)
    kind = "rootless engine" if site.traits.is_rootless else "engine"
    driver = site.traits.cgroup_driver or "not told"
    version = site.traits.cgroup_version or "not told"
    return note(
        f"this {kind} enforces no limit of {names} (cgroup driver {driver}, version {version}): "
        "a case can take all of the host's; the record says so",
        "use cgroup v2 with the systemd driver, and delegate cpu, memory and pids to the user",
    )


def no_seccomp(site: Site) -> Told | None:
    """Containers run without a filter of system calls."""
    if not site.has_engine or site.traits.seccomp is not None:
        return None
    return note(
        "the engine runs containers without a system-call filter; the record says so",
        "remove seccomp-profile from the engine's settings, or enable CONFIG_SECCOMP in the kernel",
    )


def users_remapped(site: Site) -> Told | None:
    """The container's user is another of the host's, who must be able to read checkpoints."""
    if not site.traits.remaps_users:
        return None
    return note(
        "the engine maps users (userns-remap): user 1000 of a container is one without rights here",
        "checkpoints for --weights must be readable for everyone: `chmod -R o+rX DIR`",
    )


def selinux(site: Site) -> Told | None:
    """SELinux keeps containers from device nodes and from folders without their label."""
    if not site.traits.has_selinux:
        return None
    labels = "label checkpoints for --weights: `chcon -Rt container_file_t DIR`"
    allow = f"`sudo setsebool -P {DEVICES_BOOLEAN} on`; {labels}"
    if not site.is_local:
        return note("SELinux confines containers there, maybe without devices", allow)
    enforced = _first_word(site, "enforce")
    if enforced == "0":
        return None
    if _first_word(site, f"booleans/{DEVICES_BOOLEAN}") == "1":
        return note("SELinux confines containers, which may use devices", labels)
    return problem(f"SELinux keeps containers from devices ({DEVICES_BOOLEAN} is off)", allow)


def cgroup_v1(site: Site) -> Told | None:
    """The older hierarchy: limits hold (not for rootless), but engines are leaving it."""
    if site.traits.cgroup_version != "1":
        return None
    return note(
        "the host uses cgroup v1, which engines are giving up",
        "boot with systemd.unified_cgroup_hierarchy=1 when convenient; cases run as they are",
    )


def rootless_toolkit(site: Site) -> Told | None:
    """The toolkit's hook fails in a rootless engine unless it leaves cgroups alone."""
    if not site.traits.is_rootless or "nvidia" not in site.runtimes:
        return None
    remedy = "sudo nvidia-ctk config --set nvidia-container-cli.no-cgroups --in-place"
    if not site.is_local:
        return note("a rootless engine needs no-cgroups in the toolkit's settings there", remedy)
    try:
        text = (site.root / TOOLKIT_SETTINGS).read_text()
    except OSError:
        text = ""
    if re.search(r"(?m)^\s*no-cgroups\s*=\s*true", text):
        return None
    return problem(f"rootless engine, but no-cgroups is not set in /{TOOLKIT_SETTINGS}", remedy)


def cdi_stale(site: Site) -> Told | None:
    """A specification that names the libraries of a driver which is gone."""
    if not site.has_engine or not site.is_local:
        return None
    _, stale = local_specs(site.information or {}, site.root)
    if not stale:
        return None
    text = f"{stale[0].path} is for driver {', '.join(sorted(stale[0].drivers))}, not {site.driver}"
    return (note if isinstance(site.way, Way) else problem)(text, GENERATE)


def cdi_too_old(site: Site) -> Told | None:
    """Specifications are there, and the engine does not know what they are."""
    if isinstance(site.way, Way) or site.traits.is_podman or site.traits.knows_cdi:
        return None
    specs = _specs_here(site)
    if not specs:
        return None
    oldest = ".".join(map(str, OLDEST_WITH_CDI["Docker"]))
    return problem(
        f"Docker {_version(site)} knows no CDI, so {specs[0].path} is of no use to it",
        f"update Docker to {oldest} or newer, or {INSTALL_TOOLKIT}",
    )


def cdi_off(site: Site) -> Told | None:
    """Specifications are there, and the engine's feature is off (by default before Docker 28.2)."""
    if isinstance(site.way, Way) or site.traits.is_podman or not site.traits.knows_cdi:
        return None
    specs = _specs_here(site)
    if not specs or (site.information or {}).get("CDISpecDirs"):
        return None
    return problem(
        f"CDI is off in the engine, so {specs[0].path} is not read",
        'put "features": {"cdi": true} into /etc/docker/daemon.json and restart the engine',
    )


def no_toolkit(site: Site) -> Told | None:
    """A driver, but nothing that gives containers the GPU."""
    if isinstance(site.way, Way) or not site.has_engine or not site.is_local:
        return None
    if site.driver is None or "nvidia" in site.runtimes or site.traits.is_desktop:
        return None
    if site.traits.is_podman:
        return problem("no CDI devices for Podman", GENERATE)
    return problem("the engine has neither the NVIDIA runtime nor CDI devices", INSTALL_TOOLKIT)


def remote_no_toolkit(site: Site) -> Told | None:
    """The same on another host, whose device nodes cannot be seen."""
    if isinstance(site.way, Way) or not site.has_engine or site.is_local:
        return None
    return note(
        "the remote engine has neither the NVIDIA runtime nor CDI devices",
        f"there, if it has a GPU: {INSTALL_TOOLKIT}",
    )


def disk_too_small(site: Site) -> Told | None:
    """The engine's disk has no room for the image."""
    free_bytes = site.image_disk_bytes
    if free_bytes is None or free_bytes >= IMAGE_BYTES:
        return None
    root = (site.information or {}).get("DockerRootDir", "/")
    return problem(
        f"{free_bytes / 2**30:.1f} GiB free at {root}, {IMAGE_BYTES / 2**30:.1f} GiB advised",
        "free space (`docker system df`), or move the engine's data-root to a larger disk",
    )


def _specs_here(site: Site) -> list[cdi.Spec]:
    here = site.has_engine and site.is_local
    return cdi.find_specs(cdi.FOLDERS, site.root) if here else []


def _version(site: Site) -> str:
    return str((site.information or {}).get("ServerVersion", ""))


def _first_word(site: Site, name: str) -> str:
    """The current value in a file of SELinux; empty where it is not told."""
    try:
        return (site.root / SELINUX / name).read_text().split()[0]
    except (OSError, IndexError):
        return ""
