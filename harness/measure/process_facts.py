"""What the kernel says of this process: what it may do, its CPU, the libraries that it loaded."""

import os
from pathlib import Path

from harness.result import Fact


def sandbox_facts() -> dict[str, Fact]:
    """What the process may do, as the kernel says it."""
    status = _proc_status()
    interfaces = sorted(path.name for path in Path("/sys/class/net").glob("*"))
    outside = [name for name in interfaces if name != "lo"]
    return {
        "container.user": Fact(value=f"uid {os.getuid()} gid {os.getgid()}"),
        "container.read_only_root": Fact(value=bool(os.statvfs("/").f_flag & os.ST_RDONLY)),
        "container.network": Fact(
            value=f"{len(outside)} interfaces besides loopback" if outside else "loopback only"
        ),
        "container.capabilities": _stated(status, "CapEff"),
        "container.no_new_privileges": _stated(status, "NoNewPrivs"),
        "container.seccomp": _stated(status, "Seccomp"),
    }


def _stated(status: dict[str, str], key: str) -> Fact:
    value = status.get(key)
    return Fact(value=value, reason="the kernel does not say" if value is None else None)


def _proc_status() -> dict[str, str]:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {key: value.strip() for key, _, value in pairs}


def cpu_model() -> Fact:
    """Name of the CPU, by its first core."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError as error:
        return Fact(value=None, reason=f"/proc/cpuinfo: {error.strerror}")
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return Fact(value=value.strip())
    return Fact(value=None, reason="/proc/cpuinfo names no model")


def mapped_library(stem: str) -> Fact:
    """File name of a library that is mapped into this process."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError as error:
        return Fact(value=None, reason=f"/proc/self/maps: {error.strerror}")
    names = sorted({Path(line.split()[-1]).name for line in lines if f"/{stem}" in line})
    if not names:
        return Fact(value=None, reason=f"no {stem} is mapped")
    return Fact(value=", ".join(names))
