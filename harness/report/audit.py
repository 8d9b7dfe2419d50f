"""Every stored report checked again: numbers with sources, templates without, provenance complete.

Called by `invoke lint`, so that a number that no record backs, or a record that does not say where
it comes from, fails like an error of style does.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.errors import ReportError
from harness.report.lint import UnsourcedNumberError, check_template, check_view
from harness.report.templates import TEMPLATES, environment
from harness.report.view import build
from harness.result import Result
from harness.run import Run
from harness.store import RunFolder, result_name, runs

# What every record states, as a value or as the reason why there is none.
REQUIRED = (
    "cpu.count",
    "cpu.model",
    "engine.gpu_way",
    "engine.version",
    "git.commit",
    "git.dirty",
    "gpu.name",
    "harness.version",
    "host.cpu",
    "host.kernel",
    "image.id",
    "measure.stop",
    "os.kernel",
    "package.sageattention",
    "package.triton",
    "python.version",
    "torch.build_flags",
    "torch.cuda",
    "torch.cudnn",
    "torch.threads",
    "torch.version",
    "workload.dtype",
    "workload.seed",
)
REQUIRED_OF_BUILT_IN = (
    "attention.cached_self",
    "attention.chosen_by",
    "attention.cross",
    "attention.sdpa_kernel",
    "attention.vace_self",
    "weights.source",
)
REQUIRED_OF_OWN = ("pipeline.file", "pipeline.sha256")
REQUIRED_OF_GPU = ("gpu.capability", "gpu.libcuda", "gpu.memory_total_bytes", "gpu.uuid_hash")
# What the sampler reads; where it could not start, the fact `gpu.telemetry` says why.
REQUIRED_OF_SAMPLER = (
    "gpu.compute_mode",
    "gpu.cuda_driver_version",
    "gpu.driver",
    "gpu.ecc",
    "gpu.max_sm_clock_mhz",
    "gpu.mig",
    "gpu.pcie",
    "gpu.persistence",
    "gpu.power_limit_w",
    "gpu.power_source",
    "gpu.vbios",
)
NO_SAMPLER = "gpu.telemetry"
REQUIRED_OF_CONTAINER = (
    "container.capabilities",
    "container.lockdown",
    "container.network",
    "container.no_new_privileges",
    "container.read_only_root",
    "container.seccomp",
    "container.user",
    "image.base",
    "image.base_digest",
    "image.lock_sha256",
    "image.torch_requirement",
    "torch.source",
    "torch.wheel_sha256",
)


def check_reports(reports: Path, templates: Path = TEMPLATES) -> None:
    """Every template, and of every run under `reports` its view and its records' provenance.

    Raises ReportError for the first thing found, RecordError for a damaged record.
    """
    check_templates(templates)
    for path in runs(reports):
        run = RunFolder(path).load()
        try:
            check_view(build(run).view, path)
        except UnsourcedNumberError as error:
            raise ReportError(
                f"report of run {path.name}: {error}", next_step="name the number's source"
            ) from error
        for result in run.finished:
            check_provenance(run, result)


def check_templates(templates: Path) -> None:
    """Raises ReportError for a number in the words of a template."""
    jinja = environment(templates)
    try:
        for path in sorted(templates.glob("*.j2")):
            check_template(jinja, path.name)
    except UnsourcedNumberError as error:
        raise ReportError(
            f"template {error}", next_step="print it from a cell with a source"
        ) from error


def check_provenance(run: Run, result: Result) -> None:
    """Raises ReportError for a required fact with neither a value nor a reason."""
    for key in _unstated(result, required(run, result)):
        raise ReportError(
            f"run {run.path.name}: {result_name(result.case_id, result.process)} states neither "
            f"{key} nor why it is not known",
            next_step="a record must say where its numbers come from",
        )


def required(run: Run, result: Result) -> tuple[str, ...]:
    """The facts that a record must state, by where it was measured."""
    keys: tuple[str, ...] = REQUIRED
    keys += REQUIRED_OF_OWN if result.case.pipeline else REQUIRED_OF_BUILT_IN
    if result.case.device == "cuda":
        sampled = NO_SAMPLER not in result.provenance
        keys += REQUIRED_OF_GPU + (REQUIRED_OF_SAMPLER if sampled else (NO_SAMPLER,))
    if run.manifest.runtime == "docker" and not result.case.bare:
        keys += REQUIRED_OF_CONTAINER
    return keys


def _unstated(result: Result, keys: Iterable[str]) -> Iterator[str]:
    for key in keys:
        fact = result.provenance.get(key)
        if fact is None or (fact.value is None and not fact.reason):
            yield key
