import re
from pathlib import Path

import pytest

from harness.measure import gpu_probe, nvml_handles
from harness.measure.gpu_probe import (
    SAMPLE_FIELDS,
    SLOW_FIELDS,
    GpuProbe,
    NoTelemetryError,
    ProbeError,
)
from tests.measure.fake_nvml import UUID, FakeNvml


def test_a_sample_has_every_field() -> None:
    probe = GpuProbe(FakeNvml(), UUID)
    sample = probe.sample()
    assert set(sample) == set(SAMPLE_FIELDS)
    assert sample["sm_clock_mhz"] == 1980
    assert sample["power_mw"] == 300_000
    assert sample["memory_used_bytes"] == 700 * 2**20
    assert probe.power_source == "NVML_FI_DEV_POWER_INSTANT"
    assert probe.unsupported == {}


def test_what_moves_slowly_can_be_left_out() -> None:
    nvml = FakeNvml()
    sample = GpuProbe(nvml, UUID).sample(slow=False)
    assert set(sample) == set(SAMPLE_FIELDS) - SLOW_FIELDS
    assert "nvmlDeviceGetMemoryInfo" not in nvml.calls


def test_an_unsupported_field_is_null_with_a_reason_and_not_asked_again() -> None:
    nvml = FakeNvml({"nvmlDeviceGetTemperature": 3})
    probe = GpuProbe(nvml, UUID)
    assert [probe.sample()["temperature_c"] for _ in range(3)] == [None] * 3
    assert probe.unsupported == {"temperature_c": "code 3"}
    assert nvml.calls.count("nvmlDeviceGetTemperature") == 1


def test_each_item_of_a_batch_is_checked() -> None:
    nvml = FakeNvml()
    nvml.field_errors = {82: 3}
    sample = GpuProbe(nvml, UUID).sample()
    assert sample["memory_temperature_c"] is None
    assert sample["power_mw"] == 300_000


def test_power_falls_back_to_the_average_and_says_so() -> None:
    nvml = FakeNvml()
    nvml.field_errors = {186: 3}
    probe = GpuProbe(nvml, UUID)
    assert probe.sample()["power_mw"] == 290_000
    assert probe.sample()["power_mw"] == 290_000
    assert probe.power_source == "nvmlDeviceGetPowerUsage"


def test_the_renamed_call_for_event_reasons_is_found_on_old_drivers() -> None:
    nvml = FakeNvml({"nvmlDeviceGetCurrentClocksEventReasons": 13})
    nvml.event_reasons = 0x40
    assert GpuProbe(nvml, UUID).sample()["event_reasons"] == 0x40


def test_a_passing_error_is_null_once_and_asked_again() -> None:
    nvml = FakeNvml({"nvmlDeviceGetTemperature": 10})
    probe = GpuProbe(nvml, UUID)
    assert probe.sample()["temperature_c"] is None
    nvml.errors = {}
    assert probe.sample()["temperature_c"] == 41
    assert probe.events == ["temperature_c: code 10"]


@pytest.mark.parametrize("code", [15, 16])
def test_a_lost_gpu_ends_the_case(code: int) -> None:
    nvml = FakeNvml()
    probe = GpuProbe(nvml, UUID)
    nvml.errors = {"nvmlDeviceGetClockInfo": code}
    with pytest.raises(ProbeError) as caught:
        probe.sample()
    assert caught.value.category == "device"


def test_unknown_error_is_unsupported_at_first_and_the_end_once_it_worked() -> None:
    never = GpuProbe(FakeNvml({"nvmlDeviceGetTemperature": 999}), UUID)
    assert never.sample()["temperature_c"] is None
    nvml = FakeNvml()
    probe = GpuProbe(nvml, UUID)
    probe.sample()
    nvml.errors = {"nvmlDeviceGetTemperature": 999}
    with pytest.raises(ProbeError) as caught:
        probe.sample()
    assert caught.value.category == "infrastructure"


@pytest.mark.parametrize("code", [9, 12])
def test_without_driver_or_library_there_is_no_telemetry(code: int) -> None:
    with pytest.raises(NoTelemetryError, match=f"code {code}"):
        GpuProbe(FakeNvml({"nvmlInit": code}), UUID)


def test_an_unknown_uuid_is_no_telemetry() -> None:
    with pytest.raises(NoTelemetryError):
        GpuProbe(FakeNvml(), "GPU-other")


def test_counters_are_read_and_old_drivers_answer_by_policy() -> None:
    nvml = FakeNvml()
    nvml.field_errors = {74: 3, 271: 3}
    values = GpuProbe(nvml, UUID).counters()
    assert values["energy_mj"] == 1010
    assert values["sw_power_cap_ns"] == 5_000
    assert values["sw_thermal_ns"] == 0
    assert values["hw_power_brake_ns"] is None


def test_an_energy_counter_that_went_backwards_stays_null() -> None:
    nvml = FakeNvml()
    probe = GpuProbe(nvml, UUID)
    assert probe.counters()["energy_mj"] == 1010
    nvml.fields[83] = 5
    assert probe.counters()["energy_mj"] is None
    nvml.fields[83] = 5_000
    assert probe.counters()["energy_mj"] is None
    assert "backwards" in probe.unsupported["energy_mj"]


def test_the_description_has_a_value_or_a_reason() -> None:
    probe = GpuProbe(FakeNvml({"nvmlDeviceGetMigMode": 3}), UUID)
    facts = probe.describe()
    assert facts["gpu.name"] == "NVIDIA Fake"
    assert facts["gpu.cuda_driver_version"] == "13.0"
    assert facts["gpu.power_limit_w"] == 700
    assert facts["gpu.ecc"] == "on"
    assert facts["gpu.mig"] is None
    assert "gpu.mig" in probe.unsupported


def test_nothing_on_the_gpu_is_ever_set() -> None:
    for module in (gpu_probe, nvml_handles):
        calls = set(re.findall(r"\.nvml(\w+)\(", Path(module.__file__).read_text()))
        assert calls
        reads = ("DeviceGet", "DeviceIs", "SystemGet", "Init")
        assert all(name.startswith(reads) for name in calls)
