"""One private corner of the machine for one fault: project, reports, temporary folder, a bench.

Everything a bench starts here carries the corner's mark, so that what it leaves can be counted.
"""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.host.engine import Engine
from harness.host.leftovers import OWNER_LABEL, RUN_LABEL, UNFINISHED
from harness.result import Failure, Record, Result, decode
from harness.store import MANIFEST, RunFolder

ROOT = Path(__file__).resolve().parents[2]
MARK = "VACE_FAULT_WORLD"
LIMIT_S = 600.0  # of a bench; more is a hang of the harness itself
POLL_S = 0.02

Child = dict[str, Any]


class WaitedInVainError(AssertionError):
    """Something that had to happen did not."""


@dataclass
class Ended:
    """How a bench ended."""

    code: int
    output: str

    @property
    def last(self) -> str:
        """The last line shown."""
        lines = self.output.strip().splitlines()
        return lines[-1] if lines else ""


class Bench:
    """A bench under way. Its output goes to a file, so that no reader can hold it up."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path, ends_s: float) -> None:
        self.process = process
        self.log = log
        self.ends_s = ends_s
        self.started_s = time.monotonic()

    @property
    def output(self) -> str:
        """What it has shown so far."""
        return self.log.read_text(errors="replace")

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the harness alone."""
        self.process.send_signal(number)

    def wait_for(self, found: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
        """What `found` gives once it gives something; None if the bench ended before."""
        end_s = min(time.monotonic() + limit_s, self.ends_s)
        while not (value := found()):
            if not self.alive:
                return found() or None
            if time.monotonic() > end_s:
                raise WaitedInVainError(f"waited in vain; output: {self.output}")
            time.sleep(POLL_S)
        return value

    def end(self, limit_s: float = LIMIT_S) -> Ended:
        """Waits for its end; a bench that does not end is killed, and the fault was too much."""
        try:
            code = self.process.wait(min(limit_s, max(0.0, self.ends_s - time.monotonic())))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise WaitedInVainError(f"the bench did not end: {self.output}") from None
        return Ended(code, self.output)


@dataclass
class World:
    """A corner in `folder`. `engine` and `docker_host` are of cases in containers."""

    folder: Path
    engine: Engine | None = None
    docker_host: str | None = None
    ends_s: float = math.inf  # of the monotonic clock: when its benches are given up at the latest
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    pids: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        project = self.folder / "project"
        project.mkdir(parents=True)
        for name in ("tmp", "config", "state"):
            (self.folder / name).mkdir()
        for name in ("tasks.py", "Dockerfile", "pyproject.toml"):
            shutil.copy(ROOT / name, project)
        for name in ("harness", "locks", "templates"):
            (project / name).symlink_to(ROOT / name)
        stated = "0123456789abcdef" * 2 + "01234567 clean\n"
        (project / ".vace-bench-commit").write_text(stated)

    @property
    def project(self) -> Path:
        """The copy of the project."""
        return self.folder / "project"

    @property
    def reports(self) -> Path:
        """Its reports folder."""
        return self.project / "reports"

    @property
    def temporary(self) -> Path:
        """Its temporary folder."""
        return self.folder / "tmp"

    def matrix(self, text: str) -> str:
        """Writes a matrix and returns its path."""
        path = self.folder / "faults.toml"
        path.write_text(text)
        return str(path)

    def start(self, arguments: Sequence[str], child: Child | None = None, **changes: Any) -> Bench:
        """Starts `invoke` with these arguments."""
        log = self.folder / f"bench-{len(self.pids)}.log"
        environment = {k: v for k, v in os.environ.items() if k != "DOCKER_CONTEXT"}
        # The packages of the host side may be on the path rather than installed.
        paths = (str(self.project), str(ROOT), environment.get("PYTHONPATH"))
        environment |= {
            MARK: self.mark,
            "VACE_FAULT_CHILD": json.dumps(child or {}),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "TMPDIR": str(self.temporary),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        }
        if self.docker_host:
            environment["DOCKER_HOST"] = self.docker_host
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("child.py")), *arguments],
                cwd=self.project,
                env=environment | changes.pop("environment", {}),
                stdin=subprocess.DEVNULL,
                stdout=changes.pop("stdout", file),
                stderr=changes.pop("stderr", subprocess.STDOUT),
                start_new_session=True,
            )
        self.pids.append(process.pid)
        return Bench(process, log, self.ends_s)

    def run(self, arguments: Sequence[str], child: Child | None = None) -> Ended:
        """The same to its end."""
        return self.start(arguments, child).end()

    @property
    def run_folder(self) -> RunFolder | None:
        """The newest run, if there is one."""
        found = sorted(self.reports.glob(f"*/*/{MANIFEST}"), key=lambda path: path.stat().st_mtime)
        return RunFolder(found[-1].parent) if found else None

    def records(self) -> dict[Path, bytes]:
        """Every stored record, finished or failed."""
        return {path: path.read_bytes() for path in self.reports.glob("*/*/cases/*.json")}

    def finished(self) -> dict[Path, bytes]:
        """The finished ones."""
        return {path: blob for path, blob in self.records().items() if ".failed-" not in path.name}

    def failures(self) -> list[Failure]:
        """The failed ones, oldest first."""
        found = [decode(blob, name=path.name) for path, blob in sorted(self.records().items())]
        return [record for record in found if isinstance(record, Failure)]

    def results(self) -> list[Result]:
        """The finished ones, decoded."""
        found: list[Record] = [decode(blob, name=p.name) for p, blob in self.finished().items()]
        return [record for record in found if isinstance(record, Result)]

    def containers(self, state: str | None = None) -> list[str]:
        """Ids of containers that a bench of this corner made."""
        if self.engine is None:
            return []
        found = [one for one in self.engine.containers(RUN_LABEL) if self._ours(one["Labels"])]
        return [str(one["Id"]) for one in found if state in (None, one["State"])]

    def volumes(self) -> list[str]:
        """Names of volumes that a bench of this corner made."""
        if self.engine is None:
            return []
        found = self.engine.volumes(RUN_LABEL)
        return [str(one["Name"]) for one in found if self._ours(one["Labels"])]

    def _ours(self, labels: dict[str, str]) -> bool:
        return labels.get(OWNER_LABEL, "").split(":")[1:2] in [[str(pid)] for pid in self.pids]

    def processes(self) -> dict[int, str]:
        """Every process with this corner's mark: number and command line."""
        return dict(self._marked())

    def _marked(self) -> Iterator[tuple[int, str]]:
        mark = f"{MARK}={self.mark}".encode()
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mark in (path / "environ").read_bytes().split(b"\0"):
                    if path.joinpath("stat").read_text().rpartition(")")[2].split()[0] == "Z":
                        continue
                    command = (path / "cmdline").read_bytes().replace(b"\0", b" ")
                    yield int(path.name), command.decode(errors="replace")

    def process(self, words: str) -> int | None:
        """The number of a process whose command line holds these words."""
        return next((pid for pid, line in self.processes().items() if words in line), None)

    def orphans(self) -> list[str]:
        """What is left that nobody needs: containers, volumes, processes, unfinished files."""
        left = [f"container {name[:12]}" for name in self.containers()]
        left += [f"volume {name[:12]}" for name in self.volumes()]
        left += [f"process {pid}: {line[:80]}" for pid, line in self.processes().items()]
        left += [f"folder {path.name}" for path in self.temporary.glob("vace-bench-*")]
        for prefix in UNFINISHED:
            left += [f"file {path.name}" for path in self.reports.rglob(f"{prefix}*")]
        return left

    def close(self) -> None:
        """Ends whatever is left, and removes the corner."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.engine is not None:
            for container in self.containers():
                self.engine.remove(container)
            for volume in self.volumes():
                self.engine.remove_volume(volume)
        shutil.rmtree(self.folder, ignore_errors=True)
