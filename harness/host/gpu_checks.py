"""Obstacles on the side of the GPU: driver, device nodes, MIG, WSL. Read, never changed."""

from pathlib import Path

from harness.errors import DeviceError
from harness.host.gpu import (
    DRIVER_FOLDERS,
    Way,
    check_driver,
    driver_version,
    host_gpus,
    library_versions,
)
from harness.host.site import Site
from harness.host.told import Told, note, problem
from harness.host.ways import CONTROL_NODES, Wanted, find_wanted, mig_nodes

PCI_DEVICES = "sys/bus/pci/devices"
NVIDIA = "0x10de"
DISPLAY_CLASSES = ("0x0300", "0x0302")  # VGA and 3D controllers
OPEN_TO_ALL = 0o006
FORWARD = (
    "a data-centre GPU may also run it through NVIDIA's forward-compatibility package "
    "(cuda-compat) in the base image, which is not tried here"
)


def no_driver(site: Site) -> Told | None:
    """No driver is loaded: a GPU may be there or not."""
    if not site.is_here or site.driver is not None or site.smi.is_mismatched or site.is_wsl:
        return None
    if _gpus_on_the_bus(site.root):
        return problem(
            "an NVIDIA GPU is on the bus, but no driver is loaded",
            "install the driver; if it is installed, `sudo modprobe nvidia` says what keeps it "
            "(nouveau, or a module that Secure Boot does not trust)",
        )
    return note("no NVIDIA driver on this host", "needed for a GPU only")


def driver_mismatch(site: Site) -> Told | None:
    """NVML's error 18: the libraries were updated below a loaded kernel module."""
    if not site.is_here or not site.smi.is_mismatched:
        return None
    loaded = driver_version(site.root) or "unknown"
    return problem(
        f"the kernel module in use is {loaded}, the driver's libraries are newer or older "
        "(NVML error 18)",
        "reboot, so that the module of the installed driver is loaded",
    )


def libraries_differ(site: Site) -> Told | None:
    """The same by the files' names, where nvidia-smi cannot be asked: they may lie elsewhere."""
    loaded, found = driver_version(site.root), library_versions(site.root)
    if not site.is_here or site.smi.is_there or loaded is None or not found or loaded in found:
        return None
    return note(
        f"the kernel module is {loaded}, libcuda.so is {', '.join(sorted(found))}",
        "reboot if the driver was updated",
    )


def smi_fails(site: Site) -> Told | None:
    """nvidia-smi is there and does not answer for another reason."""
    failure = site.smi.failure
    if not site.is_here or failure is None or site.smi.is_mismatched:
        return None
    return note(f"nvidia-smi says: {failure}", "see `dmesg | grep -i nvrm` on the host")


def torch_without_cuda(site: Site) -> Told | None:
    """The image would hold a torch for CPUs, and there is a GPU to measure."""
    if not _image_meets_gpu(site) or site.cuda_major != 0:
        return None
    return _told(site)


def driver_too_old(site: Site) -> Told | None:
    """The image's CUDA wants a newer driver."""
    if not _image_meets_gpu(site) or site.cuda_major == 0:
        return None
    return _told(site, FORWARD)


def wsl_1(site: Site) -> Told | None:
    """The first WSL has no Linux kernel, so no GPU."""
    if not site.is_here or not site.is_wsl or "wsl2" in site.kernel.lower() or _dxg(site):
        return None
    return problem(
        f"this is WSL 1 or has no GPU (kernel {site.kernel})",
        "in Windows: `wsl --set-version DISTRIBUTION 2`, then `wsl --update`",
    )


def wsl_without_gpu(site: Site) -> Told | None:
    """WSL 2 without the device, or without the Windows driver's libraries."""
    if not site.is_here or not site.is_wsl or "wsl2" not in site.kernel.lower():
        return None
    has_library = any((site.root / "usr/lib/wsl/lib").glob("libcuda.so*"))
    missing = [] if _dxg(site) else ["/dev/dxg"]
    missing += [] if has_library else ["/usr/lib/wsl/lib/libcuda.so"]
    if not missing:
        return None
    return problem(
        f"WSL 2 has no {' and no '.join(missing)}",
        "install NVIDIA's driver in Windows (none inside WSL), then `wsl --update` and "
        "`wsl --shutdown`",
    )


def wsl_telemetry(site: Site) -> Told | None:
    """NVML tells less there; what it leaves out is null in the record, with its reason."""
    has_gpu = isinstance(site.way, Way)
    if not has_gpu or not (site.traits.is_wsl or (site.is_local and site.is_wsl)):
        return None
    return note(
        "under WSL, NVML tells less of clocks, power and throttling, and Windows uses the GPU too",
        "read the report's section on the GPU's state before trusting small differences",
    )


def mig_unknown(site: Site) -> Told | None:
    """An instance was asked for that is not there."""
    asked = site.gpu if site.is_here and site.smi.is_there else None
    known = [instance.uuid for instance in site.smi.instances]
    if asked is None or not asked.startswith("MIG-") or asked in known:
        return None
    there = ", ".join(known) or "none"
    return problem(f"{asked} is not among the MIG instances here", f"choose one of: {there}")


