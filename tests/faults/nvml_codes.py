"""NVML failing at any call with any of its error codes: what the sampler makes of each.

The expectation is the table at the top of harness/measure/gpu_probe.py, written down once more.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pynvml

from harness.measure.gpu_probe import GpuProbe, NoTelemetryError, ProbeError
from tests.measure.fake_nvml import UUID, FakeNvml

CODES = {name: value for name, value in vars(pynvml).items() if name.startswith("NVML_ERROR_")}
LOST = {pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED}
PASSING = {pynvml.NVML_ERROR_TIMEOUT, pynvml.NVML_ERROR_IN_USE, pynvml.NVML_ERROR_NOT_READY}
OPENING = ("nvmlInit", "nvmlDeviceGetHandleByUUID")


@dataclass(frozen=True)
class Injection:
    """One call that fails with one code, from the start or once it has worked."""

    call: str
    code: int
    worked: bool

    @property
    def outcome(self) -> str:
        """What must come of it: no telemetry, lost, driver, or a null with its reason."""
        if self.call in OPENING:
            return "no telemetry"
        if self.code in LOST:
            return "device"
        if self.code == pynvml.NVML_ERROR_UNKNOWN and self.worked:
            return "infrastructure"
        return "null"


def injections() -> Iterator[Injection]:
    """Every call of the sampler with every code, at the start and later."""
    for call in calls():
        for code in sorted(CODES.values()):
            yield Injection(call, code, worked=False)
            if call not in OPENING:
                yield Injection(call, code, worked=True)


def calls() -> list[str]:
    """The calls that the sampler makes of a GPU that answers all of them, and of an old one."""
    nvml, old = FakeNvml(), FakeNvml({"nvmlDeviceGetCurrentClocksEventReasons": 13})
    old.field_errors = {186: 3, 74: 3, 76: 3}
    for each in (nvml, old):
        read_all(GpuProbe(each, UUID))
    return list(dict.fromkeys(nvml.calls + old.calls))


def read_all(probe: GpuProbe) -> dict[str, Any]:
    """All that the sampler reads in a case."""
    return {
        **probe.describe(),
        **probe.sample(),
        **probe.counters(),
        "pcie": probe.pcie_link(),
        **probe.sample(slow=False),
    }


def outcome(injection: Injection) -> str:
    """What came of it. An error that the sampler does not translate is raised."""
    nvml = FakeNvml()
    if injection.call in ("nvmlDeviceGetCurrentClocksThrottleReasons",):
        nvml.errors["nvmlDeviceGetCurrentClocksEventReasons"] = pynvml.NVML_ERROR_FUNCTION_NOT_FOUND
    if injection.call in ("nvmlDeviceGetPowerUsage", "nvmlDeviceGetViolationStatus"):
        nvml.field_errors = {186: 3, 74: 3, 76: 3}
    try:
        if not injection.worked:
            nvml.errors[injection.call] = injection.code
        probe = GpuProbe(nvml, UUID)
        if injection.worked:
            read_all(probe)
            nvml.errors[injection.call] = injection.code
        return _null(probe, injection)
    except NoTelemetryError:
        return "no telemetry"
    except ProbeError as error:
        return error.category


def _null(probe: GpuProbe, injection: Injection) -> str:
    """Reads twice: a null needs its reason, and what passes is asked again."""
    for _ in range(2):
        read_all(probe)
    told = [*probe.unsupported.values(), *probe.events]
    named = [text for text in told if str(injection.code) in text]
    if named or _has_substitute(injection):
        return "null"
    return f"a null without its reason: {told}"


def _has_substitute(injection: Injection) -> bool:
    """Calls that an older one stands in for where the code says that it is not there."""
    return (
        injection.call == "nvmlDeviceGetCurrentClocksEventReasons"
        and injection.code == pynvml.NVML_ERROR_FUNCTION_NOT_FOUND
    )


def wrong() -> list[str]:
    """Every injection that ended otherwise than it must."""
    return [
        f"{one.call} with code {one.code} {'later' if one.worked else 'at the start'}: {came}"
        for one in injections()
        if (came := outcome(one)) != one.outcome
    ]


def count() -> int:
    """How many injections there are."""
    return sum(1 for _ in injections())
