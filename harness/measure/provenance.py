"""Where a number comes from: device, software, workload, sandbox. A value or a reason for each.

Each probe answers for one subject and is small. No host name, user name or host path may enter:
identifiers are hashed, paths are cut down to file names.
"""

import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from harness import __version__
from harness.arms import is_variant_arm
from harness.cost import parameters
from harness.job import Job
from harness.measure.devices import Gpu
from harness.measure.findings import Findings
from harness.measure.own_pipeline import own_facts
from harness.measure.process_facts import cpu_model, mapped_library, sandbox_facts
from harness.measure.redact import without_folders
from harness.measure.telemetry import Telemetry
from harness.presets import WorkloadConfig
from harness.privacy import pseudonym
from harness.result import Fact
from harness.variants import resolve
from harness.workload import weights
from harness.workload.streaming import StreamingPipeline

PACKAGES = (
    "flash-attn",
    "msgspec",
    "numpy",
    "nvidia-cudnn-frontend",
    "nvidia-ml-py",
    "safetensors",
    "sageattention",
    "triton",
)
CHECKPOINT_FILES = (weights.GENERATOR_FILE, weights.LORA_FILE, weights.VACE_FILE)
VAE_FILES = {"tae": weights.TAE_FILE, "wanvae": weights.WAN_VAE_FILE}
SDPA_OPERATOR = "aten::_scaled_dot_product"


@dataclass(frozen=True)
class Context:
    """What is known about a case so far; None where it was not reached."""

    job: Job
    config: WorkloadConfig | None
    device: torch.device | None
    gpu: Gpu | None
    telemetry: Telemetry | None
    findings: Findings
    pipeline: StreamingPipeline | None = None


Facts = dict[str, Fact]


def collect(context: Context) -> Facts:
    """All facts that the measured process knows; the host adds its own."""
    facts: Facts = {}
    for probe in PROBES:
        facts |= probe(context)
    return facts


def _gpu(context: Context) -> Facts:
    gpu = context.gpu
    if gpu is None:
        on_cpu = context.job.case.device == "cpu"
        reason = "the case runs on a CPU" if on_cpu else "no GPU was reached"
        return {"gpu.name": Fact(value=None, reason=reason)}
    return {
        "gpu.name": Fact(value=gpu.name),
        "gpu.uuid_hash": Fact(value=pseudonym(gpu.uuid, context.job.salt)),
        "gpu.capability": Fact(value=f"{gpu.capability[0]}.{gpu.capability[1]}"),
        "gpu.memory_total_bytes": Fact(value=gpu.total_bytes),
        "gpu.libcuda": mapped_library("libcuda.so"),
    }


def _nvml(context: Context) -> Facts:
    """What the sampler read before the case: description, idle state, source of the power."""
    telemetry = context.telemetry
    if context.gpu is None or telemetry is None:
        return {}
    ready = telemetry.ready
    if ready is None:
        return {"gpu.telemetry": Fact(value=None, reason=telemetry.reason)}
    facts = {
        name: Fact(value=value, reason=ready.unsupported.get(name) if value is None else None)
        for name, value in ready.facts.items()
    }
    facts |= {
        f"gpu.idle.{name}": Fact(
            value=value, reason=ready.unsupported.get(name) if value is None else None
        )
        for name, value in ready.idle.items()
    }
    link = telemetry.pcie_link
    facts["gpu.pcie"] = (
        Fact(value=None, reason="not read right after a timed block")
        if link is None
        else Fact(value=f"gen {link[0]} x{link[1]}")
    )
    facts["gpu.power_source"] = (
        Fact(value=None, reason="no power reading")
        if telemetry.power_source is None
        else Fact(value=telemetry.power_source)
    )
    return facts


def _system(_: Context) -> Facts:
    return {
        "cpu.model": cpu_model(),
        "cpu.count": Fact(value=len(os.sched_getaffinity(0))),
        "os.kernel": Fact(value=f"{platform.system()} {platform.release()}"),
        "python.version": Fact(value=platform.python_version()),
    }


