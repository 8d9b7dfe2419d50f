"""`invoke doctor`: what this host offers, what stands in the way, and what `auto` would choose.

Each line is a finding with its remedy; what stands in the way is the table of
`harness.host.obstacles`, explained in docs/hosts.md. What only the GPU can tell (too old, too
small, busy or throttled) comes from the preflight: in the image where containers are used, else
with local torch.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.cost_fit import gib, least_bytes
from harness.errors import HarnessError
from harness.expansion import Settings, expand
from harness.host.choice import Choice, Surroundings, choose
from harness.host.containers import DockerRunner
from harness.host.engine import Engine
from harness.host.engine_traits import EngineTraits
from harness.host.gpu import Way, image_cuda_major
from harness.host.image import find_image
from harness.host.obstacles import SUBJECTS, obstacles
from harness.host.options import BenchOptions
from harness.host.processes import LocalRunner
from harness.host.runner import Runner
from harness.host.site import Finding, Site
from harness.job import NOTE, Devices, PreflightRequest
from harness.matrices import MATRICES
from harness.matrix import Case

RECORDS_BYTES = 64 << 20


def examine(
    options: BenchOptions, around: Surroundings, project: Path, reports: Path
) -> Iterator[Finding]:
    """All findings, from the engine to the choice of `auto`."""
    site = site_of(options, around)
    met = list(obstacles(site))
    subjects = {finding.subject for finding in met}
    standing = [line for line in _standing(site, around) if line.subject not in subjects]
    yield from sorted(standing + met, key=lambda finding: SUBJECTS.index(finding.subject))
    yield _records_disk(reports)
    try:
        choice = choose(options.runtime, options.device, around, asked=options.asked)
    except HarnessError as error:
        yield Finding("problem", "choice", error.what, error.next_step)
        return
    yield from _devices(choice, options, project)
    yield Finding(
        "ok",
        "choice",
        f"`invoke bench` takes {choice.runtime} on {choice.device} with preset {choice.preset}, "
        f"because: {choice.reason}",
    )


def site_of(options: BenchOptions, around: Surroundings) -> Site:
    """What obstacles are recognised by; asks the engine and the disk."""
    engine = around.engine
    information = engine.information() if engine else None
    wheels = [wheel.name for wheel in options.image.wheels()]
    return Site(
        information=information,
        engine_error=around.engine_error,
        is_local=engine is None or engine.is_local,
        way=around.way,
        driver=around.driver,
        smi=around.smi,
        root=around.root,
        gpu=options.gpu,
        image=f"the image ({options.torch} on {options.base_image})",
        cuda_major=image_cuda_major(options.base_image, options.torch, wheels),
        image_disk_bytes=_image_disk_bytes(engine, information or {}),
    )


def gpu_findings(devices: Devices) -> Iterator[Finding]:
    """What the preflight says: problems first, then each GPU's state."""
    for problem in devices.problems:
        is_note = problem.startswith(NOTE)
        yield Finding("note" if is_note else "problem", "preflight", problem.removeprefix(NOTE))
    for gpu in devices.gpus:
        capability = f"{gpu.capability[0]}.{gpu.capability[1]}"
        yield Finding(
            "ok",
            f"GPU {gpu.index}",
            f"{gpu.name}, compute capability {capability}, {gib(gpu.free_bytes)} of "
            f"{gib(gpu.total_bytes)} free; torch {devices.torch_version}",
        )


def memory_findings(cases: list[Case]) -> Iterator[Finding]:
    """What each case needs of the GPU, by the memory model; whether it is free, the preflight says.

    Nothing on a CPU.
    """
    for case in cases:
        if (needed := least_bytes(case)) is not None:
            yield Finding("ok", "memory", f"{case.id} needs at least {gib(needed)} of the GPU")


def _standing(site: Site, around: Surroundings) -> Iterator[Finding]:
    """What there is, in the order in which a run needs it."""
    if around.engine is not None:
        place = "this host" if site.is_local else "a remote host"
        yield Finding("ok", "engine", f"{around.engine.version()} on {place} answers")
    if isinstance(site.way, Way):
        yield Finding("ok", "way to the GPU", f"{site.way.name} ({site.way.reason})")
    else:
        yield Finding("note", "way to the GPU", site.way.reason)
    if not site.is_here:
        yield Finding("note", "driver", "the remote host's is checked by the preflight")
    elif site.driver is not None:
        major = site.cuda_major or "unknown"
        yield Finding("ok", "driver", f"{site.driver} serves CUDA {major} of {site.image}")
    if site.image_disk_bytes is not None:
        yield Finding("ok", "disk for the image", f"{gib(site.image_disk_bytes)} free")


def _image_disk_bytes(engine: Engine | None, information: Mapping[str, Any]) -> int | None:
    """Free bytes where the engine keeps images, if that is a disk of this host."""
    if engine is None or not engine.is_local or EngineTraits.of(information).is_desktop:
        return None
    return shutil.disk_usage(_existing(Path(str(information.get("DockerRootDir", "/"))))).free


def _records_disk(reports: Path) -> Finding:
    subject, folder = "disk for records", _existing(reports)
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < RECORDS_BYTES:
        text = f"{gib(free_bytes)} free, {gib(RECORDS_BYTES)} advised"
        return Finding("problem", subject, text, "free space")
    if not os.access(folder, os.W_OK):
        return Finding("problem", subject, "no permission to write", "fix the permissions")
    return Finding("ok", subject, f"{gib(free_bytes)} free")


def _existing(folder: Path) -> Path:
    # os.path.exists, which takes a folder that may not be looked into for absent.
    return next(path for path in (folder, *folder.absolute().parents) if os.path.exists(path))


def _devices(choice: Choice, options: BenchOptions, project: Path) -> Iterator[Finding]:
    runner: Runner = LocalRunner(project=project, gpu=options.gpu)
    cases = expand(MATRICES["quick"], Settings(preset=choice.preset, device=choice.device))
    if choice.engine is not None:
        image = find_image(choice.engine, project, options.image)
        if image is None:
            yield Finding(
                "note",
                "image",
                "not built yet, so the GPU's state is not known",
                "run `invoke build`, then `invoke doctor` again",
            )
            return
        runner = DockerRunner(engine=choice.engine, image=image, run_id="doctor", way=choice.way)
    try:
        devices = runner.preflight(PreflightRequest(cases=cases))
    except HarnessError as error:
        yield Finding("problem", "preflight", error.what, error.next_step)
        return
    yield from gpu_findings(devices)
    yield from memory_findings(cases)
    if choice.device == "cpu":
        yield Finding("ok", "torch", f"{devices.torch_version} on {devices.cpu_count} CPUs")
