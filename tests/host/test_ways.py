"""Which way to the GPU is chosen or refused, on hosts of every kind (tests/host/machines)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.host.cdi import FOLDERS, find_specs
from harness.host.gpu import NoWay, Way
from harness.host.nvidia_smi import Smi, SmiGpu
from harness.host.ways import find_way
from tests.host.trees import (
    DRIVER,
    FIRST_INSTANCE,
    SECOND_INSTANCE,
    SECOND_UUID,
    UUID,
    add_instances,
    add_spec,
    linux_host,
    machine,
    smi,
    wsl_host,
)


def way(root: Path, information: dict[str, Any], **changes: Any) -> Way | NoWay:
    return find_way(information, **({"is_local": True, "gpu": None, "root": root} | changes))


def test_the_nvidia_runtime_comes_first(tmp_path: Path) -> None:
    found = way(linux_host(tmp_path), {"Runtimes": {"nvidia": {}, "runc": {}}}, gpu="1")
    assert isinstance(found, Way) and found.name == "nvidia-runtime"
    assert found.host_settings["device_requests"][0]["DeviceIDs"] == ["1"]


@pytest.mark.parametrize("listed", [True, False])
def test_cdi_comes_second(tmp_path: Path, listed: bool) -> None:
    information: dict[str, Any] = {"Runtimes": {}, "CDISpecDirs": ["/etc/cdi"]}
    if listed:
        information["DiscoveredDevices"] = [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}]
    else:  # an engine that does not list devices: its specifications are read
        add_spec(tmp_path)
    found = way(linux_host(tmp_path), information)
    assert isinstance(found, Way) and found.name == "cdi"
    assert found.host_settings["device_requests"][0]["DeviceIDs"] == ["nvidia.com/gpu=0"]
    assert "no NVIDIA runtime" in found.reason


def test_device_nodes_come_last_and_expose_one_gpu(tmp_path: Path) -> None:
    found = way(linux_host(tmp_path), {"Runtimes": {"runc": {}}})
    assert isinstance(found, Way) and found.name == "device-nodes"
    devices = found.host_settings["devices"]
    assert "/dev/nvidia1:/dev/nvidia1:rw" in devices  # the first in PCI order
    assert not any("nvidia0" in device for device in devices)
    assert found.host_settings["binds"] == {
        "/usr/local/nvidia": {"bind": "/usr/local/nvidia", "mode": "ro"}
    }
    assert found.library_path == "/usr/local/nvidia/lib64"


def test_a_gpu_is_chosen_by_uuid(tmp_path: Path) -> None:
    found = way(linux_host(tmp_path), {}, gpu=SECOND_UUID)
    assert isinstance(found, Way)
    assert "/dev/nvidia0:/dev/nvidia0:rw" in found.host_settings["devices"]


@pytest.mark.parametrize(
    ("missing", "changes", "reason"),
    [
        ({"nodes": False}, {}, "no device node /dev/nvidia1"),
        ({"libraries": False}, {}, "libcuda.so"),
        ({}, {"gpu": "7"}, "GPU 7 is not among the 2"),
        ({}, {"is_local": False}, "remote"),
    ],
)
def test_why_there_is_no_way(
    tmp_path: Path, missing: dict[str, bool], changes: dict[str, Any], reason: str
) -> None:
    found = way(linux_host(tmp_path, **missing), {"Runtimes": {}}, **changes)
    assert isinstance(found, NoWay)
    assert reason in found.reason
    assert "no NVIDIA runtime" in found.reason


def test_without_a_driver_there_is_no_way(tmp_path: Path) -> None:
    assert way(tmp_path, {"Runtimes": {"nvidia": {}}}) == NoWay("no NVIDIA driver is loaded")


def devices(found: Way | NoWay) -> list[str]:
    """Device nodes that a way passes on."""
    assert isinstance(found, Way), found
    return [name.partition(":")[0] for name in found.host_settings.get("devices", [])]


def request(found: Way | NoWay, name: str) -> Any:
    """The device request of a way of this name."""
    assert isinstance(found, Way), found
    assert found.name == name
    return found.host_settings["device_requests"][0]


def test_the_node_for_tools_is_passed_on_only_if_it_is_there(tmp_path: Path) -> None:
    root = linux_host(tmp_path)
    assert "/dev/nvidia-uvm-tools" in devices(way(root, machine("docker-27-plain")))
    (root / "dev/nvidia-uvm-tools").unlink()
    assert "/dev/nvidia-uvm-tools" not in devices(way(root, machine("docker-27-plain")))


def test_a_mig_instance_by_the_runtime(tmp_path: Path) -> None:
    information = machine("docker-27-nvidia-runtime")
    found = way(linux_host(tmp_path), information, gpu=SECOND_INSTANCE, smi=smi("mig-two"))
    assert request(found, "nvidia-runtime")["DeviceIDs"] == [SECOND_INSTANCE]


@pytest.mark.parametrize("name", ["0:1", SECOND_INSTANCE])
def test_a_mig_instance_by_cdi_under_either_name(tmp_path: Path, name: str) -> None:
    root = add_spec(linux_host(tmp_path), names=("0:0", name))
    found = way(root, machine("docker-27-cdi-on"), gpu=SECOND_INSTANCE, smi=smi("mig-two"))
    assert request(found, "cdi")["DeviceIDs"] == [f"nvidia.com/gpu={name}"]


def test_a_mig_instance_by_device_nodes_gets_its_own_capabilities(tmp_path: Path) -> None:
    root = add_instances(linux_host(tmp_path))
    found = way(root, machine("docker-27-plain"), gpu=FIRST_INSTANCE, smi=smi("mig-two"))
    nodes = devices(found)
    assert {"/dev/nvidia1", "/dev/nvidiactl", "/dev/nvidia-uvm"} <= set(nodes)
    assert [n for n in nodes if "caps" in n] == [
        "/dev/nvidia-caps/nvidia-cap21",
        "/dev/nvidia-caps/nvidia-cap22",
    ]
    assert isinstance(found, Way)
    assert found.environment == {"CUDA_VISIBLE_DEVICES": FIRST_INSTANCE}


def test_without_capability_nodes_there_is_no_way_to_an_instance(tmp_path: Path) -> None:
    root = add_instances(linux_host(tmp_path), nodes=False)
    found = way(root, machine("docker-27-plain"), gpu=FIRST_INSTANCE, smi=smi("mig-two"))
    assert isinstance(found, NoWay)
    assert "no device node /dev/nvidia-caps/nvidia-cap21" in found.reason


@pytest.mark.parametrize(
    ("answers", "gpu", "reason"),
    [
        ("mig-none", None, "in MIG mode and has no instance"),
        ("mig-two", None, "split into MIG instances (3g.40gb, 1g.10gb), none is named"),
        ("mig-two", "0", "none is named"),
        ("mig-two", "MIG-none", "not among the 2 MIG instances"),
        ("mig-two", "2", "GPU 2 is not among the 2 that nvidia-smi lists"),
    ],
)
def test_a_gpu_is_refused_where_none_or_no_single_instance_is_meant(
    tmp_path: Path, answers: str, gpu: str | None, reason: str
) -> None:
    information = machine("docker-27-nvidia-runtime")
    found = way(linux_host(tmp_path), information, gpu=gpu, smi=smi(answers))
    assert isinstance(found, NoWay) and reason in found.reason
    assert "MIG-" not in found.reason  # reasons go into records


def test_beside_a_gpu_in_mig_mode_the_other_is_as_ever(tmp_path: Path) -> None:
    information = machine("docker-27-nvidia-runtime")
    found = way(linux_host(tmp_path), information, gpu="1", smi=smi("mig-two"))
    assert request(found, "nvidia-runtime")["DeviceIDs"] == ["1"]


def test_the_only_instance_is_taken(tmp_path: Path) -> None:
    two = smi("mig-two")
    one = Smi(driver=two.driver, gpus=two.gpus, instances=two.instances[:1])
    found = way(linux_host(tmp_path), machine("docker-27-nvidia-runtime"), smi=one)
    assert request(found, "nvidia-runtime")["DeviceIDs"] == [FIRST_INSTANCE]


def test_a_remote_engine_is_not_judged_by_this_host(tmp_path: Path) -> None:
    information = machine("docker-27-nvidia-runtime")
    found = way(tmp_path, information, is_local=False, gpu=FIRST_INSTANCE, smi=smi("mig-none"))
    assert request(found, "nvidia-runtime")["DeviceIDs"] == [FIRST_INSTANCE]


def test_a_driver_below_its_libraries_is_no_way(tmp_path: Path) -> None:
    failed = Smi(failure="Failed to initialize NVML: Driver/library version mismatch")
    found = way(linux_host(tmp_path), machine("docker-27-nvidia-runtime"), smi=failed)
    assert isinstance(found, NoWay) and "different versions" in found.reason


@pytest.mark.parametrize(
    "name", ["docker-desktop-wsl2", "docker-desktop-wsl2-unlisted", "docker-wsl2-engine"]
)
def test_through_wsl_all_gpus_are_passed_on_and_cuda_chooses(tmp_path: Path, name: str) -> None:
    one = smi("wsl")
    two = replace(one, gpus=(*one.gpus, SmiGpu(1, SECOND_UUID, mig=False)))
    found = way(wsl_host(tmp_path), machine(name), gpu="1", smi=two)
    assert request(found, "nvidia-runtime")["Count"] == -1
    assert isinstance(found, Way)
    assert found.environment["CUDA_VISIBLE_DEVICES"] == "1"
    assert found.environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_an_engine_in_wsl_without_toolkit_gets_the_device_of_wsl(tmp_path: Path) -> None:
    information = {**machine("docker-wsl2-engine"), "Runtimes": {"runc": {}}}
    found = way(wsl_host(tmp_path), information, smi=smi("wsl"))
    assert devices(found) == ["/dev/dxg"]
    assert isinstance(found, Way)
    assert found.library_path == "/usr/lib/wsl/lib"
    assert found.environment["CUDA_VISIBLE_DEVICES"] == "0"


def test_cdi_of_wsl_has_one_device_for_all(tmp_path: Path) -> None:
    kernel = machine("docker-wsl2-engine")["KernelVersion"]
    information = {**machine("docker-27-cdi-on"), "KernelVersion": kernel}
    root = add_spec(wsl_host(tmp_path), driver="1.1", names=("all",))
    found = way(root, information, smi=smi("wsl"))
    assert request(found, "cdi")["DeviceIDs"] == ["nvidia.com/gpu=all"]


def test_docker_desktop_on_linux_has_no_gpu(tmp_path: Path) -> None:
    found = way(linux_host(tmp_path), machine("docker-desktop-linux"))
    assert isinstance(found, NoWay) and "virtual machine" in found.reason


def test_podman_gets_cdi_by_request_and_needs_no_listing(tmp_path: Path) -> None:
    root = add_spec(linux_host(tmp_path), path="var/run/cdi/nvidia.yaml")
    found = way(root, machine("podman-5-selinux"))
    assert request(found, "cdi")["DeviceIDs"] == ["nvidia.com/gpu=0"]


def test_an_older_podman_that_drops_requests_gets_device_nodes(tmp_path: Path) -> None:
    """Podman 4.3.1 started a container without the device that was asked for, and said nothing."""
    found = way(add_spec(linux_host(tmp_path)), machine("podman-4.3"))
    assert "/dev/nvidia1" in devices(found)
    assert isinstance(found, Way) and "no CDI devices (Podman 4.3)" in found.reason


@pytest.mark.parametrize("name", ["docker-20.10-cgroup-v1", "docker-27-plain"])
def test_an_engine_without_cdi_is_not_asked_for_it(tmp_path: Path, name: str) -> None:
    found = way(add_spec(linux_host(tmp_path)), machine(name))
    assert isinstance(found, Way) and found.name == "device-nodes"


def test_a_stale_specification_is_passed_over(tmp_path: Path) -> None:
    root = add_spec(linux_host(tmp_path), driver="570.86.10")
    found = way(root, machine("docker-27-cdi-on"))
    assert isinstance(found, Way) and found.name == "device-nodes"
    assert "CDI specification /etc/cdi/nvidia.yaml is for another driver" in found.reason


def test_a_fresh_specification_beside_a_stale_one_is_taken(tmp_path: Path) -> None:
    root = add_spec(linux_host(tmp_path), driver="570.86.10")
    add_spec(root, path="var/run/cdi/nvidia.yaml")
    assert request(way(root, machine("docker-27-cdi-on")), "cdi")


@pytest.mark.parametrize(("gpu", "name"), [(None, "0"), (UUID, UUID)])
def test_listed_devices_are_asked_for_by_the_name_they_have(
    tmp_path: Path, gpu: str | None, name: str
) -> None:
    found = way(linux_host(tmp_path), machine("docker-28.2-cdi"), gpu=gpu)
    assert request(found, "cdi")["DeviceIDs"] == [f"nvidia.com/gpu={name}"]


def test_a_gpu_that_cdi_does_not_list_is_reached_another_way(tmp_path: Path) -> None:
    for gpu in ("1", SECOND_UUID):
        found = way(linux_host(tmp_path / gpu), machine("docker-28.2-cdi"), gpu=gpu)
        assert isinstance(found, Way) and found.name == "device-nodes"
        assert "no CDI device of this GPU" in found.reason and "GPU-" not in found.reason


def test_a_specification_is_read_for_names_and_driver(tmp_path: Path) -> None:
    add_spec(tmp_path)
    (tmp_path / "etc/cdi/other.json").write_text('{"kind": "vendor.com/net", "devices": []}')
    text = '{"kind": "nvidia.com/gpu", "devices": [{"name": "7"}]}'
    (tmp_path / "etc/cdi/gpu.json").write_text(text)
    json, yaml = find_specs(FOLDERS, tmp_path)
    assert (json.path, json.names, json.drivers) == ("/etc/cdi/gpu.json", {"7"}, set())
    assert yaml.names == {"0", "1", "all"}
    assert yaml.drivers == {DRIVER} and not yaml.is_stale(DRIVER) and yaml.is_stale("570.1.1")
