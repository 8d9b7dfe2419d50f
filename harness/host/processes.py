"""The local runner: each case is a subprocess of this interpreter, in a folder of its own.

The subprocess dies with the harness (PR_SET_PDEATHSIG) and starts with empty compile caches, as a
fresh container does.
"""

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from harness.errors import DeviceError, RecordError
from harness.host.leftovers import temporary_folder
from harness.host.runner import (
    PREFLIGHT_LIMIT_S,
    Category,
    Notify,
    OutputReader,
    case_limit_s,
    deadline,
    ended_without_record,
    keep_trace,
    read_record,
    utc_now,
)
from harness.job import (
    DEVICES_FILE,
    JOB_FILE,
    PREFLIGHT_FILE,
    RECORD_FILE,
    TRACE_FILE,
    Devices,
    Job,
    PreflightRequest,
)
from harness.result import Fact, Record, encode

PR_SET_PDEATHSIG = 1
PIECE_BYTES = 1 << 16
POLL_S = 0.5


@dataclass(frozen=True, kw_only=True)
class LocalRunner:
    """Runs cases on this host. `program` is the measured process's command line without options."""

    project: Path
    weights_dir: Path | None = None
    gpu: str | None = None
    warm_cache: Path | None = None  # compile caches of cases that ask for warm ones
    program: Sequence[str] = field(default=(sys.executable, "-m", "harness.measure"))

    def preflight(self, request: PreflightRequest) -> Devices:
        """Devices as the local torch sees them. Raises DeviceError if there is no usable torch."""
        request = msgspec.structs.replace(request, weights_dir=self._weights_path(), gpu=self.gpu)
        with _exchange() as folder:
            (folder / PREFLIGHT_FILE).write_bytes(encode(request))
            output = OutputReader(lambda progress: None)
            code = self._start("--preflight", folder, folder, PREFLIGHT_LIMIT_S, output)[0]
            try:
                return msgspec.json.decode((folder / DEVICES_FILE).read_bytes(), type=Devices)
            except (OSError, msgspec.MsgspecError) as error:
                last = (output.close().splitlines() or ["no output"])[-1]
                raise DeviceError(
                    f"the local preflight ended without an answer (exit {code}: {last})",
                    next_step="install torch (pip install 'vace-bench[local]'), or use "
                    "--runtime docker",
                ) from error

    def facts(self) -> dict[str, Fact]:
        """What a record says about the place: no container."""
        none = Fact(value=None, reason="the cases run without a container")
        return dict.fromkeys(("engine.version", "engine.gpu_way", "image.id"), none)

    def run(self, job: Job, clips: list[Path], notify: Notify, trace: Path | None = None) -> Record:
        """One case in a subprocess."""
        job = msgspec.structs.replace(job, weights_dir=self._weights_path(), gpu=self.gpu)
        started = utc_now()
        with _exchange() as folder:
            (folder / JOB_FILE).write_bytes(encode(job))
            for clip in clips:
                (folder / clip.name).symlink_to(clip)
            caches = self.warm_cache if job.case.warm_cache and self.warm_cache else folder
            output = OutputReader(notify)
            limit_s = case_limit_s(job.case)
            code, late = self._start("--job", folder, caches, limit_s, output)
            tail = output.close()
            if trace is not None and (folder / TRACE_FILE).is_file():
                keep_trace((folder / TRACE_FILE).read_bytes(), trace)
            record = folder / RECORD_FILE
            if record.exists():
                try:
                    return read_record(record.read_bytes(), job.case)
                except RecordError as error:
                    tail = f"{tail}\n{error.line}"
        category, message = _explain(code, limit_s if late else None)
        return ended_without_record(
            job.case,
            category=category,
            message=message,
            tail=tail,
            exit_code=code,
            started=started,
        )

    def _weights_path(self) -> str | None:
        return str(self.weights_dir.absolute()) if self.weights_dir else None

    def _start(
        self, option: str, folder: Path, caches: Path, limit_s: float, output: OutputReader
    ) -> tuple[int, bool]:
        """Runs the measured process to its end: its exit code, and whether the limit ended it."""
        process = subprocess.Popen(
            [*self.program, option, str(folder)],
            cwd=self.project,
            env=_environment(os.environ, self.project, caches),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with(os.getpid()),
        )
        try:
            with deadline(limit_s, process.kill) as limit:
                for piece in _output(process):
                    output.feed(piece)
                return process.wait(), limit.passed
        finally:
            _end_session(process)


def _output(process: "subprocess.Popen[bytes]") -> Iterator[bytes]:
    """Output until the process has ended, though a child of it may hold the pipe open."""
    assert process.stdout is not None
    handle = process.stdout.fileno()
    while True:
        ended = process.poll() is not None
        if select.select([handle], [], [], 0 if ended else POLL_S)[0]:
            piece = os.read(handle, PIECE_BYTES)
            if not piece:
                return
            yield piece
        elif ended:
            return


def _environment(outer: Mapping[str, str], project: Path, caches: Path) -> dict[str, str]:
    environment = dict(outer)
    old = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = f"{project}{os.pathsep}{old}" if old else str(project)
    environment["TORCHINDUCTOR_CACHE_DIR"] = str(caches / "inductor")
    environment["TRITON_CACHE_DIR"] = str(caches / "triton")
    return environment


def _explain(code: int, limit_s: float | None) -> tuple[Category, str]:
    if limit_s is not None:
        return "timeout", f"stopped after {limit_s:.0f} s"
    if code == -signal.SIGKILL:
        return "killed", "the process was killed from outside (SIGKILL)"
    return "bug", f"the process ended without a valid record (exit {code})"


@contextmanager
def _exchange() -> Iterator[Path]:
    folder = temporary_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # a dying process may still write into it


def _die_with(parent: int) -> Callable[[], None]:
    """For the new process: SIGKILL when its parent dies, at once if that has happened already."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def arrange() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return arrange


def _end_session(process: "subprocess.Popen[bytes]") -> None:
    """Ends the process and whatever it started (sampler, compile workers)."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
