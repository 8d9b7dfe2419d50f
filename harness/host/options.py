"""The options of `invoke bench`, `build` and `doctor`: one place, one default each.

The options of a run are kept outside of its record, in `vace-bench/<run>.json` under the user's
state folder (`$XDG_STATE_HOME`, else `~/.local/state`): they hold paths, which a record must not,
and --resume needs them.
"""

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_args

from harness.errors import StorageError, UsageError
from harness.expansion import parse_size
from harness.host.choice import Auto, RuntimeName
from harness.host.image import DEFAULT_BASE, DEFAULT_TORCH, ImageOptions
from harness.host.tunnel import SCHEME, Address
from harness.job import ClipRole
from harness.matrix import MOST_PROCESSES, Device, Dtype, PresetName
from harness.presets import DEFAULT_DTYPE
from harness.variants import BASELINE, resolve

Given = Mapping[str, str | bool | None]
MOST_MINUTES = 7 * 24 * 60
DEFAULT_MATRIX = "quick"
PATHS = ("pipeline", "weights", "video", "depth", "mask", "wheelhouse", "ca_bundle")
CHOICES: dict[str, tuple[str, ...]] = {
    "runtime": ("auto", *get_args(RuntimeName)),
    "device": ("auto", *get_args(Device)),
    "preset": ("auto", *get_args(PresetName)),
    "dtype": get_args(Dtype),
}
BUILT_IN_ONLY = ("weights", "video", "depth", "mask")  # options of the built-in workload


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """What `invoke bench` was asked for. Relative paths are those of the current folder."""

    matrix: str = DEFAULT_MATRIX
    pipeline: str | None = None  # a file of the user's own
    only: str | None = None
    runtime: RuntimeName | Auto = "auto"
    device: Device | Auto = "auto"
    host: str | None = None  # ssh://user@box, whose engine runs the cases
    gpu: str | None = None
    cpus: str | None = None  # of the host, e.g. 0-15
    variant: str = BASELINE
    dtype: Dtype = DEFAULT_DTYPE
    preset: PresetName | Auto = "auto"
    size: str | None = None
    weights: str | None = None
    video: str | None = None
    depth: str | None = None
    mask: str | None = None
    base_image: str = DEFAULT_BASE
    torch: str = DEFAULT_TORCH
    wheelhouse: str | None = None
    ca_bundle: str | None = None
    offline: bool = False
    processes: str | None = None  # of every case whose chunks are timed
    budget: str | None = None  # minutes
    limit: str | None = None  # minutes
    resume: str | None = None
    beside: str | None = None  # a run under way on another GPU

    @classmethod
    def parse(cls, given: Given) -> "BenchOptions":
        """Options from a task's arguments; None stands for a default. Raises UsageError."""
        known = {field.name for field in fields(cls)}
        chosen = {name: value for name, value in given.items() if value is not None}
        if unknown := set(chosen) - known:
            raise UsageError(f"unknown option {', '.join(sorted(unknown))}")
        for name, allowed in CHOICES.items():
            if chosen.get(name, allowed[0]) not in allowed:
                raise UsageError(
                    f"--{name} '{chosen[name]}' is unknown",
                    next_step=f"choose one of {', '.join(allowed)}",
                )
        if chosen.get("host") and chosen.get("runtime", "auto") == "auto":
            chosen["runtime"] = "docker"  # never a local process in its place
        options = cls(**chosen)  # type: ignore[arg-type]  # checked above, the rest is text
        if options.size is not None:
            parse_size(options.size)
        if options.host is not None:
            Address.parse(options.host)
            if options.runtime == "local":
                raise UsageError(
                    "another host runs cases in containers", next_step="leave out --runtime local"
                )
        if options.resume and options.beside:
            raise UsageError(
                "--resume takes a run over, --beside helps it", next_step="leave one of them out"
            )
        resolve(options.variant)
        options.check_own()
        options.image.validate()
        if options.cpus is not None:
            parse_cpus(options.cpus)
        _ = options.budget_min, options.process_count, options.limit_s
        return options

    def check_own(self) -> None:
        """Raises UsageError for what a pipeline of the user's own cannot be given."""
        if self.pipeline is None:
            return
        given = [name for name in BUILT_IN_ONLY if getattr(self, name)]
        given += ["variant"] if self.variant != BASELINE else []
        given += ["dtype"] if self.dtype != DEFAULT_DTYPE else []
        if given:
            raise UsageError(
                f"--{given[0]} is for the built-in workload, not for --pipeline",
                next_step="leave one of them out",
            )

    @property
    def matrix_name(self) -> str:
        """The matrix to run: what is left at its default is `own` for a pipeline of one's own."""
        return "own" if self.pipeline and self.matrix == DEFAULT_MATRIX else self.matrix

    @property
    def process_count(self) -> int | None:
        """Fresh processes of each timed case, if asked for. Raises UsageError."""
        if self.processes is None:
            return None
        is_number = self.processes.isascii() and self.processes.isdigit()
        count = int(self.processes) if is_number else 0
        if not 1 <= count <= MOST_PROCESSES:
            raise UsageError(
                f"--processes '{self.processes}' is no number from 1 to {MOST_PROCESSES}",
                next_step="write e.g. 3, the least for a verdict",
            )
        return count

    @property
    def budget_min(self) -> float | None:
        """Minutes within which undecided comparisons get more processes. Raises UsageError."""
        return _minutes("budget", self.budget)

    @property
    def limit_s(self) -> float | None:
        """Seconds after which a case counts as hung, if asked for. Raises UsageError."""
        minutes = _minutes("limit", self.limit)
        return None if minutes is None else 60 * minutes

    @property
    def image(self) -> ImageOptions:
        """What the image is made of."""
        return ImageOptions(
            base_image=self.base_image,
            torch=self.torch,
            wheelhouse=Path(self.wheelhouse) if self.wheelhouse else None,
            ca_bundle=Path(self.ca_bundle) if self.ca_bundle else None,
            offline=self.offline,
        )

    @property
    def clips(self) -> dict[ClipRole, Path]:
        """The clip files by role."""
        given: dict[ClipRole, str | None] = {
            "video": self.video,
            "depth": self.depth,
            "mask": self.mask,
        }
        return {role: Path(name) for role, name in given.items() if name}

    @property
    def placeholders(self) -> dict[Path, str]:
        """Paths that must not be published, with what stands for them."""
        named = [(name, getattr(self, name)) for name in PATHS]
        if os.path.isabs(self.matrix):  # by a relative name it says what was measured
            named.append(("matrix", self.matrix))
        hidden = {Path(value): f"<{name}>" for name, value in named if value}
        if self.pipeline:
            hidden[Path(self.pipeline)] = Path(self.pipeline).name  # a record names it anyway
        return hidden

    @property
    def asked(self) -> str:
        """The option that asks for a container, where one is asked for."""
        return "--host" if self.host else "--runtime docker"

    def reaching(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The environment in which the engine is found: that of --host, if it is given."""
        host = {"DOCKER_HOST": self.host} if self.host else {}
        return {**environment, **host}

    def names(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Names of another host that must not be published, with what stands for them."""
        host = self.reaching(environment).get("DOCKER_HOST", "")
        if not host.startswith(SCHEME):
            return {}
        return {host: "<host>", **Address.parse(host).names}


def parse_cpus(text: str) -> set[int]:
    """'0-3,8' -> {0, 1, 2, 3, 8}. Raises UsageError."""
    cpus: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise UsageError(f"--cpus '{text}' is no list of CPUs", next_step="write e.g. 0-15")
        cpus.update(range(first, last + 1))
    return cpus


def _minutes(name: str, given: str | None) -> float | None:
    if given is None:
        return None
    try:
        minutes = float(given)
    except ValueError:
        minutes = math.nan
    if not 0 < minutes <= MOST_MINUTES:
        raise UsageError(f"--{name} '{given}' is no number of minutes", next_step="write e.g. 30")
    return minutes


def state_path(run_id: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Where the options of a run are kept."""
    base = environment.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    return Path(base) / "vace-bench" / f"{run_id}.json"


def keep(options: BenchOptions, path: Path) -> None:
    """Keeps a run's options for --resume. Raises StorageError."""
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    values |= {name: os.path.abspath(values[name]) for name in PATHS if values[name]}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values, indent=1) + "\n")
        path.chmod(0o600)
    except OSError as error:
        raise StorageError(
            f"the run's options cannot be kept in {path.parent} ({error.strerror})",
            next_step="set XDG_STATE_HOME to a writable folder",
        ) from error


def recall(given: Given, path: Path, recorded: Given | None = None) -> BenchOptions:
    """The options a run was started with; what is given now and differs from a default wins.

    --only is as it is given now: the run's plan holds what it kept then.
    `recorded` is what the run's record says of them, where this host has not kept them.
    """
    try:
        kept = json.loads(path.read_text())
    except FileNotFoundError:
        kept = {}  # started on another machine: what it needs must be given again
    except (OSError, ValueError) as error:
        raise StorageError(
            f"the run's options in {path} are damaged", next_step="delete that file"
        ) from error
    defaults = {field.name: field.default for field in fields(BenchOptions)}
    kept = {name: value for name, value in kept.items() if value is not None and name != "only"}
    now = {
        name: value
        for name, value in given.items()
        if value is not None and value != defaults.get(name)
    }
    return BenchOptions.parse({**(recorded or {}), **kept, **now})