def _torch(_: Context) -> Facts:
    matmul = torch.backends.cuda.matmul
    cuda = torch.version.cuda
    cudnn = torch.backends.cudnn.version()
    return {
        "torch.version": Fact(value=str(torch.__version__)),
        "torch.cuda": Fact(value=cuda, reason="a build without CUDA" if cuda is None else None),
        "torch.cudnn": Fact(value=cudnn, reason="not in this build" if cudnn is None else None),
        "torch.build_flags": Fact(value=without_folders(" ".join(torch.__config__.show().split()))),
        "torch.threads": Fact(value=torch.get_num_threads()),
        "torch.matmul_precision": Fact(value=torch.get_float32_matmul_precision()),
        "torch.matmul_tf32": Fact(value=matmul.allow_tf32),
        "torch.cudnn_tf32": Fact(value=torch.backends.cudnn.allow_tf32),
        "torch.cudnn_benchmark": Fact(value=torch.backends.cudnn.benchmark),
        "torch.bf16_reduced_precision_reduction": Fact(
            value=str(matmul.allow_bf16_reduced_precision_reduction)
        ),
    }


def _packages(_: Context) -> Facts:
    facts = {"package.vace-bench": Fact(value=__version__)}
    for name in PACKAGES:
        found = next(iter(importlib.metadata.distributions(name=name)), None)
        facts[f"package.{name}"] = (
            Fact(value=None, reason="not installed") if found is None else Fact(value=found.version)
        )
    return facts


def _attention(context: Context) -> Facts:
    if context.config is None:
        return {}
    choice, case = context.config.attention, context.job.case
    capability = context.gpu.capability if context.gpu else None
    place = f"compute capability {capability[0]}.{capability[1]}" if capability else "a CPU"
    return {
        "attention.cached_self": Fact(value=choice.cached_self),
        "attention.cross": Fact(value=choice.cross),
        "attention.vace_self": Fact(value=choice.vace_self),
        "attention.chosen_by": Fact(
            value=f"the stated default for {place}"
            if case.attention == "default"
            else f"the case's setting '{case.attention}' for the cached self-attention"
        ),
        "attention.sdpa_kernel": _sdpa_kernel(context),
    }


def _sdpa_kernel(context: Context) -> Fact:
    """Which kernel SDPA took, by the names in the count pass."""
    counted, config = context.findings.count_pass, context.config
    if counted is None:
        return Fact(value=None, reason="the case has no count pass")
    operators = [o.name for o in counted.operators if o.name.startswith(SDPA_OPERATOR)]
    roles = ("cached_self", "cross", "vace_self")
    used = [r for r in roles if config is not None and getattr(config.attention, r) == "sdpa"]
    kernels = {name for role in used for name in counted.attention_kernels.get(role, [])}
    if not operators:
        return Fact(value=None, reason="no SDPA operator was seen in the count pass")
    named = f"; kernels: {', '.join(sorted(kernels))}" if kernels else ""
    return Fact(value=", ".join(sorted(operators)) + named)


def _own(context: Context) -> Facts:
    case = context.job.case
    if not case.pipeline:
        return {}
    own = own_facts(case, context.job.pipeline, context.pipeline)
    return {**own, "measure.stop": _stop(context)}


def _stop(context: Context) -> Fact:
    reason = context.findings.stop_reason
    return Fact(value=reason, reason=None if reason else "no timed block was finished")


def _workload(context: Context) -> Facts:
    config, case = context.config, context.job.case
    if config is None:
        return {}
    facts = {
        "workload.dtype": Fact(value=config.dtype),
        "workload.seed": Fact(value=config.seed),
        "weights.source": Fact(
            value=f"seeded random values (seed {config.seed})"
            if case.weights == "seeded"
            else "checkpoint"
        ),
        "measure.stop": _stop(context),
    }
    for variant in (case.variant, *filter(is_variant_arm, case.arms)):
        fixes = [fix.name for fix in resolve(variant)]
        if len(fixes) > 1:  # what a name stands for may change from commit to commit
            facts[f"workload.fixes.{variant}"] = Fact(value=", ".join(fixes))
    for part, count in parameters(config).items():
        facts[f"workload.parameters.{part}"] = Fact(value=count)
    if case.weights == "checkpoint" and context.job.weights_dir is not None:
        folder = Path(context.job.weights_dir)
        for name in (*CHECKPOINT_FILES, VAE_FILES[config.vae]):
            facts[f"weights.sha256.{name}"] = _file_hash(folder / name)
    return facts


def _sandbox(_: Context) -> Facts:
    return sandbox_facts()


def _file_hash(path: Path) -> Fact:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(2**24):
                digest.update(block)
    except OSError as error:
        return Fact(value=None, reason=f"cannot be read ({error.strerror})")
    return Fact(value=digest.hexdigest())


PROBES: tuple[Callable[[Context], Facts], ...] = (
    _gpu,
    _nvml,
    _system,
    _torch,
    _packages,
    _attention,
    _workload,
    _own,
    _sandbox,
)
