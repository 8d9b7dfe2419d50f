"""`invoke repro`: an earlier run again, from its plan, and what is not as it was then.

The cases come from the stored plan and not from a matrix, which may have changed since. What a
record cannot hold (folders, clips, a registry's name) comes from the options kept on the host that
made the run, or is given again.
"""

import shlex
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from harness.errors import UsageError
from harness.host.choice import Surroundings, look
from harness.host.digest import file_sha256
from harness.host.facts import commit_facts
from harness.host.gpu import host_gpus
from harness.host.image import LOCK, base_digest
from harness.host.options import BenchOptions, Given, recall, state_path
from harness.host.plan import same_pipeline
from harness.host.ready import Place
from harness.result import Fact
from harness.run import Run
from harness.store import RunFolder

State = Literal["same", "differs", "unknown"]
SECONDS_A_MINUTE = 60

# Without these equal, `compare` refuses: better before the run than after it.
MUST_MATCH = ("gpu.name", "torch.version")
KEYS = (
    "git.commit",
    "git.dirty",
    "image.base_digest",
    "image.base_id",
    "image.lock_sha256",
    "torch.version",
    "gpu.driver",
    "gpu.name",
)
NOT_RECORDED = Fact(value=None, reason="not recorded")
REGISTRY = "<registry>/"  # stands for a host's name that was left out


@dataclass(frozen=True)
class Held:
    """One key of the record, held against what is here."""

    key: str
    there: Fact
    here: Fact

    @property
    def state(self) -> State:
        """Whether the key is as it was; unknown where either side does not say."""
        if self.there.value is None or self.here.value is None:
            return "unknown"
        return "same" if self.there.value == self.here.value else "differs"

    @property
    def line(self) -> str:
        """State, key and both values."""
        there, here = (_words(fact) for fact in (self.there, self.here))
        return f"{self.state:<8} {self.key}: {there} there, {here} here"


@dataclass(frozen=True)
class Repetition:
    """An earlier run, the options to run it again with, and its keys held against this host."""

    source: Run
    options: BenchOptions
    held: list[Held]

    @property
    def lines(self) -> list[str]:
        """The command of then, the keys that differ or cannot be told, and how to have it exact."""
        manifest = self.source.manifest
        same = [one.key for one in self.held if one.state == "same"]
        lines = [
            f"repeats run {manifest.run_id}: {shlex.join(manifest.command)}",
            *(one.line for one in self.held if one.state != "same"),
            f"same     {', '.join(same) or 'none of the keys'}",
        ]
        commit = next(one for one in self.held if one.key == "git.commit")
        if commit.state == "differs":
            lines.append(
                "the code is another: the command above, in a checkout of that commit, runs the "
                "code of then"
            )
        return lines

    def check(self, across: str | None) -> None:
        """Raises UsageError for a run that cannot be made here, or not be compared afterwards."""
        manifest = self.source.manifest
        from_wheels = any("<wheelhouse>" in word for word in manifest.command)
        if manifest.runtime == "docker" and from_wheels and self.options.wheelhouse is None:
            raise UsageError(
                f"the image of run {manifest.run_id} was built from a wheelhouse not known here",
                next_step="give --wheelhouse DIR with the same wheels",
            )
        with tempfile.TemporaryDirectory() as folder:
            same_pipeline(manifest, self.options, Path(folder))
        asked = [key.strip() for key in (across or "").split(",")]
        for one in self.held:
            named = any(one.key == key or one.key.startswith(f"{key}.") for key in asked)
            if one.key in MUST_MATCH and one.state == "differs" and not named:
                raise UsageError(
                    f"the run could not be compared with {manifest.run_id}: "
                    f"{one.key} is {_words(one.there)} there and {_words(one.here)} here",
                    next_step=f"if that is the question, add --across {one.key}",
                )


