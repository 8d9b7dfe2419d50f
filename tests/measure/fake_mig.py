"""A fake of the NVML binding for a GPU in MIG mode, by the documentation of its calls.

An instance's own handle answers for name, memory and identity; the rest fails on it, as NVML
documents it ("not supported" on MIG device handles).
"""
# ruff: noqa: N802 the names are pynvml's

from types import SimpleNamespace
from typing import Any

from tests.measure.fake_nvml import UUID, FakeNvml, NVMLError

INSTANCE_UUID = "MIG-aaaaaaaa-1111-2222-3333-444444444444"
NOT_SUPPORTED = 3


class FakeMigNvml(FakeNvml):
    """A GPU with one instance."""

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        handles = {UUID: "handle", INSTANCE_UUID: "instance"}
        if uuid not in handles:
            raise NVMLError(6)
        return handles[uuid]

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle: str) -> str:
        assert handle == "instance"
        return "handle"

    def nvmlDeviceGetMigMode(self, handle: str) -> list[int]:
        return self._of_gpu("nvmlDeviceGetMigMode", handle, [1, 1])

    def nvmlDeviceGetName(self, handle: str) -> str:
        name = "NVIDIA Fake" + (" MIG 1g.10gb" if handle == "instance" else "")
        return str(self._answer("nvmlDeviceGetName", name))

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> SimpleNamespace:
        used = 50 * 2**20 if handle == "instance" else 9000 * 2**20
        return self._answer("nvmlDeviceGetMemoryInfo", SimpleNamespace(used=used))

    def nvmlDeviceGetUtilizationRates(self, _: str) -> SimpleNamespace:
        raise NVMLError(NOT_SUPPORTED)

    def nvmlDeviceGetClockInfo(self, handle: str, kind: int) -> int:
        return int(self._of_gpu("nvmlDeviceGetClockInfo", handle, 1755))

    def _of_gpu(self, call: str, handle: str, value: Any) -> Any:
        if handle == "instance":
            raise NVMLError(NOT_SUPPORTED)
        return self._answer(call, value)
