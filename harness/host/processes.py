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
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from harness.errors import DeviceError, RecordError, StorageError
from harness.host.interruption import check, shielded
from harness.host.leftovers import OWNER_VARIABLE, owner, temporary_folder
from harness.host.nvidia_smi import is_instance
from harness.host.runner import (
    GRACE_S,
    PREFLIGHT_LIMIT_S,
    Category,
    Notify,
    OutputReader,
    case_limit_s,
    deadline,
    ended_without_record,
    explain,
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
    limit_s: float | None = None  # of a case; left out: what its own budgets leave room for
    program: Sequence[str] = field(default=(sys.executable, "-m", "harness.measure"))

    def preflight(self, request: PreflightRequest) -> Devices:
        """Devices as the local torch sees them. Raises DeviceError if there is no usable torch."""
        request = msgspec.structs.replace(
            request, weights_dir=self._weights_path(), gpu=self._gpu_by_number
        )
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
        limit_s = self.limit_s or case_limit_s(job.case)
        job = msgspec.structs.replace(
            job, weights_dir=self._weights_path(), gpu=self._gpu_by_number, limit_s=limit_s
        )
        started = utc_now()
        with _exchange() as folder:
            _put(folder, job, clips)
            caches = self.warm_cache if job.case.warm_cache and self.warm_cache else folder
            output = OutputReader(notify)
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
        category, message = _explain(code, limit_s if late else None, tail)
        return ended_without_record(
            job.case,
            category=category,
            message=message,
            tail=tail,
            exit_code=code,
            started=started,
        )

    def recover(self) -> None:
        """Nothing to wait for: there is no engine."""

    @property
    def _gpu_by_number(self) -> str | None:
        """The GPU as CUDA counts; of MIG instances it sees one, by the environment."""
        return None if is_instance(self.gpu) else self.gpu

    def _weights_path(self) -> str | None:
        return str(self.weights_dir.absolute()) if self.weights_dir else None

    def _start(
        self, option: str, folder: Path, caches: Path, limit_s: float, output: OutputReader
    ) -> tuple[int, bool]:
        """Runs the measured process to its end: its exit code, and whether the limit ended it."""
        started_s = time.monotonic()
        process = None
        try:
            with shielded():
                process = self._spawn(option, folder, caches)
            with deadline(limit_s + GRACE_S, process.kill):
                for piece in _output(process):
                    output.feed(piece)
                code = process.wait()
            return code, code != 0 and time.monotonic() - started_s >= limit_s
        finally:
            if process is not None:
                with shielded():
                    _end_session(process)

    @property
    def _visible(self) -> dict[str, str]:
        return {"CUDA_VISIBLE_DEVICES": self.gpu} if self.gpu and is_instance(self.gpu) else {}

    def _spawn(self, option: str, folder: Path, caches: Path) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [*self.program, option, str(folder)],
            cwd=self.project,
            env=_environment(os.environ, self.project, caches) | self._visible,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=ends_with(os.getpid(), signal.SIGKILL),
        )


def _put(folder: Path, job: Job, clips: list[Path]) -> None:
    try:
        (folder / JOB_FILE).write_bytes(encode(job))
        for clip in clips:
            (folder / clip.name).symlink_to(clip)
    except OSError as error:
        raise StorageError(
            f"the case cannot be written into the temporary folder ({error.strerror})",
            next_step="free space there or set TMPDIR, then use --resume",
        ) from error


def _output(process: "subprocess.Popen[bytes]") -> Iterator[bytes]:
    """Output until the process has ended, though a child of it may hold the pipe open."""
    assert process.stdout is not None
    handle = process.stdout.fileno()
    while True:
        check()
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
    environment[OWNER_VARIABLE] = owner()
    return environment


def _explain(code: int, limit_s: float | None, tail: str) -> tuple[Category, str]:
    if limit_s is not None:
        return "timeout", f"stopped after {limit_s:.0f} s"
    return explain(128 - code if code < 0 else code, place="process", tail=tail)


@contextmanager
def _exchange() -> Iterator[Path]:
    folder = temporary_folder()
    try:
        yield folder
    finally:
        with shielded():
            shutil.rmtree(folder, ignore_errors=True)  # a dying process may still write into it


def ends_with(parent: int, number: signal.Signals) -> Callable[[], None]:
    """For the new process: a signal when its parent dies, at once if that has happened already."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def arrange() -> None:
        prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os.kill(os.getpid(), number)

    return arrange


def _end_session(process: "subprocess.Popen[bytes]") -> None:
    """Ends the process and whatever it started (sampler, compile workers)."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
