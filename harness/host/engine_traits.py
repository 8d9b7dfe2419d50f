"""What kind of container engine answers, read from what it tells of itself (`docker info`)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OLDEST_WITH_CDI = {"Docker": (25, 0), "Podman": (5, 0)}  # through the Docker API


@dataclass(frozen=True, kw_only=True)
class EngineTraits:
    """The traits that decide how a GPU is reached and what confines a container."""

    is_podman: bool
    version: tuple[int, int] | None  # None: it does not tell
    is_desktop: bool
    is_wsl: bool  # the kernel that runs the containers is that of WSL2
    is_rootless: bool
    remaps_users: bool
    has_selinux: bool
    seccomp: str | None  # the profile; None: no filter
    cgroup_driver: str | None
    cgroup_version: str | None
    limits_memory: bool
    limits_processes: bool

    @classmethod
    def of(cls, information: Mapping[str, Any]) -> "EngineTraits":
        """Read from the engine's answer; a limit of which it says nothing is none."""
        kernel = str(information.get("KernelVersion", "")).lower()
        options = _security(information)
        number = re.match(r"(\d+)\.(\d+)", str(information.get("ServerVersion", "")))
        return cls(
            is_podman="BuildahVersion" in information,
            version=(int(number[1]), int(number[2])) if number else None,
            is_desktop="docker desktop" in str(information.get("OperatingSystem", "")).lower(),
            is_wsl="microsoft" in kernel,
            is_rootless="rootless" in options,
            remaps_users="userns" in options,
            has_selinux="selinux" in options,
            seccomp=_filter(information, options),
            cgroup_driver=information.get("CgroupDriver"),
            cgroup_version=information.get("CgroupVersion"),
            limits_memory=bool(information.get("MemoryLimit")),
            limits_processes=bool(information.get("PidsLimit")),
        )

    @property
    def name(self) -> str:
        """Docker or Podman."""
        return "Podman" if self.is_podman else "Docker"

    @property
    def knows_cdi(self) -> bool:
        """Whether a request for CDI devices is understood; an older Podman drops it in silence."""
        return self.version is None or self.version >= OLDEST_WITH_CDI[self.name]

    @property
    def ignored_limits(self) -> list[str]:
        """Limits of a container that the engine does not enforce."""
        # A rootless engine on cgroup v1, or without a cgroup driver, may still list controllers.
        none = self.is_rootless and (self.cgroup_driver == "none" or self.cgroup_version == "1")
        kept = {"memory": self.limits_memory, "processes": self.limits_processes}
        return [name for name, is_kept in kept.items() if none or not is_kept]


def _security(information: Mapping[str, Any]) -> dict[str, str]:
    """'name=seccomp,profile=default' -> {"seccomp": "default"}."""
    found = {}
    for line in information.get("SecurityOptions") or []:
        fields = dict(part.partition("=")[::2] for part in str(line).split(","))
        found[fields.get("name", "")] = fields.get("profile", "")
    return found


def _filter(information: Mapping[str, Any], options: Mapping[str, str]) -> str | None:
    if "SecurityOptions" not in information:
        return "not told"
    profile = options.get("seccomp")
    return None if profile == "unconfined" else profile
