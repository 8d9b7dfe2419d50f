"""MIG instances and WSL: what telemetry claims there, and what it leaves out with its reason."""

import pytest

from harness.measure.gpu_probe import GpuProbe, NoTelemetryError
from harness.measure.nvml_handles import UNNAMED, WHOLE_ONLY, find_handles
from tests.measure.fake_mig import INSTANCE_UUID, FakeMigNvml
from tests.measure.fake_nvml import UUID, FakeNvml

AS_TORCH_WRITES_IT = INSTANCE_UUID.replace("MIG-", "GPU-")
OF_THE_WHOLE = ("power_mw", "utilisation_percent")


def test_a_whole_gpu_answers_for_itself() -> None:
    handles = find_handles(FakeNvml(), UUID)
    assert (handles.gpu, handles.memory, handles.instance) == ("handle", "handle", None)
    assert handles.not_ours == ()


@pytest.mark.parametrize("uuid", [INSTANCE_UUID, AS_TORCH_WRITES_IT])
def test_an_instance_is_found_by_either_form_of_its_uuid(uuid: str) -> None:
    handles = find_handles(FakeMigNvml(), uuid)
    assert (handles.gpu, handles.memory) == ("handle", "instance")
    assert handles.instance == "MIG 1g.10gb"


def test_an_instance_s_samples_hold_its_memory_and_the_gpu_s_clock_but_no_power() -> None:
    probe = GpuProbe(FakeMigNvml(), AS_TORCH_WRITES_IT)
    sample = probe.sample()
    assert sample["memory_used_bytes"] == 50 * 2**20
    assert sample["sm_clock_mhz"] == 1755
    assert probe.counters()["energy_mj"] is None
    for name in OF_THE_WHOLE:
        assert sample[name] is None
        assert probe.unsupported[name] == WHOLE_ONLY
    assert probe.unsupported["energy_mj"] == WHOLE_ONLY
    assert probe.power_source is None


def test_the_fact_names_the_instance() -> None:
    assert GpuProbe(FakeMigNvml(), INSTANCE_UUID).describe()["gpu.mig"] == "MIG 1g.10gb"
    assert GpuProbe(FakeNvml(), UUID).describe()["gpu.mig"] == "off"


def test_a_cuda_that_names_only_the_whole_gpu_claims_nothing_of_it() -> None:
    probe = GpuProbe(FakeMigNvml(), UUID)
    sample = probe.sample()
    assert probe.describe()["gpu.mig"] == UNNAMED
    assert sample["memory_used_bytes"] is None and sample["power_mw"] is None
    assert sample["sm_clock_mhz"] == 1755


def test_an_instance_that_is_gone_is_no_telemetry() -> None:
    with pytest.raises(NoTelemetryError):
        GpuProbe(FakeMigNvml(), "MIG-bbbbbbbb-1111-2222-3333-444444444444")


def test_what_nvml_leaves_out_under_wsl_has_its_reason() -> None:
    """Of NVML's calls several are not supported there, by NVIDIA's guide to CUDA on WSL."""
    unsupported = (
        "nvmlDeviceGetUtilizationRates",
        "nvmlDeviceGetEnforcedPowerLimit",
        "nvmlDeviceGetPersistenceMode",
        "nvmlDeviceGetFieldValues",
        "nvmlDeviceGetViolationStatus",
    )
    probe = GpuProbe(FakeNvml(dict.fromkeys(unsupported, 3)), UUID)
    sample, counters, facts = probe.sample(), probe.counters(), probe.describe()
    assert sample["sm_clock_mhz"] == 1980 and sample["power_mw"] == 290_000
    empty = [name for name, value in {**sample, **counters, **facts}.items() if value is None]
    assert {"utilisation_percent", "energy_mj", "gpu.power_limit_w"} <= set(empty)
    assert all(name in probe.unsupported for name in empty)


def test_a_driver_and_library_of_different_versions_is_no_telemetry() -> None:
    with pytest.raises(NoTelemetryError, match="code 18"):
        GpuProbe(FakeNvml({"nvmlInit": 18}), UUID)
