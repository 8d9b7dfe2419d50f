"""How a container reaches one GPU: the first way that works, with its reason, or why none does.

Reasons go into records, so they name no UUID. The doctor, whose lines do not, lists them.

Three ways, tried in this order: the NVIDIA runtime, CDI, and plain device nodes with the driver's
library folder. On WSL2 the device node is /dev/dxg, and every way shows all GPUs of the host.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.types import DeviceRequest

from harness.host import cdi
from harness.host.engine_traits import EngineTraits
from harness.host.gpu import (
    DRIVER_FOLDERS,
    HostGpu,
    NoWay,
    Way,
    driver_version,
    host_gpus,
)
from harness.host.nvidia_smi import NO_SMI, MigInstance, Smi, is_instance

CONTROL_NODES = ("nvidiactl", "nvidia-uvm")
TOOLS_NODE = "nvidia-uvm-tools"  # for debuggers and profilers of unified memory; passed on if there
WSL_NODE = "dxg"
WSL_FOLDER = "usr/lib/wsl"
CAPABILITIES = "proc/driver/nvidia/capabilities"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The GPU asked for: as it was named (None: the first), and its instance in MIG mode."""

    name: str | None
    instance: MigInstance | None = None

    @property
    def device(self) -> str:
        """As the NVIDIA runtime names it."""
        return self.instance.uuid if self.instance else self.name or "0"


@dataclass(frozen=True, kw_only=True)
class _Host:
    """Where a way is looked for."""

    information: Mapping[str, Any]
    traits: EngineTraits
    is_local: bool
    root: Path
    smi: Smi


def find_way(
    information: Mapping[str, Any],
    *,
    is_local: bool,
    gpu: str | None,
    root: Path = Path("/"),
    smi: Smi = NO_SMI,
) -> Way | NoWay:
    """The first way that works for one GPU (index or UUID, also of a MIG instance; None: first).

    `information` is the engine's own. A remote engine's device nodes cannot be seen from here, so
    only the first two ways are open there; `smi` is of this host and counts for a local one alone.
    """
    traits = EngineTraits.of(information)
    smi = smi if is_local else NO_SMI
    host = _Host(information=information, traits=traits, is_local=is_local, root=root, smi=smi)
    if is_local and (reason := why_unusable(gpu, smi) or _no_driver(root, smi)):
        return NoWay(reason)
    if traits.is_desktop and not traits.is_wsl:
        return NoWay("Docker Desktop runs containers in a virtual machine that has no GPU")
    wanted = find_wanted(gpu, smi)
    if isinstance(wanted, NoWay):
        return wanted
    tried: list[str] = []
    for attempt in (_runtime, _cdi, _device_nodes):
        found = attempt(host, wanted, "; ".join(tried))
        if isinstance(found, Way):
            return found
        tried.append(found.reason)
    return NoWay("; ".join(tried))


def find_wanted(gpu: str | None, smi: Smi) -> Wanted | NoWay:
    """The GPU asked for, or why it cannot compute as it is."""
    if is_instance(gpu):
        named = next((i for i in smi.instances if i.uuid == gpu), None)
        if named is None and smi.is_there:
            count = len(smi.instances)
            return NoWay(f"the one asked for is not among the {count} MIG instances of this host")
        return Wanted(name=gpu, instance=named)
    numbers = [str(listed.index) for listed in smi.gpus]
    if numbers and gpu is not None and gpu.isdecimal() and gpu not in numbers:
        return NoWay(f"GPU {gpu} is not among the {len(numbers)} that nvidia-smi lists")
    split = smi.split_gpu(gpu)
    if split is None:
        return Wanted(name=gpu)
    instances = smi.instances_of(split)
    if not instances:
        return NoWay(f"GPU {split.index} is in MIG mode and has no instance")
    if len(instances) > 1:
        profiles = ", ".join(instance.profile for instance in instances)
        return NoWay(f"GPU {split.index} is split into MIG instances ({profiles}), none is named")
    return Wanted(name=gpu, instance=instances[0])


def local_specs(
    information: Mapping[str, Any], root: Path
) -> tuple[list[cdi.Spec], list[cdi.Spec]]:
    """CDI specifications that a local engine reads, and those of them for another driver."""
    driver = driver_version(root)
    specs = cdi.find_specs(_folders(information), root)
    return specs, [spec for spec in specs if spec.is_stale(driver)]


