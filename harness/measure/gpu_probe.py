"""What NVML says about one GPU: its state, its counters, its description. Read calls only.

Every error code is translated here, once:

    GPU is lost, reset required                     ProbeError "device": the case ends
    unknown error on a field that worked before     ProbeError "infrastructure": the case ends
    timeout, in use, not ready                      null this time, asked again
    anything else (not supported, no permission)    null for good, with the reason
    library not found, driver not loaded, no GPU    NoTelemetryError: the case goes on without

The NVML binding is passed in, so that a test can hand over a fake of the same shape.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from harness.measure.nvml_handles import WHOLE_ONLY, find_handles

LOST_CODES = {15: "the GPU is lost", 16: "the GPU needs a reset"}
TRANSIENT_CODES = {10, 19, 27}  # timeout, in use, not ready
UNKNOWN_CODE = 999

POWER_FIELD = "NVML_FI_DEV_POWER_INSTANT"
MEMORY_TEMPERATURE_FIELD = "NVML_FI_DEV_MEMORY_TEMP"
ENERGY_FIELD = "NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION"
COUNTER_FIELDS = {
    "energy_mj": ENERGY_FIELD,
    "sw_power_cap_ns": "NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_POWER_CAP",
    "sync_boost_ns": "NVML_FI_DEV_CLOCKS_EVENT_REASON_SYNC_BOOST",
    "sw_thermal_ns": "NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN",
    "hw_thermal_ns": "NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN",
    "hw_power_brake_ns": "NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN",
}
# Older drivers have no field for these two, but answer this call (time in ns).
VIOLATION_POLICIES = {
    "sw_power_cap_ns": "NVML_PERF_POLICY_POWER",
    "sync_boost_ns": "NVML_PERF_POLICY_SYNC_BOOST",
}
SAMPLE_FIELDS = (
    "sm_clock_mhz",
    "memory_clock_mhz",
    "power_mw",
    "temperature_c",
    "memory_temperature_c",
    "memory_used_bytes",
    "utilisation_percent",
    "event_reasons",
)
# What moves slowly is read less often: each call goes through the driver, as the workload does.
SLOW_FIELDS = frozenset(
    {
        "memory_clock_mhz",
        "temperature_c",
        "memory_temperature_c",
        "memory_used_bytes",
        "utilisation_percent",
    }
)
_UNION_MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")  # by valueType

Number = int | float


class ProbeError(Exception):
    """The GPU or its driver stopped answering: the case cannot go on."""

    def __init__(self, category: Literal["device", "infrastructure"], message: str) -> None:
        self.category = category
        super().__init__(message)


class NoTelemetryError(Exception):
    """NVML cannot be used at all; the message is the reason."""


class GpuProbe:
    """Reads one GPU through `nvml`. `unsupported` collects the reason of every null field."""

    def __init__(self, nvml: Any, uuid: str) -> None:
        self._nvml = nvml
        self.unsupported: dict[str, str] = {}
        self.events: list[str] = []
        self.power_source: str | None = None
        self._worked: set[str] = set()
        self._energy_mj: int | None = None
        try:
            nvml.nvmlInit()
            handles = find_handles(nvml, uuid)
        except nvml.NVMLError as error:
            raise NoTelemetryError(f"NVML: {error}") from error
        self._handle, self._memory_handle = handles.gpu, handles.memory
        self._instance = handles.instance
        self.unsupported |= dict.fromkeys(handles.not_ours, WHOLE_ONLY)

    def sample(self, *, slow: bool = True) -> dict[str, Number | None]:
        """The GPU's state now, one entry a field of SAMPLE_FIELDS, or without the slow ones."""
        nvml, handle = self._nvml, self._handle
        names = (POWER_FIELD, MEMORY_TEMPERATURE_FIELD) if slow else (POWER_FIELD,)
        fields = self._fields(names)
        fast = {
            "sm_clock_mhz": self._read(
                "sm_clock_mhz", lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)
            ),
            "power_mw": self._power_mw(fields[POWER_FIELD]),
            "event_reasons": self._read("event_reasons", self._event_reasons),
        }
        return fast | self._slow(fields[MEMORY_TEMPERATURE_FIELD]) if slow else fast

    def _slow(self, memory_temperature: Any) -> dict[str, Number | None]:
        nvml, handle = self._nvml, self._handle
        return {
            "memory_clock_mhz": self._read(
                "memory_clock_mhz",
                lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM),
            ),
            "temperature_c": self._read(
                "temperature_c",
                lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
            ),
            "memory_temperature_c": self._field_value("memory_temperature_c", memory_temperature),
            "memory_used_bytes": self._read(
                "memory_used_bytes", lambda: nvml.nvmlDeviceGetMemoryInfo(self._memory_handle).used
            ),
            "utilisation_percent": self._read(
                "utilisation_percent", lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu
            ),
        }

    def counters(self) -> dict[str, int | None]:
        """The cumulative counters now: energy, and how long each reason held the clocks down."""
        fields = self._fields(tuple(COUNTER_FIELDS.values()))
        values: dict[str, int | None] = {}
        for name, field in COUNTER_FIELDS.items():
            value = self._field_value(name, fields[field])
            if value is None and name in VIOLATION_POLICIES:
                value = self._violation_ns(name)
            values[name] = None if value is None else int(value)
        values["energy_mj"] = self._checked_energy(values["energy_mj"])
        return values

    def pcie_link(self) -> tuple[Number | None, Number | None]:
        """(generation, width) of the link now; it drops when the GPU idles."""
        nvml, handle = self._nvml, self._handle
        return (
            self._read("pcie_gen", lambda: nvml.nvmlDeviceGetCurrPcieLinkGeneration(handle)),
            self._read("pcie_width", lambda: nvml.nvmlDeviceGetCurrPcieLinkWidth(handle)),
        )

    def describe(self) -> dict[str, str | Number | None]:
        """What does not change during a case. A null's reason is in `unsupported`."""
        nvml, handle = self._nvml, self._handle
        readers: dict[str, Callable[[], Any]] = {
            "gpu.name": lambda: _text(nvml.nvmlDeviceGetName(handle)),
            "gpu.vbios": lambda: _text(nvml.nvmlDeviceGetVbiosVersion(handle)),
            "gpu.driver": lambda: _text(nvml.nvmlSystemGetDriverVersion()),
            "gpu.cuda_driver_version": lambda: _cuda_version(
                nvml.nvmlSystemGetCudaDriverVersion_v2()
            ),
            "gpu.power_limit_w": lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000,
            "gpu.max_sm_clock_mhz": lambda: nvml.nvmlDeviceGetMaxClockInfo(
                handle, nvml.NVML_CLOCK_SM
            ),
            "gpu.max_memory_clock_mhz": lambda: nvml.nvmlDeviceGetMaxClockInfo(
                handle, nvml.NVML_CLOCK_MEM
            ),
            "gpu.ecc": lambda: _switch(nvml.nvmlDeviceGetEccMode(handle)[0]),
            "gpu.mig": lambda: self._instance or _switch(nvml.nvmlDeviceGetMigMode(handle)[0]),
            "gpu.persistence": lambda: _switch(nvml.nvmlDeviceGetPersistenceMode(handle)),
            "gpu.compute_mode": lambda: _compute_mode(nvml.nvmlDeviceGetComputeMode(handle)),
            "gpu.pcie_max": lambda: (
                f"gen {nvml.nvmlDeviceGetMaxPcieLinkGeneration(handle)} "
                f"x{nvml.nvmlDeviceGetMaxPcieLinkWidth(handle)}"
            ),
        }
        return {name: self._read(name, reader) for name, reader in readers.items()}

    def _event_reasons(self) -> int:
        """Bits that hold the clocks down now; the call was renamed in driver 535."""
        nvml = self._nvml
        try:
            return int(nvml.nvmlDeviceGetCurrentClocksEventReasons(self._handle))
        except (AttributeError, nvml.NVMLError_FunctionNotFound):
            return int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(self._handle))

    def _power_mw(self, field: Any) -> Number | None:
        """Instant power of the GPU (scope 0), else NVML's own average, named in power_source."""
        if self.power_source in (None, POWER_FIELD):
            value = self._field_value("power_instant", field)
            if value is not None:
                self.power_source = POWER_FIELD
                return value
        average: Number | None = self._read(
            "power_mw", lambda: self._nvml.nvmlDeviceGetPowerUsage(self._handle)
        )
        if average is not None:
            self.power_source = "nvmlDeviceGetPowerUsage"
        return average

    def _violation_ns(self, name: str) -> Number | None:
        policy = getattr(self._nvml, VIOLATION_POLICIES[name])
        value: Number | None = self._read(
            f"{name} by policy",
            lambda: self._nvml.nvmlDeviceGetViolationStatus(self._handle, policy).violationTime,
        )
        return value

    def _checked_energy(self, energy_mj: int | None) -> int | None:
        """A counter that went backwards (driver reloaded) is no counter any more."""
        if energy_mj is None or "energy_mj" in self.unsupported:
            return None
        if self._energy_mj is not None and energy_mj < self._energy_mj:
            self.unsupported["energy_mj"] = "the energy counter went backwards"
            return None
        self._energy_mj = energy_mj
        return energy_mj

    def _fields(self, names: Sequence[str]) -> dict[str, Any]:
        """One batched call; None for what this binding does not know or the driver refuses."""
        ids = {name: getattr(self._nvml, name, None) for name in names}
        known = [name for name in names if ids[name] is not None]
        values = self._read(
            f"field values {known[0] if known else ''}".strip(),
            lambda: self._nvml.nvmlDeviceGetFieldValues(self._handle, [ids[n] for n in known]),
        )
        found = dict(zip(known, values, strict=True)) if values is not None else {}
        return {name: found.get(name) for name in names}

    def _field_value(self, name: str, field: Any) -> Number | None:
        """The number in one item of a batch, whose own return code is checked."""
        if self.unsupported.get(name) == WHOLE_ONLY:
            return None
        if field is None:
            self.unsupported.setdefault(name, "this driver or nvidia-ml-py has no such field")
            return None

        def number() -> Number:
            if field.nvmlReturn != 0:
                raise self._nvml.NVMLError(field.nvmlReturn)
            value: Number = getattr(field.value, _UNION_MEMBERS[field.valueType])
            return value

        value: Number | None = self._read(name, number, again=True)
        return value

    def _read(self, name: str, reader: Callable[[], Any], *, again: bool = False) -> Any:
        """A reading, or None with the reason kept. What is unsupported is not asked again,
        unless the answer has come already (`again`).
        """
        if name in self.unsupported and not again:
            return None
        try:
            value = reader()
        except AttributeError:
            self.unsupported.setdefault(name, "this nvidia-ml-py has no such call")
            return None
        except self._nvml.NVMLError as error:
            self._note_error(name, error)
            return None
        self._worked.add(name)
        return value

    def _note_error(self, name: str, error: Any) -> None:
        """Null, or the end of the case, by NVML's return code."""
        code = error.value
        if code in LOST_CODES:
            raise ProbeError("device", f"{LOST_CODES[code]} (NVML, reading {name})") from error
        if code == UNKNOWN_CODE and name in self._worked:
            raise ProbeError(
                "infrastructure",
                f"NVML lost the GPU while reading {name} (unknown error; on a host with systemd "
                "a daemon-reload takes a container's devices away)",
            ) from error
        if code in TRANSIENT_CODES:
            line = f"{name}: {error}"
            if line not in self.events:
                self.events.append(line)
        else:
            self.unsupported.setdefault(name, str(error))


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _switch(value: int) -> str:
    return "on" if value else "off"


def _cuda_version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _compute_mode(number: int) -> str:
    names = {0: "default", 1: "exclusive thread", 2: "prohibited", 3: "exclusive process"}
    return names.get(number, str(number))
