"""Which device a case runs on, and the workload it gets there.

CUDA and NVML number GPUs differently, so the two are joined by UUID.
"""

import dataclasses
from dataclasses import dataclass

import torch

from harness.cost_case import cost_config
from harness.errors import DeviceError, UsageError
from harness.matrix import Case
from harness.presets import WorkloadConfig
from harness.workload import attention

BFLOAT16_CAPABILITY = (8, 0)  # the least, by NVIDIA's table of types and compute capabilities


@dataclass(frozen=True)
class Gpu:
    """One CUDA device."""

    index: int
    name: str
    uuid: str  # GPU-..., as NVML and nvidia-smi write it
    total_bytes: int
    capability: tuple[int, int]


def list_gpus() -> list[Gpu]:
    """All CUDA devices that torch sees; none where CUDA cannot be used."""
    if not torch.cuda.is_available():
        return []
    gpus = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        gpus.append(
            Gpu(
                index=index,
                name=properties.name,
                uuid=with_prefix(str(properties.uuid)),
                total_bytes=properties.total_memory,
                capability=(properties.major, properties.minor),
            )
        )
    return gpus


def with_prefix(uuid: str) -> str:
    """A GPU's UUID as NVML writes it; torch leaves the prefix out.

    A MIG instance has its own UUID, which torch does not tell from a GPU's.
    """
    return uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"


def choose_gpu(gpus: list[Gpu], wanted: str | None) -> Gpu:
    """The GPU by index or UUID (its beginning is enough); None stands for the first.

    Raises DeviceError without any GPU and UsageError for one that is not there.
    """
    if not gpus:
        raise DeviceError(why_no_cuda(), next_step="use --device cpu, or see `invoke doctor`")
    if wanted is None:
        return gpus[0]
    if wanted.isdecimal():
        found = [gpu for gpu in gpus if gpu.index == int(wanted)]
    else:
        number = with_prefix(wanted).partition("-")[2]
        found = [gpu for gpu in gpus if gpu.uuid.partition("-")[2].startswith(number)]
    if len(found) != 1:
        names = ", ".join(f"{gpu.index} ({gpu.name})" for gpu in gpus)
        problem = "is ambiguous" if found else "is not there"
        raise UsageError(f"GPU '{wanted}' {problem}", next_step=f"choose one of {names}")
    return found[0]


def why_no_cuda() -> str:
    """The reason in torch's own words where it has one."""
    if torch.version.cuda is None:
        return f"no GPU can be used: torch {torch.__version__} is a build without CUDA"
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return f"no GPU can be used: {str(error).splitlines()[0]}"
    return "no GPU can be used: torch sees none"


def check_build(gpu: Gpu) -> None:
    """Raises DeviceError if this torch holds no code for the GPU's compute capability."""
    built = torch.cuda.get_arch_list()
    if not architecture_fits(gpu.capability, built):
        major, minor = gpu.capability
        raise DeviceError(
            f"{gpu.name} has compute capability {major}.{minor}, but torch {torch.__version__} is "
            f"built for {', '.join(built) or 'none'}",
            next_step="use another torch build or GPU",
        )


def check_type(dtype: str, gpu: Gpu) -> None:
    """Raises DeviceError for a case of bfloat16 on a GPU that has none."""
    if dtype == "bfloat16" and gpu.capability < BFLOAT16_CAPABILITY:
        major, minor = gpu.capability
        raise DeviceError(
            f"{gpu.name} has compute capability {major}.{minor} and no bfloat16",
            next_step="run float16 cases with --dtype float16, or take a GPU of 8.0 or newer",
        )


def architecture_fits(capability: tuple[int, int], built: list[str]) -> bool:
    """Whether machine code of the same generation, or PTX of an older one, is in the build."""
    for entry in built:
        kind, _, digits = entry.partition("_")
        number = "".join(character for character in digits if character.isdigit())
        if len(number) < 2:
            continue
        version = (int(number[:-1]), int(number[-1]))
        if version == capability:
            return True
        if not digits.isdecimal() or version > capability:
            continue  # e.g. sm_90a runs on 9.0 alone
        if kind == "compute" or version[0] == capability[0]:
            return True
    return False


def select(case: Case, wanted: str | None) -> tuple[torch.device, Gpu | None]:
    """The device of a case. The GPU is not touched yet, so that its idle state can be read."""
    if case.device == "cpu":
        return torch.device("cpu"), None
    gpu = choose_gpu(list_gpus(), wanted)
    check_build(gpu)
    if not case.pipeline:
        check_type(case.dtype, gpu)
    return torch.device("cuda", gpu.index), gpu


def workload_config(case: Case, capability: tuple[int, int] | None) -> WorkloadConfig:
    """The workload of a case on a device of this compute capability (None: a CPU)."""
    return dataclasses.replace(
        cost_config(case),
        attention=attention.resolve(case.attention, capability),
        seed=case.seed,
    )