def why_unusable(gpu: str | None, smi: Smi) -> str | None:
    """Why no program of this host can use the GPU, though a driver is there; None if it can."""
    if smi.is_mismatched:
        return "the driver's libraries and its loaded kernel module are of different versions"
    wanted = find_wanted(gpu, smi)
    return wanted.reason if isinstance(wanted, NoWay) else None


def _no_driver(root: Path, smi: Smi) -> str | None:
    if (
        driver_version(root) is None
        and smi.driver is None
        and not (root / "dev" / WSL_NODE).exists()
    ):
        return "no NVIDIA driver is loaded"
    return None


def _runtime(host: _Host, wanted: Wanted, tried: str) -> Way | NoWay:
    is_listed = "nvidia" in (host.information.get("Runtimes") or {})
    if not is_listed and not (host.traits.is_desktop and host.traits.is_wsl):
        return NoWay("no NVIDIA runtime in the engine")
    reason = "the engine lists the NVIDIA runtime" if is_listed else "Docker Desktop brings it"
    # Through WSL the toolkit passes on all GPUs or none: the choice is left to CUDA.
    chosen: dict[str, Any] = (
        {"count": -1} if host.traits.is_wsl else {"device_ids": [wanted.device]}
    )
    request = DeviceRequest(capabilities=[["gpu", "compute", "utility"]], **chosen)
    visible = _visible(wanted) if host.traits.is_wsl else {}
    return Way(
        name="nvidia-runtime",
        reason=reason,
        host_settings={"device_requests": [request]},
        environment={"NVIDIA_DRIVER_CAPABILITIES": "compute,utility", **visible},
    )


def _cdi(host: _Host, wanted: Wanted, tried: str) -> Way | NoWay:
    traits, root = host.traits, host.root
    if not traits.knows_cdi and traits.version is not None:
        return NoWay(f"no CDI devices ({traits.name} {'.'.join(map(str, traits.version))})")
    specs, stale = local_specs(host.information, root) if host.is_local else ([], [])
    if stale and stale == specs:
        return NoWay(f"CDI specification {stale[0].path} is for another driver")
    names = _cdi_names(host)
    if not names:
        return NoWay("no CDI devices")
    aliases = ["all"] if traits.is_wsl else _aliases(wanted, host.smi)
    name = next((alias for alias in aliases if alias in names), None)
    if name is None:
        return NoWay("no CDI device of this GPU")
    request = DeviceRequest(driver="cdi", device_ids=[f"{cdi.KIND}={name}"])
    return Way(
        name="cdi",
        reason=f"the engine knows {cdi.KIND} devices through CDI; {tried}",
        host_settings={"device_requests": [request]},
        environment=_visible(wanted) if traits.is_wsl else {},
    )


def _cdi_names(host: _Host) -> frozenset[str]:
    """Names of CDI devices: the engine lists them since Docker 28.2, else its folders are read."""
    found = host.information.get("DiscoveredDevices")
    if found is not None:
        ids = [str(device.get("ID", "")).partition("=") for device in found]
        return frozenset(name for kind, _, name in ids if kind == cdi.KIND)
    if not host.is_local:
        return frozenset()
    specs = cdi.find_specs(_folders(host.information), host.root)
    return frozenset(name for spec in specs for name in spec.names)


def _folders(information: Mapping[str, Any]) -> list[str]:
    """Folders that the engine reads: Docker tells of them once CDI is on, Podman always does it."""
    if EngineTraits.of(information).is_podman:
        return list(cdi.FOLDERS)
    return list(information.get("CDISpecDirs") or [])


def _aliases(wanted: Wanted, smi: Smi) -> list[str]:
    """Names under which a specification may list the GPU: index and UUID are both usual."""
    if wanted.instance is not None:
        return [wanted.instance.uuid, f"{wanted.instance.gpu}:{wanted.instance.index}"]
    asked = wanted.name or "0"
    listed = next((gpu for gpu in smi.gpus if asked in (str(gpu.index), gpu.uuid)), None)
    others = [str(listed.index), listed.uuid] if listed else []
    return [asked, *(name for name in others if name != asked)]


