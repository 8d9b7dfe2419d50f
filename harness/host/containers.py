"""The container runner: a fresh, locked-down container for the preflight and for every case.

Nothing of the host's file system is needed: the job goes into an anonymous volume and the record
comes out of it through the engine's archive calls. Only checkpoints are mounted, read-only, and
copied into the volume where the engine is remote.
"""

import io
import json
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import msgspec
from docker.types import LogConfig, Mount

from harness.errors import DeviceError, RecordError
from harness.host.engine import ContainerEnd, Engine
from harness.host.gpu import Way
from harness.host.image import Image
from harness.host.leftovers import CACHE_LABEL, labels
from harness.host.runner import (
    KILLED,
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

EXCHANGE = "/exchange"
CACHE = "/cache"
WEIGHTS = "/weights"
USER_ID = 1000
PIDS_LIMIT = 4096  # inductor starts a compile worker for each core
INSTALL_REPORT = "/opt/vace-bench/install.json"
LOCKDOWN = "network none, read-only root, no capabilities, no new privileges, user 1000"


@dataclass(frozen=True, kw_only=True)
class DockerRunner:
    """Runs cases in containers of one image. `way` is None for cases on the CPU."""

    engine: Engine
    image: Image
    run_id: str
    way: Way | None = None
    weights_dir: Path | None = None
    program: tuple[str, ...] = ()  # replaces the image's entry point, for tests
    _installed: dict[str, Fact] = field(default_factory=dict)

    def preflight(self, request: PreflightRequest) -> Devices:
        """Devices as the container sees them. Raises DeviceError if the container cannot tell."""
        request = msgspec.structs.replace(request, weights_dir=self._weights_path(), gpu=None)
        output = OutputReader(lambda progress: None)
        with self._container("--preflight", warm_cache=False) as container:
            self._put(container, {PREFLIGHT_FILE: encode(request)}, [])
            end, _ = self._follow(container, PREFLIGHT_LIMIT_S, output)
            blob = self._read(container, f"{EXCHANGE}/{DEVICES_FILE}")
            self._installed.update(install_facts(self._read(container, INSTALL_REPORT)))
        try:
            return msgspec.json.decode(blob or b"", type=Devices)
        except msgspec.MsgspecError as error:
            last = (output.close().splitlines() or ["no output"])[-1]
            raise DeviceError(
                f"the preflight container ended without an answer (exit {end.exit_code}: {last})",
                next_step="run `invoke doctor`",
            ) from error

    def facts(self) -> dict[str, Fact]:
        """What a record says about the container; complete once the preflight has run."""
        way = self.way
        return {
            **self.image.facts,
            **self._installed,
            "engine.version": Fact(value=self.engine.version()),
            "container.lockdown": Fact(value=LOCKDOWN),
            "engine.gpu_way": Fact(value=f"{way.name}: {way.reason}")
            if way
            else Fact(value=None, reason="the cases run on the CPU"),
        }

    def run(self, job: Job, clips: list[Path], notify: Notify, trace: Path | None = None) -> Record:
        """One case in a fresh container, which is gone afterwards whatever happened."""
        job = msgspec.structs.replace(job, weights_dir=self._weights_path(), gpu=None)
        started = utc_now()
        output = OutputReader(notify)
        limit_s = case_limit_s(job.case)
        with self._container("--job", warm_cache=job.case.warm_cache) as container:
            self._put(container, {JOB_FILE: encode(job)}, clips)
            end, late = self._follow(container, limit_s, output)
            blob = self._read(container, f"{EXCHANGE}/{RECORD_FILE}")
            exported = self._read(container, f"{EXCHANGE}/{TRACE_FILE}") if trace else None
        if trace is not None and exported is not None:
            keep_trace(exported, trace)
        tail = output.close()
        if blob is not None:
            try:
                return read_record(blob, job.case)
            except RecordError as error:
                tail = f"{tail}\n{error.line}"
        category, message = _explain(end, limit_s if late else None)
        return ended_without_record(
            job.case,
            category=category,
            message=message,
            tail=tail,
            exit_code=end.exit_code,
            started=started,
        )

    @contextmanager
    def _container(self, option: str, *, warm_cache: bool) -> Iterator[str]:
        container = self.engine.create(
            self._settings(option, warm_cache=warm_cache),
            self._host_settings(warm_cache=warm_cache),
        )
        try:
            yield container
        finally:
            self.engine.remove(container)

    def _settings(self, option: str, *, warm_cache: bool) -> dict[str, Any]:
        caches = CACHE if warm_cache else "/tmp"
        environment = {
            "HOME": "/tmp",
            "USER": "bench",
            "XDG_CACHE_HOME": "/tmp/cache",
            "TORCHINDUCTOR_CACHE_DIR": f"{caches}/inductor",
            "TRITON_CACHE_DIR": f"{caches}/triton",
        }
        if self.way is not None:
            environment |= self.way.environment
            if self.way.library_path:
                old = self.image.environment.get("LD_LIBRARY_PATH", "")
                environment["LD_LIBRARY_PATH"] = ":".join(
                    filter(None, [self.way.library_path, old])
                )
        settings: dict[str, Any] = {
            "image": self.image.tag,
            "command": [option, EXCHANGE],
            "user": f"{USER_ID}:{USER_ID}",
            "environment": environment,
            "labels": labels(self.run_id),
            "tty": False,
        }
        if self.program:
            settings["entrypoint"] = list(self.program)
        return settings

    def _host_settings(self, *, warm_cache: bool) -> dict[str, Any]:
        mounts = [Mount(EXCHANGE, None, type="volume", labels=labels(self.run_id))]
        if warm_cache:
            mounts.append(Mount(CACHE, self._cache_name(), labels={CACHE_LABEL: self.image.tag}))
        if self.weights_dir is not None and self.engine.is_local:
            source = str(self.weights_dir.absolute())
            mounts.append(Mount(WEIGHTS, source, type="bind", read_only=True))
        return {
            "network_mode": "none",
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "init": True,
            "pids_limit": PIDS_LIMIT,
            "tmpfs": {"/tmp": "exec,nosuid,nodev,mode=1777"},
            "mounts": mounts,
            # The engine's own default may be a driver whose output cannot be read back.
            "log_config": LogConfig(type="json-file", config={"max-size": "16m", "max-file": "1"}),
            **(self.way.host_settings if self.way else {}),
        }

    def _cache_name(self) -> str:
        return f"vace-bench-cache-{self.image.tag.rpartition(':')[2]}"

    def _weights_path(self) -> str | None:
        if self.weights_dir is None:
            return None
        return WEIGHTS if self.engine.is_local else f"{EXCHANGE}/weights"

    def _put(self, container: str, files: Mapping[str, bytes], clips: Iterable[Path]) -> None:
        with tempfile.TemporaryFile() as archive:
            with tarfile.open(fileobj=archive, mode="w") as tar:
                for name, blob in files.items():
                    item = _owned(tarfile.TarInfo(name))
                    item.size = len(blob)
                    tar.addfile(item, io.BytesIO(blob))
                for clip in clips:
                    tar.add(clip, clip.name, filter=_owned)
                if self.weights_dir is not None and not self.engine.is_local:
                    tar.add(self.weights_dir.resolve(), "weights", filter=_owned)
            archive.seek(0)
            self.engine.put(container, EXCHANGE, archive)

    def _follow(
        self, container: str, limit_s: float, output: OutputReader
    ) -> tuple[ContainerEnd, bool]:
        with deadline(limit_s, lambda: self.engine.kill(container)) as limit:
            self.engine.start(container)
            for piece in self.engine.follow(container):
                output.feed(piece)
            return self.engine.wait(container), limit.passed

    def _read(self, container: str, path: str) -> bytes | None:
        """One file of the container, or None if it is not there."""
        stream = self.engine.get(container, path)
        if stream is None:
            return None
        with tempfile.TemporaryFile() as archive:
            for piece in stream:
                archive.write(piece)
            archive.seek(0)
            return _only_file(archive)


def install_facts(report: bytes | None) -> dict[str, Fact]:
    """What the image's install report says about torch and the packages that were kept."""
    if report is None:
        return {"torch.wheel_sha256": Fact(value=None, reason="the image has no install report")}
    content = json.loads(report)
    torch, kept = content["torch"], content["kept"]
    facts = {"torch.source": Fact(value=str(torch["source"]))}
    for name in ("file", "sha256"):
        reason = None if name in torch else "torch was kept from the base image"
        facts[f"torch.wheel_{name}"] = Fact(value=torch.get(name), reason=reason)
    if kept:
        names = ", ".join(f"{name} {version}" for name, version in sorted(kept.items()))
        facts["image.kept_packages"] = Fact(value=names)
    return facts


def _explain(end: ContainerEnd, limit_s: float | None) -> tuple[Category, str]:
    if limit_s is not None:
        return "timeout", f"stopped after {limit_s:.0f} s"
    if end.out_of_memory:
        return "memory", "the container ran out of memory"
    if end.exit_code in (None, KILLED):
        how = "removed" if end.exit_code is None else "killed"
        return "killed", f"the container was {how} from outside"
    return "bug", f"the container ended without a valid record (exit {end.exit_code})"


def _owned(item: tarfile.TarInfo) -> tarfile.TarInfo:
    item.uid = item.gid = USER_ID
    item.uname = item.gname = ""
    item.mode = 0o755 if item.isdir() else 0o644
    return item


def _only_file(archive: IO[bytes]) -> bytes | None:
    with tarfile.open(fileobj=archive) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None:
                return content.read()
    return None