def mig_without_instance(site: Site) -> Told | None:
    """MIG mode without an instance: nothing can compute on that GPU."""
    split = site.smi.split_gpu(site.gpu) if site.is_here else None
    if split is None or site.smi.instances_of(split):
        return None
    return problem(
        f"GPU {split.index} is in MIG mode and has no instance, so nothing can compute on it",
        "an administrator must create one (`nvidia-smi mig -cgi ... -C`) or end MIG mode; "
        "this program never does",
    )


def mig_choice(site: Site) -> Told | None:
    """Several instances: one must be named, for none is like another."""
    split = site.smi.split_gpu(site.gpu) if site.is_here else None
    instances = site.smi.instances_of(split) if split else []
    if split is None or len(instances) < 2:
        return None
    names = ", ".join(f"{i.uuid} ({i.profile})" for i in instances)
    return problem(
        f"GPU {split.index} is split into {len(instances)} MIG instances",
        f"choose one with --gpu: {names}",
    )


def mig_access(site: Site) -> Told | None:
    """Plain device nodes need those of the instance's capabilities as well."""
    wanted = _instance(site)
    if wanted is None or wanted.instance is None or isinstance(site.way, Way):
        return None
    uuid = next((g.uuid for g in site.smi.gpus if g.index == wanted.instance.gpu), None)
    gpu = next((g for g in host_gpus(site.root) if g.uuid == uuid), None)
    nodes = mig_nodes(gpu, wanted.instance, site.root) if gpu else []
    missing = [f"/dev/{name}" for name in nodes if not (site.root / "dev" / name).exists()]
    if not missing:
        return None
    return problem(
        f"no device node {', '.join(missing)} for the MIG instance",
        "`sudo nvidia-modprobe -f /proc/driver/nvidia/capabilities/...` makes them, as the NVIDIA "
        "container toolkit does",
    )


def mig_telemetry(site: Site) -> Told | None:
    """What is known of an instance, and what only of the whole GPU."""
    wanted = _instance(site)
    if wanted is None or wanted.instance is None or not isinstance(site.way, Way):
        return None
    return note(
        f"runs on MIG instance {wanted.instance.profile}: clocks and temperatures are the whole "
        "GPU's, power, energy and utilisation are not told",
        "keep the GPU's other instances idle, which share its clock and power",
    )


def nodes_missing(site: Site) -> Told | None:
    """The driver is loaded, and /dev lacks what CUDA opens."""
    if not site.is_here or driver_version(site.root) is None or site.is_wsl:
        return None
    names = [f"nvidia{gpu.minor}" for gpu in host_gpus(site.root)[:1]] + list(CONTROL_NODES)
    missing = [f"/dev/{name}" for name in names if not (site.root / "dev" / name).exists()]
    if not missing:
        return None
    # The NVIDIA runtime makes them itself when a container starts.
    kind = note if isinstance(site.way, Way) else problem
    return kind(
        f"no device node {', '.join(missing)}",
        "`sudo nvidia-modprobe -c 0 -u`, or `sudo modprobe nvidia-uvm` where udev makes the nodes",
    )


def nodes_closed(site: Site) -> Told | None:
    """Cases run as user 1000 without groups: the nodes must be open to everyone."""
    if not site.is_here or not site.has_engine or driver_version(site.root) is None:
        return None
    names = [f"nvidia{gpu.minor}" for gpu in host_gpus(site.root)[:1]] + list(CONTROL_NODES)
    files = [site.root / "dev" / name for name in names]
    closed = [f"/dev/{f.name}" for f in files if f.exists() and not _is_open(f)]
    if not closed:
        return None
    return problem(
        f"{', '.join(closed)} cannot be opened by a container's ordinary user",
        "the driver's default is mode 0666 (NVreg_DeviceFileMode): remove the rule that changes it",
    )


def libraries_not_found(site: Site) -> Told | None:
    """Without the toolkit the driver's libraries must lie in a folder of their own."""
    is_without = isinstance(site.way, Way) or not site.has_engine or not site.is_local
    if is_without or driver_version(site.root) is None or site.is_wsl:
        return None
    places = [site.root / folder / name for folder in DRIVER_FOLDERS for name in ("lib64", "lib")]
    if any(any(place.glob("libcuda.so*")) for place in places):
        return None
    folders = ", ".join(f"/{folder}" for folder in DRIVER_FOLDERS)
    return note(
        f"no libcuda.so under {folders}: the system's library folder is not given to a container",
        "install the NVIDIA container toolkit, which picks out the driver's files",
    )


def _image_meets_gpu(site: Site) -> bool:
    return site.is_here and site.driver is not None


def _told(site: Site, more: str = "") -> Told | None:
    try:
        check_driver(site.driver, site.cuda_major, site.image)
    except DeviceError as error:
        remedy = f"{error.next_step}; {more}" if more else error.next_step
        return problem(error.what, remedy)
    return None


def _gpus_on_the_bus(root: Path) -> bool:
    return any(
        (device / "vendor").read_text().strip() == NVIDIA
        and (device / "class").read_text().startswith(DISPLAY_CLASSES)
        for device in (root / PCI_DEVICES).glob("*")
    )


def _instance(site: Site) -> Wanted | None:
    found = find_wanted(site.gpu, site.smi) if site.is_here else None
    return found if isinstance(found, Wanted) else None


def _dxg(site: Site) -> bool:
    return (site.root / "dev/dxg").exists()


def _is_open(file: Path) -> bool:
    return file.stat().st_mode & OPEN_TO_ALL == OPEN_TO_ALL