def _device_nodes(host: _Host, wanted: Wanted, tried: str) -> Way | NoWay:
    root = host.root
    if not host.is_local:
        return NoWay("a remote engine's device nodes cannot be seen")
    if (root / "dev" / WSL_NODE).exists():
        return _wsl_node(wanted, tried, root)
    chosen = _chosen(wanted, host.smi, root)
    if isinstance(chosen, NoWay):
        return chosen
    nodes = [f"nvidia{chosen.minor}", *CONTROL_NODES, *mig_nodes(chosen, wanted.instance, root)]
    missing = [f"/dev/{name}" for name in nodes if not (root / "dev" / name).exists()]
    if missing:
        return NoWay(f"no device node {', '.join(missing)}")
    nodes += [TOOLS_NODE] if (root / "dev" / TOOLS_NODE).exists() else []
    for folder in DRIVER_FOLDERS:
        for libraries in ("lib64", "lib"):
            if any((root / folder / libraries).glob("libcuda.so*")):
                reason = f"{tried}; device nodes and /{folder} are there"
                return _nodes_way(nodes, folder, libraries, reason, wanted)
    searched = ", ".join(f"/{folder}" for folder in DRIVER_FOLDERS)
    return NoWay(f"the driver's libcuda.so is not under {searched}")


def _chosen(wanted: Wanted, smi: Smi, root: Path) -> HostGpu | NoWay:
    """The GPU whose nodes are passed on."""
    listed, gpu = host_gpus(root), wanted.name
    if wanted.instance is not None:
        gpu = next((g.uuid for g in smi.gpus if g.index == wanted.instance.gpu), gpu)
    chosen = next((g for i, g in enumerate(listed) if gpu in (None, str(i), g.uuid)), None)
    if chosen is not None:
        return chosen
    asked = f"GPU {gpu}" if gpu and gpu.isdecimal() else "the GPU asked for"
    which = f"{asked} is not among the {len(listed)} found" if gpu else "no GPU is found"
    return NoWay(f"{which} in /proc/driver/nvidia/gpus and /dev")


def mig_nodes(gpu: HostGpu, instance: MigInstance | None, root: Path) -> list[str]:
    """Nodes that give access to a MIG instance, by the numbers that the kernel module tells."""
    if instance is None:
        return []
    part = f"gpu{gpu.minor}/mig/gi{instance.gpu_instance}"
    nodes = []
    for path in (f"{part}/access", f"{part}/ci{instance.compute_instance}/access"):
        try:
            text = (root / CAPABILITIES / path).read_text()
        except OSError:
            text = ""
        fields = dict(line.partition(":")[::2] for line in text.splitlines())
        nodes.append(f"nvidia-caps/nvidia-cap{fields.get('DeviceFileMinor', '?').strip()}")
    return nodes


def _wsl_node(wanted: Wanted, tried: str, root: Path) -> Way | NoWay:
    if not any((root / WSL_FOLDER / "lib").glob("libcuda.so*")):
        return NoWay(f"the driver's libcuda.so is not under /{WSL_FOLDER}/lib")
    reason = f"{tried}; /dev/{WSL_NODE} and /{WSL_FOLDER} are there"
    return _nodes_way([WSL_NODE], WSL_FOLDER, "lib", reason, wanted, visible=_visible(wanted))


def _nodes_way(
    nodes: list[str],
    folder: str,
    libraries: str,
    reason: str,
    wanted: Wanted,
    visible: Mapping[str, str] | None = None,
) -> Way:
    instance = {"CUDA_VISIBLE_DEVICES": wanted.instance.uuid} if wanted.instance else {}
    return Way(
        name="device-nodes",
        reason=reason,
        host_settings={
            "devices": [f"/dev/{name}:/dev/{name}:rw" for name in nodes],
            "binds": {f"/{folder}": {"bind": f"/{folder}", "mode": "ro"}},
        },
        environment=visible or instance,
        library_path=f"/{folder}/{libraries}",
    )


def _visible(wanted: Wanted) -> dict[str, str]:
    """The environment in which CUDA sees one GPU of all that are passed on."""
    chosen = {"CUDA_VISIBLE_DEVICES": wanted.device}
    return {**chosen, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}  # as nvidia-smi counts
