"""What the container of a case may do: the settings that lock it down, and the facts that say so.

docs/security-container.md says what each is for; tests/host/test_lockdown.py drops each in turn.
"""

from collections.abc import Mapping
from typing import Any

from docker.types import Ulimit

from harness.host.engine_traits import EngineTraits
from harness.result import Fact

USER_ID = 1000
PIDS_LIMIT = 4096  # inductor starts a compile worker for each core
MEMORY_SHARE = 0.9  # of the engine's host: a case that eats all memory takes nobody else with it
TMPFS = {"/tmp": "exec,nosuid,nodev,mode=1777"}  # inductor and Triton load what they compile there
LOCKDOWN = "network none, read-only root, no capabilities, no new privileges, user 1000"


def confinement(memory_bytes: int | None) -> dict[str, Any]:
    """Settings of a container on a host, whatever it runs. None: memory without a limit."""
    limits = {} if memory_bytes is None else {"mem_limit": memory_bytes}
    return {
        "network_mode": "none",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "init": True,
        "pids_limit": PIDS_LIMIT,
        "tmpfs": TMPFS,
        # A crash must not fill the engine's disk with a core as large as the model.
        "ulimits": [Ulimit(name="core", soft=0, hard=0)],
        **limits,
        **({"memswap_limit": memory_bytes} if limits else {}),
    }


def lockdown_fact(information: Mapping[str, Any]) -> Fact:
    """What confines a container of this engine: a limit that it ignores is not claimed."""
    ignored = EngineTraits.of(information).ignored_limits
    kept = [name for name in ("processes", "memory") if name not in ignored]
    limits = f", limits of {' and '.join(kept)}" if kept else ""
    unkept = f", but the engine enforces no limit of {' and '.join(ignored)}" if ignored else ""
    return Fact(value=f"{LOCKDOWN}{limits}{unkept}")


def memory_limit(information: Mapping[str, Any]) -> Fact:
    """Bytes of memory that a container may take, from what the engine tells of its host."""
    if "memory" in EngineTraits.of(information).ignored_limits:
        return Fact(value=None, reason="the engine can limit no memory")
    total_bytes = information.get("MemTotal")
    if not isinstance(total_bytes, int) or total_bytes <= 0:
        return Fact(value=None, reason="the engine does not tell its host's memory")
    return Fact(value=int(total_bytes * MEMORY_SHARE))
