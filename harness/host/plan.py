"""The plan of a run: which cases, where, fed with what. Settled before anything is built."""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import UsageError
from harness.expansion import Settings, expand, matching
from harness.host.checkpoints import check_folder
from harness.host.choice import Choice, Surroundings, choose, no_such_gpu
from harness.host.gpu import check_driver, host_gpus, image_cuda_major
from harness.host.options import BenchOptions
from harness.host.own_pipeline import OwnPipeline, prepare_pipeline
from harness.host.processes import LocalRunner
from harness.host.runner import Runner
from harness.job import ClipFile, Devices, PreflightRequest
from harness.matrices import load_matrix
from harness.matrix import Case, Process
from harness.run import Manifest, slug

STAMP = "%Y%m%d-%H%M%S"  # of a run's id, in UTC
STAMP_LENGTH = len("20261123-080000")
PreparedClips = dict[tuple[int, int], tuple[list[ClipFile], list[Path]]]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What will be run. `clips` holds the decoded files of each frame size."""

    run_id: str
    matrix: str
    choice: Choice
    cases: list[Case]
    clips: PreparedClips
    weights: Path | None
    pipeline: OwnPipeline | None = None


def new_plan(
    options: BenchOptions,
    look: Callable[[str | None], Surroundings],
    project: Path,
    folder: Path,
) -> Plan:
    """The plan of a new run; decoded clips go into `folder`. Raises HarnessError."""
    matrix = load_matrix(options.matrix_name)
    pipeline = _pipeline(options, folder)
    weights = _weights(options)
    choice = choose(options.runtime, options.device, look(options.gpu), asked=options.asked)
    if choice.runtime == "local" and choice.device == "cuda" and options.device == "auto":
        runner = LocalRunner(project=project, gpu=options.gpu)
        choice = _confirm_local_gpu(choice, runner, options.gpu)
    settings = Settings(
        preset=choice.preset if options.preset == "auto" else options.preset,
        device=choice.device,
        size=options.size,
        weights="checkpoint" if weights else "seeded",
        only=options.only,
        variant=options.variant,
        dtype=options.dtype,
        processes=options.process_count,
        pipeline=pipeline.name if pipeline else "",
        pipeline_sha256=pipeline.sha256 if pipeline else "",
    )
    cases = expand(matrix, settings)
    _check_image_driver(choice, options)
    return Plan(
        run_id=new_run_id(matrix.name),
        matrix=matrix.name,
        choice=choice,
        cases=cases,
        clips=_clips(options, cases, folder),
        weights=weights,
        pipeline=pipeline,
    )


def resumed_plan(
    manifest: Manifest,
    options: BenchOptions,
    look: Callable[[str | None], Surroundings],
    folder: Path,
) -> Plan:
    """The plan of a run that goes on: its own cases, runtime and device. Raises HarnessError."""
    weights = _weights(options)
    if manifest.cases[0].weights == "checkpoint" and weights is None:
        raise UsageError(
            f"run {manifest.run_id} was started with checkpoints", next_step="give --weights again"
        )
    pipeline = same_pipeline(manifest, options, folder)
    choice = choose(manifest.runtime, manifest.cases[0].device, look(options.gpu))
    _check_image_driver(choice, options)
    return Plan(
        run_id=manifest.run_id,
        matrix=manifest.matrix,
        choice=replace(choice, reason=manifest.runtime_reason),
        cases=manifest.cases,
        clips=_clips(options, manifest.cases, folder),
        weights=weights,
        pipeline=pipeline,
    )


def narrowed(todo: Sequence[Process], options: BenchOptions, manifest: Manifest) -> list[Process]:
    """What of a run's missing processes `--only` asks for now; its plan stays what it is.

    Raises UsageError for a pattern that matches no case of the run.
    """
    ids = dict.fromkeys(case.id for case in manifest.cases)
    kept = matching(ids, options.only, of=f"run {manifest.run_id}")
    return [process for process in todo if process.case.id in kept]


def repeated_plan(
    manifest: Manifest,
    options: BenchOptions,
    look: Callable[[str | None], Surroundings],
    folder: Path,
) -> Plan:
    """The plan of a new run with the cases, runtime and device of an earlier one."""
    plan = resumed_plan(manifest, options, look, folder)
    reason = f"as run {manifest.run_id}, which it repeats"
    return replace(
        plan, run_id=new_run_id(manifest.matrix), choice=replace(plan.choice, reason=reason)
    )


def new_run_id(matrix: str) -> str:
    """The id of a run of this matrix that begins now."""
    return f"{datetime.datetime.now(datetime.timezone.utc):{STAMP}}-{matrix}"


def free_run_id(run_id: str, reports: Path) -> str:
    """The id, or one of the next seconds where there is such a run already.

    That is so where the clock was set back, or where a run ended within the second.
    """
    stamp, name = run_id[:STAMP_LENGTH], run_id[STAMP_LENGTH + 1 :]
    moment = datetime.datetime.strptime(stamp, STAMP)
    while any(reports.glob(f"*/{run_id}")):
        moment += datetime.timedelta(seconds=1)
        run_id = f"{moment:{STAMP}}-{name}"
    return run_id


def gpu_name(choice: Choice, options: BenchOptions) -> str | None:
    """What names the GPU to every bench of this host; None on a CPU.

    By index it is the one that nvidia-smi lists there. A MIG instance has its UUID, also where it
    is taken as its GPU's only one: two benches on it then see each other.
    """
    if choice.device == "cpu":
        return None
    if choice.engine is not None and not choice.engine.is_local:
        return f"{choice.engine.address} {options.gpu or '0'}"
    if choice.instance is not None:
        return choice.instance
    for index, gpu in enumerate(host_gpus()):
        if options.gpu in (None, str(index), gpu.uuid):
            return gpu.uuid or f"minor {gpu.minor}"
    return options.gpu or "0"


def probable_slug(choice: Choice, options: BenchOptions) -> str | None:
    """The GPU's folder name as far as it is known before the preflight."""
    if choice.device == "cpu":
        return "cpu"
    for index, gpu in enumerate(host_gpus()):
        if options.gpu in (None, str(index), gpu.uuid):
            return slug(gpu.model) or None
    return None


