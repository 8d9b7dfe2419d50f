"""Which of NVML's handles answers for a GPU: its own, or for a MIG instance that and the whole's.

CUDA counts a MIG instance as a device of its own. NVML tells its memory by the instance's handle,
and clocks, temperatures and limits by that of the whole GPU, whose clock it shares. Power, energy
and utilisation are of the whole GPU with whatever else runs on it, and are not taken for ours.
"""

from dataclasses import dataclass
from typing import Any

NOT_FOUND_CODES = {2, 6}  # invalid argument, not found
WHOLE_ONLY = "NVML tells it for the whole GPU, not for a MIG instance"
WHOLE_ONLY_FIELDS = ("power_instant", "power_mw", "energy_mj", "utilisation_percent")
UNNAMED = "on, instance not named"


@dataclass(frozen=True)
class Handles:
    """NVML's handles of one CUDA device. `instance` describes it in MIG mode."""

    gpu: Any
    memory: Any
    instance: str | None = None

    @property
    def not_ours(self) -> tuple[str, ...]:
        """Fields that NVML tells for more than this device."""
        if self.instance is None:
            return ()
        memory = ("memory_used_bytes",) if self.memory is self.gpu else ()
        return WHOLE_ONLY_FIELDS + memory


def find_handles(nvml: Any, uuid: str) -> Handles:
    """The handles for CUDA's UUID, which does not say whether it is of a GPU or of an instance.

    Raises nvml.NVMLError.
    """
    number = uuid.partition("-")[2]
    try:
        handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
    except nvml.NVMLError as error:
        if error.value not in NOT_FOUND_CODES or uuid.startswith("MIG-"):
            raise
        handle = nvml.nvmlDeviceGetHandleByUUID(f"MIG-{number}")
    if not _is_instance(nvml, handle):
        # An older CUDA tells the whole GPU's UUID for an instance of it.
        return Handles(handle, handle, UNNAMED if _is_split(nvml, handle) else None)
    whole = nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
    return Handles(gpu=whole, memory=handle, instance=_profile(nvml, handle))


def _is_instance(nvml: Any, handle: Any) -> bool:
    try:
        return bool(nvml.nvmlDeviceIsMigDeviceHandle(handle))
    except (AttributeError, nvml.NVMLError):  # a binding or driver older than MIG
        return False


def _is_split(nvml: Any, handle: Any) -> bool:
    try:
        return bool(nvml.nvmlDeviceGetMigMode(handle)[0])
    except (AttributeError, nvml.NVMLError):  # a GPU that cannot be split
        return False


def _profile(nvml: Any, handle: Any) -> str:
    """'NVIDIA H100 80GB HBM3 MIG 1g.10gb' -> 'MIG 1g.10gb'."""
    name = nvml.nvmlDeviceGetName(handle)
    text = name.decode() if isinstance(name, bytes) else str(name)
    _, found, profile = text.partition("MIG ")
    return f"MIG {profile}" if found else text
