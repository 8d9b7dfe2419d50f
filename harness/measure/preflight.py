"""Questions before the first case: which devices are there, do the cases fit, do the weights load.

Every answer is one line, the most important first. A line that begins with "note: " does not stop
a run.
"""

import importlib
import itertools
import os
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import torch

from harness.arms import is_variant_arm
from harness.cost_fit import misfits, tight
from harness.errors import HarnessError
from harness.job import NOTE, Devices, GpuDevice, PreflightRequest
from harness.matrix import Case
from harness.measure.devices import (
    Gpu,
    architecture_fits,
    check_type,
    choose_gpu,
    list_gpus,
    why_no_cuda,
    workload_config,
)
from harness.measure.flags import idle_flags
from harness.measure.gpu_probe import GpuProbe, NoTelemetryError, Number, ProbeError
from harness.variants import Fix, resolve
from harness.workload.attention import Attention
from harness.workload.build import check_weights

NO_TELEMETRY = "no telemetry"

Readings = dict[str, str | Number | None]


def preflight(request: PreflightRequest) -> Devices:
    """The devices, and every problem found with running the request's cases on them."""
    gpus = list_gpus()
    readings = {gpu.uuid: _read_nvml(gpu) for gpu in gpus}
    devices = [_device(gpu, readings[gpu.uuid]) for gpu in gpus]
    problems = list(_problems(request, gpus, devices, readings))
    return Devices(
        torch_version=str(torch.__version__),
        torch_cuda=torch.version.cuda,
        gpus=devices,
        problems=[line for line in problems if not line.startswith(NOTE)]
        + [line for line in problems if line.startswith(NOTE)],
        python_version=platform.python_version(),
        cpu_count=len(os.sched_getaffinity(0)),
    )


def _problems(
    request: PreflightRequest,
    gpus: list[Gpu],
    devices: list[GpuDevice],
    readings: dict[str, Readings],
) -> Iterator[str]:
    on_gpu = [case for case in request.cases if case.device == "cuda"]
    built_in = [case for case in on_gpu if not case.pipeline]  # of others nothing is known
    gpu: Gpu | None = None
    if on_gpu and not gpus:
        yield why_no_cuda()
        on_gpu = []
    elif on_gpu:
        try:
            gpu = choose_gpu(gpus, request.gpu)
        except HarnessError as error:
            yield error.line
            on_gpu = []
    if gpu is not None:
        yield from _gpu_problems(gpu, readings[gpu.uuid])
        device = next(device for device in devices if device.uuid == gpu.uuid)
        yield from type_problems(built_in, gpu)
        yield from memory_problems(built_in, device.free_bytes)
        yield from _backend_problems(built_in, gpu)
        yield from variant_problems(built_in, gpu.name, gpu.capability)
    yield from _weight_problems(request, gpu.capability if gpu else None)


def _gpu_problems(gpu: Gpu, readings: Readings) -> Iterator[str]:
    built = torch.cuda.get_arch_list()
    if not architecture_fits(gpu.capability, built):
        major, minor = gpu.capability
        yield (
            f"{gpu.name} has compute capability {major}.{minor}, but torch {torch.__version__} is "
            f"built for {', '.join(built) or 'none'}"
        )
    if NO_TELEMETRY in readings:
        yield f"{NOTE}the GPU's state cannot be sampled: {readings[NO_TELEMETRY]}"
    state = {name: value for name, value in readings.items() if not isinstance(value, str)}
    yield from (NOTE + flag for flag in idle_flags(state))


def memory_problems(cases: list[Case], free_bytes: int) -> Iterator[str]:
    """Cases that the free memory is too small for, with smaller ones; a note where it is tight."""
    lines = list(misfits(cases, free_bytes))
    yield from lines or [NOTE + line for line in tight(cases, free_bytes)]


def type_problems(cases: list[Case], gpu: Gpu) -> Iterator[str]:
    """A GPU without bfloat16 cannot run the cases that want it; told with the first of them."""
    lines = (line for case in cases if (line := _type_problem(case, gpu)) is not None)
    yield from itertools.islice(lines, 1)