def measured_slug(devices: Devices, device: str, gpu: str | None) -> str:
    """Folder name of the device that the preflight found."""
    if device == "cpu":
        return "cpu"
    for found in devices.gpus:
        if gpu in (str(found.index), found.uuid):
            return slug(found.name)
    return slug(devices.gpus[0].name)  # a container sees only the chosen one


def _weights(options: BenchOptions) -> Path | None:
    if options.weights is None:
        return None
    folder = Path(options.weights)
    check_folder(folder)
    return folder


def _pipeline(options: BenchOptions, folder: Path) -> OwnPipeline | None:
    return prepare_pipeline(Path(options.pipeline), folder) if options.pipeline else None


def same_pipeline(manifest: Manifest, options: BenchOptions, folder: Path) -> OwnPipeline | None:
    """The file that the run was started with. Raises UsageError if it is not given or changed."""
    pipeline = _pipeline(options, folder)
    wanted = {(case.pipeline, case.pipeline_sha256) for case in manifest.cases}
    given = (pipeline.name, pipeline.sha256) if pipeline else ("", "")
    if wanted != {given}:
        name = next(iter(wanted))[0]
        other = " of another content" if pipeline else ""
        raise UsageError(
            f"run {manifest.run_id} was started with "
            + (f"pipeline '{name}'{other}" if name else "the built-in workload"),
            next_step="give --pipeline the file as it was, or start a new run"
            if name
            else "leave --pipeline out",
        )
    return pipeline


def _clips(options: BenchOptions, cases: list[Case], folder: Path) -> PreparedClips:
    sizes = {(case.width_px, case.height_px) for case in cases}
    if not options.clips:
        return {size: ([], []) for size in sizes}
    # Only here: a host that feeds no clip of its own needs no video decoder.
    from harness.host.clips import prepare_clips

    return {size: prepare_clips(options.clips, size, folder) for size in sorted(sizes)}


def _check_image_driver(choice: Choice, options: BenchOptions) -> None:
    """A driver too old for the image's CUDA is found before the image is built."""
    if choice.runtime != "docker" or choice.device != "cuda":
        return
    wheels = [wheel.name for wheel in options.image.wheels()]
    major = image_cuda_major(options.base_image, options.torch, wheels)
    check_driver(choice.driver, major, f"the image ({options.torch} on {options.base_image})")


def _confirm_local_gpu(choice: Choice, runner: Runner, named: str | None) -> Choice:
    """A loaded driver is no proof that torch can use the GPU: asks it.

    Raises DeviceError if it can not, and a GPU was asked for.
    """
    devices = runner.preflight(PreflightRequest(cases=[]))
    if devices.gpus:
        return choice
    if named is not None:
        raise no_such_gpu(named, f"torch {devices.torch_version} sees no GPU")
    reason = f"{choice.reason}, but torch {devices.torch_version} can use no GPU"
    return replace(choice, device="cpu", reason=reason)
