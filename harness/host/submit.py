"""`invoke submit`: writes a folder for Slurm or Kubernetes that runs the image built here.

`invoke collect` makes a run of it once its records are there.
"""

import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from harness.errors import UsageError, written_once
from harness.expansion import Settings, expand
from harness.host import kubernetes, slurm
from harness.host.engine import Engine
from harness.host.expected import expected_seconds
from harness.host.facts import command_line, commit_facts, host_facts
from harness.host.image import ensure_image, public_name
from harness.host.options import BenchOptions, Given
from harness.host.plan import new_run_id
from harness.host.ready import BARE_FACT, Place
from harness.host.runner import case_limit_s, utc_now
from harness.host.submission import (
    JOBS,
    NOT_MEASURED_YET,
    RUN_SCRIPT,
    SCRIPT,
    SUBMITTED_FACT,
    Submission,
    folder_of,
)
from harness.job import JOB_FILE, Job
from harness.matrices import load_matrix
from harness.matrix import Case, PresetName, Process, schedule
from harness.privacy import host_scrubber
from harness.result import SCHEMA_VERSION, Fact, encode
from harness.run import Manifest
from harness.store import MANIFEST, RunFolder

Cluster = Literal["slurm", "k8s"]
ROOM_FACTOR = 3.0  # of the expected time, and what waiting for the image may take
ROOM_S = 1800.0


@dataclass(frozen=True, kw_only=True)
class Wish:
    """Where a submission is to run."""

    to: Cluster
    launcher: slurm.Launcher = "docker"
    image: str | None = None  # as the cluster knows it; left out: the tag of the one built here
    out: str | None = None  # the folder to write

    @classmethod
    def parse(cls, given: Given) -> "Wish":
        """Raises UsageError for an unknown scheduler or launcher, or what is no image."""
        texts = {name: str(value) if value else None for name, value in given.items()}
        _check_image(texts["image"] or "")
        for known in get_args(Cluster):
            if texts["to"] == known:
                to: Cluster = known
                launcher = slurm.parse_launcher(texts["launcher"])
                return cls(to=to, launcher=launcher, image=texts["image"], out=texts["out"])
        raise UsageError(
            f"--to '{texts['to'] or ''}' is unknown",
            next_step=f"choose one of {', '.join(get_args(Cluster))}",
        )

    def render(self, submission: Submission) -> dict[str, str]:
        """The scheduler's files by name."""
        if self.to == "slurm":
            return slurm.script(submission, self.launcher)
        return kubernetes.objects(submission)

    @property
    def facts(self) -> dict[str, Fact]:
        """What the plan says of it."""
        with_what = f" with {self.launcher}" if self.to == "slurm" else ""
        text = f"{self.to}{with_what}; all processes in one container"
        confines = slurm.confines(self.launcher) if self.to == "slurm" else kubernetes.CONFINES
        return {SUBMITTED_FACT: Fact(value=text), "container.lockdown": confines}


def _check_image(image: str) -> None:
    """It becomes a word of a script, where it must not be an option, nor a shell's own."""
    if image.startswith(("-", '"')) or not image.isprintable() or image != image.strip():
        raise UsageError(
            f"--image '{image}' is no name of an image",
            next_step="write e.g. registry/vace-bench:tag, or a .sif file",
        )


def submit(
    wish: Wish, given: Given, place: Place, engine: Engine, say: Callable[[str], None]
) -> Path:
    """Builds the image and writes the folder; returns it.

    Raises UsageError for options that do not fit, EngineError, ImageBuildError, StorageError.
    """
    device = "cuda" if given.get("device") in (None, "auto") else given["device"]
    options = BenchOptions.parse({**given, "runtime": "docker", "device": device})
    matrix = load_matrix(options.matrix)
    cases, bare = _in_containers(expand(matrix, _settings(options)))
    image = ensure_image(engine, place.project, options.image, say)
    command = _command(wish, options, place)
    plan = _plan(matrix.name, cases, command, place, {**image.facts, **bare, **wish.facts})
    files = {f"{JOBS}/{name}/{JOB_FILE}": encode(job) for name, job in jobs_of(plan)}
    submission = Submission(
        name=plan.run_id,
        image=wish.image or image.tag,
        gpu=options.device == "cuda",
        limit_s=ROOM_FACTOR * plan.expected_s + ROOM_S,
        files={**files, SCRIPT: RUN_SCRIPT.encode()},
    )
    folder = Path(wish.out or f"submit-{plan.run_id}")
    rendered = {name: text.encode() for name, text in wish.render(submission).items()}
    _write(folder, {**submission.files, **rendered})
    RunFolder(folder).restore(MANIFEST, encode(plan))
    return folder


def _command(wish: Wish, options: BenchOptions, place: Place) -> list[str]:
    """As typed, without paths and registries."""
    paths = {**options.placeholders, **({Path(wish.out): "<folder>"} if wish.out else {})}
    words = command_line(sys.argv, host_scrubber(place.project, paths))
    for image in (options.base_image, wish.image):
        words = [word.replace(image, public_name(image)) if image else word for word in words]
    return words


def _plan(
    matrix: str, cases: list[Case], command: list[str], place: Place, facts: dict[str, Fact]
) -> Manifest:
    expected_s = expected_seconds(cases, place.reports, None)
    return Manifest(
        schema_version=SCHEMA_VERSION,
        run_id=new_run_id(matrix),
        created_utc=utc_now(),
        matrix=matrix,
        command=command,
        runtime="docker",
        runtime_reason=str(facts[SUBMITTED_FACT].value),
        gpu_slug=NOT_MEASURED_YET,
        cases=cases,
        expected_s=sum(expected_s[case.id] * case.processes for case in cases),
        facts={**host_facts(), **commit_facts(place.project, place.environment), **facts},
    )


def jobs_of(plan: Manifest) -> list[tuple[str, Job]]:
    """Folder's name and job of each process, in order.

    The salt is one of this submission alone: the folder leaves this host.
    """
    salt = secrets.token_hex(16)
    return [
        (folder_of(number), _job(process, salt))
        for number, process in enumerate(schedule(plan.cases))
    ]


def _job(process: Process, salt: str) -> Job:
    limit_s = case_limit_s(process.case)
    return Job(case=process.case, salt=salt, process=process.number, limit_s=limit_s)


def _settings(options: BenchOptions) -> Settings:
    on_gpu = options.device == "cuda"
    preset: PresetName = "full" if on_gpu else "tiny"
    return Settings(
        preset=preset if options.preset == "auto" else options.preset,
        device="cuda" if on_gpu else "cpu",
        size=options.size,
        only=options.only,
        variant=options.variant,
        dtype=options.dtype,
        processes=options.process_count,
    )


def _in_containers(cases: list[Case]) -> tuple[list[Case], dict[str, Fact]]:
    """Cases that run in the image; a cluster has no bare host to hold them against."""
    kept = [case for case in cases if not case.bare]
    if not kept:
        raise UsageError("only bare cases are left", next_step="choose others with --only")
    reason = Fact(value=None, reason="a submitted run is in one container")
    return kept, {BARE_FACT: reason} if len(kept) < len(cases) else {}


def _write(folder: Path, files: dict[str, bytes]) -> None:
    with written_once(str(folder), f"write into {folder}"):
        folder.mkdir(parents=True)
        for name, blob in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(blob)
            path.chmod(0o755 if blob.startswith(b"#!") else 0o644)