def _type_problem(case: Case, gpu: Gpu) -> str | None:
    try:
        check_type(case.dtype, gpu)
    except HarnessError as error:
        return f"{case.id}: {error.line}"
    return None


def variant_problems(cases: list[Case], name: str, capability: tuple[int, int]) -> Iterator[str]:
    """Fixes that this GPU or installation cannot have, each named once with its case."""
    told: set[str] = set()
    for case in cases:
        for variant in (case.variant, *filter(is_variant_arm, case.arms)):
            for fix in resolve(variant):
                lack = None if fix.name in told else _lack(fix, name, capability)
                if lack is not None:
                    told.add(fix.name)
                    yield f"{case.id}: fix '{fix.name}' needs {lack}"


def _lack(fix: Fix, name: str, capability: tuple[int, int]) -> str | None:
    """What a fix needs and does not find, and what to do then."""
    if fix.least_capability > capability:
        (major, minor), (has_major, has_minor) = fix.least_capability, capability
        has = f"{name} has {has_major}.{has_minor}"
        return f"compute capability {major}.{minor}, {has}; leave the case out with --only"
    if fix.package is not None and not _is_installed(fix.package):
        return f"{fix.package}, which is not installed; build the image anew, or install it"
    return None


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _backend_problems(cases: list[Case], gpu: Gpu) -> Iterator[str]:
    """Attention backends that cannot run here, each named once."""
    told: set[str] = set()
    for case in cases:
        line = _backend_problem(case, gpu)
        if line is not None and line not in told:
            told.add(line)
            yield f"{case.id}: {line}"


def _backend_problem(case: Case, gpu: Gpu) -> str | None:
    config = workload_config(case, gpu.capability)
    device = torch.device("cuda", gpu.index)
    try:
        Attention.load(config.attention, device=device, head_dim=config.model.head_dim)
    except HarnessError as error:
        return error.line
    return None


def _weight_problems(
    request: PreflightRequest, capability: tuple[int, int] | None
) -> Iterator[str]:
    """Checkpoints that are missing, truncated or misshapen; each combination is read once."""
    wanted = {
        (case.preset, case.vae): case for case in request.cases if case.weights == "checkpoint"
    }
    for case in wanted.values():
        if request.weights_dir is None:
            yield "a case wants checkpoint weights but no folder was given; use --weights DIR"
            return
        line = _weight_problem(case, Path(request.weights_dir), capability)
        if line is not None:
            yield line


def _weight_problem(case: Case, folder: Path, capability: tuple[int, int] | None) -> str | None:
    config = workload_config(case, capability if case.device == "cuda" else None)
    try:
        check_weights(config, folder)
    except HarnessError as error:
        return error.line
    return None


def _read_nvml(gpu: Gpu) -> Readings:
    """What NVML says about a GPU, or why it cannot be asked."""
    try:
        probe = GpuProbe(importlib.import_module("pynvml"), gpu.uuid)
        return {**probe.describe(), **probe.sample()}
    except (ImportError, NoTelemetryError, ProbeError) as error:
        return {NO_TELEMETRY: str(error)}


def _free_bytes(gpu: Gpu, readings: Readings) -> int:
    """Free memory as a case will find it.

    Asking CUDA makes a context in this process, some 0.5 GiB that the case does not pay for: NVML
    was asked before, and is asked again.
    """
    free_bytes = torch.cuda.mem_get_info(gpu.index)[0]
    before, after = (r.get("memory_used_bytes") for r in (readings, _read_nvml(gpu)))
    if isinstance(before, int) and isinstance(after, int):
        free_bytes += max(after - before, 0)
    return free_bytes


def _device(gpu: Gpu, readings: Readings) -> GpuDevice:
    driver, busy = readings.get("gpu.driver"), readings.get("utilisation_percent")
    return GpuDevice(
        index=gpu.index,
        name=gpu.name,
        uuid=gpu.uuid,
        total_bytes=gpu.total_bytes,
        free_bytes=_free_bytes(gpu, readings),
        capability=gpu.capability,
        driver=None if driver is None else str(driver),
        utilisation_percent=None if busy is None else int(float(busy)),
    )
