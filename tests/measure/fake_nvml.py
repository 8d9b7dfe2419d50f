"""A fake of the NVML binding with the same shape: what the sampler calls, and nothing else.

    python -m tests.measure.fake_nvml --out FILE --interval 0.02 [--lost-after N]
    python -m tests.measure.fake_nvml --out FILE --fails nvmlDeviceGetClockInfo=999 --after N

runs the real sampler on the fake, as the real command runs it on pynvml.
"""
# ruff: noqa: N801, N802, N818 the names are pynvml's

import argparse
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

UUID = "GPU-00000000-1111-2222-3333-444444444444"


class NVMLError(Exception):
    """As in pynvml: made from a return code, and turned into the class of that code."""

    def __new__(cls, value: int) -> "NVMLError":
        kind = NVMLError_FunctionNotFound if value == 13 and cls is NVMLError else cls
        error = Exception.__new__(kind)
        error.value = value
        return error

    value: int

    def __str__(self) -> str:
        return f"code {self.value}"


class NVMLError_FunctionNotFound(NVMLError):
    """Code 13."""


class FakeNvml:
    """One GPU. `errors` maps a call's name to the code that it fails with."""

    NVMLError = NVMLError
    NVMLError_FunctionNotFound = NVMLError_FunctionNotFound
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0
    NVML_PERF_POLICY_POWER, NVML_PERF_POLICY_SYNC_BOOST = 0, 2
    NVML_FI_DEV_POWER_INSTANT = 186
    NVML_FI_DEV_MEMORY_TEMP = 82
    NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION = 83
    NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_POWER_CAP = 74
    NVML_FI_DEV_CLOCKS_EVENT_REASON_SYNC_BOOST = 76
    NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN = 269
    NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN = 270
    NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN = 271

    def __init__(
        self,
        errors: dict[str, int] | None = None,
        lost_after: int | None = None,
        errors_after: int = 0,
    ) -> None:
        self.errors = errors or {}
        self.lost_after = lost_after
        self.errors_after = errors_after  # calls that succeed before
        self.field_errors: dict[int, int] = {}
        self.fields = {186: 300_000, 82: 60, 83: 1_000, 74: 0, 76: 0, 269: 0, 270: 0, 271: 0}
        self.sm_clock_mhz = 1980
        self.event_reasons = 0
        self.calls: list[str] = []

    def _answer(self, call: str, value: Any) -> Any:
        self.calls.append(call)
        if self.lost_after is not None and len(self.calls) > self.lost_after:
            raise NVMLError(15)
        if call in self.errors and len(self.calls) > self.errors_after:
            raise NVMLError(self.errors[call])
        return value

    def nvmlInit(self) -> None:
        self._answer("nvmlInit", None)

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        handle: str = self._answer("nvmlDeviceGetHandleByUUID", "handle")
        if uuid != UUID:
            raise NVMLError(6)
        return handle

    def nvmlDeviceIsMigDeviceHandle(self, handle: str) -> int:
        return int(handle == "instance")

    def nvmlDeviceGetClockInfo(self, _: str, kind: int) -> int:
        clock: int = self._answer(
            "nvmlDeviceGetClockInfo", self.sm_clock_mhz if kind == self.NVML_CLOCK_SM else 3201
        )
        return clock

    def nvmlDeviceGetFieldValues(self, _: str, ids: list[int]) -> list[SimpleNamespace]:
        self._answer("nvmlDeviceGetFieldValues", None)
        self.fields[83] += 10
        return [
            SimpleNamespace(
                nvmlReturn=self.field_errors.get(number, 0),
                valueType=3,
                value=SimpleNamespace(ullVal=self.fields[number]),
            )
            for number in ids
        ]

    def nvmlDeviceGetMemoryInfo(self, _: str) -> SimpleNamespace:
        return self._answer("nvmlDeviceGetMemoryInfo", SimpleNamespace(used=700 * 2**20))

    def nvmlDeviceGetUtilizationRates(self, _: str) -> SimpleNamespace:
        return self._answer("nvmlDeviceGetUtilizationRates", SimpleNamespace(gpu=3, memory=1))

    def nvmlDeviceGetCurrentClocksEventReasons(self, _: str) -> int:
        return self._answer("nvmlDeviceGetCurrentClocksEventReasons", self.event_reasons)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, _: str) -> int:
        return self._answer("nvmlDeviceGetCurrentClocksThrottleReasons", self.event_reasons)

    def nvmlDeviceGetViolationStatus(self, _: str, policy: int) -> SimpleNamespace:
        status = SimpleNamespace(violationTime=5_000 + policy)
        return self._answer("nvmlDeviceGetViolationStatus", status)

    def nvmlDeviceGetEccMode(self, _: str) -> list[int]:
        return self._answer("nvmlDeviceGetEccMode", [1, 1])

    def nvmlDeviceGetMigMode(self, _: str) -> list[int]:
        return self._answer("nvmlDeviceGetMigMode", [0, 0])

    def __getattr__(self, name: str) -> Any:
        values = {
            "nvmlDeviceGetName": b"NVIDIA Fake",
            "nvmlDeviceGetVbiosVersion": "96.00.00.00.01",
            "nvmlSystemGetDriverVersion": "580.10",
            "nvmlSystemGetCudaDriverVersion_v2": 13000,
            "nvmlDeviceGetEnforcedPowerLimit": 700_000,
            "nvmlDeviceGetMaxClockInfo": 1980,
            "nvmlDeviceGetPersistenceMode": 1,
            "nvmlDeviceGetComputeMode": 0,
            "nvmlDeviceGetMaxPcieLinkGeneration": 5,
            "nvmlDeviceGetMaxPcieLinkWidth": 16,
            "nvmlDeviceGetCurrPcieLinkGeneration": 5,
            "nvmlDeviceGetCurrPcieLinkWidth": 16,
            "nvmlDeviceGetTemperature": 41,
            "nvmlDeviceGetPowerUsage": 290_000,
        }
        if name not in values:
            raise AttributeError(name)
        return lambda *_: self._answer(name, values[name])


def main() -> int:
    from harness.measure.nvml import serve

    parser = argparse.ArgumentParser()
    parser.add_argument("--gpu", default=UUID)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--interval", type=float, default=0.02)
    parser.add_argument("--lost-after", type=int)
    parser.add_argument("--no-driver", action="store_true")
    parser.add_argument("--throttled", action="store_true")
    parser.add_argument("--fails", metavar="CALL=CODE")
    parser.add_argument("--after", type=int, default=0, metavar="CALLS")
    options = parser.parse_args()
    errors = {"nvmlInit": 9} if options.no_driver else {}
    if options.fails:
        call, _, code = options.fails.partition("=")
        errors[call] = int(code)
    nvml = FakeNvml(errors, options.lost_after, options.after)
    nvml.event_reasons = 0x40 if options.throttled else 0
    return serve(
        nvml, gpu=options.gpu, out=options.out, interval_s=options.interval, version="fake 1"
    )


if __name__ == "__main__":
    sys.exit(main())
