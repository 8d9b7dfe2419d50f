"""`invoke doctor`: what this host offers, what stands in the way, and what `auto` would choose.

Each line is a finding with its remedy. What only the GPU can tell (too old, too small, busy or
throttled) comes from the preflight: in the image where containers are used, else with local torch.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.cost_fit import gib, least_bytes
from harness.errors import HarnessError
from harness.host.choice import Choice, Surroundings, choose
from harness.host.containers import DockerRunner
from harness.host.engine import Engine
from harness.host.gpu import Way, check_driver, image_cuda_major
from harness.host.image import find_image
from harness.host.options import BenchOptions
from harness.host.processes import LocalRunner
from harness.host.runner import Runner
from harness.job import NOTE, Devices, PreflightRequest
from harness.matrices import MATRICES
from harness.matrix import Case, Settings, expand

RECORDS_BYTES = 64 << 20
IMAGE_BYTES = 20 << 30


@dataclass(frozen=True)
class Finding:
    """One line of the doctor."""

    state: Literal["ok", "note", "problem"]
    subject: str
    text: str
    remedy: str = ""

    @property
    def line(self) -> str:
        """The finding with its remedy."""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.state:8}{self.subject}: {self.text}{remedy}"


def examine(
    options: BenchOptions, around: Surroundings, project: Path, reports: Path
) -> Iterator[Finding]:
    """All findings, from the engine to the choice of `auto`."""
    yield _engine(around)
    yield _way(around)
    yield _driver(around, options)
    yield from _disk(around.engine, reports)
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


def _engine(around: Surroundings) -> Finding:
    if around.engine is None:
        error = around.engine_error
        what, remedy = (error.what, error.next_step) if error else ("no engine answers", "")
        return Finding("note", "engine", what, remedy)
    place = "this host" if around.engine.is_local else "a remote host"
    return Finding("ok", "engine", f"{around.engine.version()} on {place} answers")


def _way(around: Surroundings) -> Finding:
    if isinstance(around.way, Way):
        return Finding("ok", "way to the GPU", f"{around.way.name} ({around.way.reason})")
    return Finding(
        "note",
        "way to the GPU",
        around.way.reason,
        "install the NVIDIA driver and container toolkit to measure a GPU in a container",
    )


def _driver(around: Surroundings, options: BenchOptions) -> Finding:
    if around.engine is not None and not around.engine.is_local:
        return Finding("note", "driver", "the remote host's is checked by the preflight")
    if around.driver is None:
        return Finding("note", "driver", "no NVIDIA driver on this host", "needed for a GPU only")
    wheels = [wheel.name for wheel in options.image.wheels()]
    major = image_cuda_major(options.base_image, options.torch, wheels)
    image = f"the image ({options.torch} on {options.base_image})"
    try:
        check_driver(around.driver, major, image)
    except HarnessError as error:
        return Finding("problem", "driver", error.what, error.next_step)
    return Finding("ok", "driver", f"{around.driver} serves CUDA {major or 'unknown'} of {image}")


def _disk(engine: Engine | None, reports: Path) -> Iterator[Finding]:
    places = [("disk for records", reports, RECORDS_BYTES)]
    if engine is not None and engine.is_local:
        root = Path(str(engine.information().get("DockerRootDir", "/")))
        places.append(("disk for the image", root, IMAGE_BYTES))
    for subject, folder, needed_bytes in places:
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        free_bytes = shutil.disk_usage(existing).free
        if free_bytes < needed_bytes:
            text = f"{gib(free_bytes)} free, {gib(needed_bytes)} advised"
            yield Finding("problem", subject, text, "free space")
        elif not os.access(existing, os.W_OK) and folder == reports:
            yield Finding("problem", subject, "no permission to write", "fix the permissions")
        else:
            yield Finding("ok", subject, f"{gib(free_bytes)} free")


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