def repetition(
    run: str,
    given: Given,
    place: Place,
    look: Callable[[str | None, Mapping[str, str]], Surroundings] = look,
) -> Repetition:
    """The run and its keys. Raises UsageError for a run that cannot be repeated as it is given."""
    if not run:
        raise UsageError("a run is needed", next_step="give --run RUN")
    source = RunFolder.find(place.reports, run).load()
    if not source.finished:
        raise UsageError(
            f"run {source.manifest.run_id} has no finished case to compare with",
            next_step="take another run",
        )
    known = {**source.finished[0].provenance, **source.manifest.facts}
    options = _options(source, known, given, place)
    here = _here(source, options, place, look(options.gpu, options.reaching(place.environment)))
    held = [Held(key, known.get(key, NOT_RECORDED), here[key]) for key in KEYS if key in here]
    return Repetition(source, options, held)


def _options(source: Run, known: Mapping[str, Fact], given: Given, place: Place) -> BenchOptions:
    """What is given now, else what this host kept, else what the record says."""
    manifest = source.manifest
    recorded: dict[str, str | bool | None] = {"offline": "--offline" in manifest.command}
    for key, name in (("image.base", "base_image"), ("image.torch_requirement", "torch")):
        if (fact := known.get(key)) is not None and fact.value is not None:
            recorded[name] = str(fact.value)
    if manifest.budget_s is not None:
        recorded["budget"] = repr(manifest.budget_s / SECONDS_A_MINUTE)
    path = state_path(manifest.run_id, place.environment)
    options = recall(given, path, recorded)
    if manifest.runtime != "docker":
        return options
    if options.base_image.startswith(REGISTRY):
        raise UsageError(
            f"run {manifest.run_id} was made on {options.base_image}, whose registry it leaves out",
            next_step="give --base-image",
        )
    return options


def _here(
    source: Run, options: BenchOptions, place: Place, around: Surroundings
) -> dict[str, Fact]:
    """What this host says of each key that matters to the run."""
    facts = commit_facts(place.project, place.environment)
    boxed = source.manifest.runtime == "docker"
    if boxed:
        facts |= _image_facts(options, place, around)
    facts["torch.version"] = _image_torch(options) if boxed else _local_torch()
    if any(case.device == "cuda" for case in source.manifest.cases):
        facts |= _gpu_facts(options, around)
    return facts


def _image_facts(options: BenchOptions, place: Place, around: Surroundings) -> dict[str, Fact]:
    lock = {"image.lock_sha256": Fact(value=file_sha256(place.project / LOCK))}
    if around.engine is None:
        unknown = Fact(value=None, reason="no container engine answers")
    elif (base := around.engine.image(options.base_image)) is not None:
        digests = {"image.base_digest": base_digest(base)}
        return digests | {"image.base_id": Fact(value=str(base["Id"]))} | lock
    else:
        unknown = Fact(value=None, reason=f"the engine has no image {options.base_image} yet")
    return {"image.base_digest": unknown, "image.base_id": unknown} | lock


def _image_torch(options: BenchOptions) -> Fact:
    """The version by the wheelhouse's wheel; else it is known once the image is built."""
    wheels = [wheel.name for wheel in options.image.wheels() if wheel.name.startswith("torch-")]
    if options.torch != "keep" and len(wheels) == 1:
        return Fact(value=wheels[0].split("-")[1])
    kept = "it is the base image's" if options.torch == "keep" else "the image brings it"
    return Fact(value=None, reason=f"{kept}, and the run will say")


def _local_torch() -> Fact:
    try:
        return Fact(value=metadata.version("torch"))
    except metadata.PackageNotFoundError:
        return Fact(value=None, reason="no torch is installed")


def _gpu_facts(options: BenchOptions, around: Surroundings) -> dict[str, Fact]:
    if around.engine is not None and not around.engine.is_local:
        unknown = Fact(value=None, reason="on a remote host; the run will say")
        return {"gpu.driver": unknown, "gpu.name": unknown}
    none = Fact(value=None, reason="no NVIDIA driver is loaded")
    gpus = [
        gpu for index, gpu in enumerate(host_gpus()) if options.gpu in (None, str(index), gpu.uuid)
    ]
    model = gpus[0].model if gpus else ""
    return {
        "gpu.driver": Fact(value=around.driver) if around.driver else none,
        "gpu.name": Fact(value=model) if model else none,
    }


def _words(fact: Fact) -> str:
    if fact.value is None:
        return f"not known ({fact.reason})"
    return ("yes" if fact.value else "no") if isinstance(fact.value, bool) else str(fact.value)
