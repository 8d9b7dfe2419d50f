"""What a call of the CUDA runtime or driver does, told by its name."""

import re
from collections.abc import Mapping
from typing import Literal

Role = Literal["launch", "copy", "sync", "memory", "other"]

WAITING = re.compile(r"Synchronize|cu(da)?Memcpy(?!.*Async)")
COPYING = re.compile(r"cu(da)?Mem(cpy|set)")
LAUNCHING = re.compile(r"Launch(?!HostFunc)")
ALLOCATING = re.compile(r"cu(da)?(Malloc|Free|MemAlloc|MemFree|MemCreate|MemRelease|Mem(Unm|M)ap)")


def role_of(name: str) -> Role:
    """Waits for the device, hands it a copy or fill, launches, allocates, or none of these."""
    if WAITING.search(name):
        return "sync"
    if COPYING.match(name):
        return "copy"
    if LAUNCHING.search(name):
        return "launch"
    return "memory" if ALLOCATING.match(name) else "other"


def makes_work(name: str) -> bool:
    """Whether a call leaves a kernel, a copy or a fill on the device. A waiting copy does too."""
    return role_of(name) in ("launch", "copy") or COPYING.match(name) is not None


def by_role(calls: Mapping[str, int]) -> dict[Role, int]:
    """Calls by name -> by what they do."""
    found: dict[Role, int] = dict.fromkeys(("launch", "copy", "sync", "memory", "other"), 0)
    for name, count in calls.items():
        found[role_of(name)] += count
    return found
