"""The container runner: a fresh, locked-down container for the preflight and for every case.

Nothing of the host's file system is needed: the job goes into an anonymous volume and the record
comes out of it through the engine's archive calls. Only checkpoints are mounted, read-only, and
copied into the volume where the engine is remote.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from docker.types import LogConfig, Mount

from harness.errors import DeviceError, EngineError, RecordError
from harness.host.archives import only_file, packed
from harness.host.engine import ContainerEnd, Engine
from harness.host.gpu import Way
from harness.host.image import INSTALL_REPORT, Image
from harness.host.interruption import check, shielded
from harness.host.leftovers import CACHE_LABEL, labels, sweep_containers
from harness.host.lockdown import LOCKDOWN, USER_ID, confinement, memory_limit
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

EXCHANGE = "/exchange"
CACHE = "/cache"
WEIGHTS = "/weights"
MEMORY_FACT = "container.memory_limit_bytes"
RETURN_LIMIT_S = 120.0  # for an engine that restarts
RETURN_POLL_S = 1.0
ANSWERS_OF_A_RETURN = 3


@dataclass(frozen=True, kw_only=True)
class DockerRunner:
    """Runs cases in containers of one image. `way` is None for cases on the CPU."""

    engine: Engine
    image: Image
    run_id: str
    way: Way | None = None
    weights_dir: Path | None = None
    cpus: str | None = None  # of the engine's host, e.g. 0-15; left out: all
    limit_s: float | None = None  # of a case; left out: what its own budgets leave room for
    memory_bytes: int | None = None  # left out: a share of what the engine's host has
    program: tuple[str, ...] = ()  # replaces the image's entry point, for tests
    _told: dict[str, Fact] = field(default_factory=dict)  # by engine and image

    def preflight(self, request: PreflightRequest) -> Devices:
        """Devices as the container sees them. Raises DeviceError if the container cannot tell."""
        request = msgspec.structs.replace(request, weights_dir=self._weights_path(), gpu=None)
        output = OutputReader(lambda progress: None)
        self._ask_engine()
        with self._container("--preflight", warm_cache=False) as container:
            self._put(container, {PREFLIGHT_FILE: encode(request)}, [])
            end, _ = self._follow(container, PREFLIGHT_LIMIT_S, output)
            blob = self._read(container, f"{EXCHANGE}/{DEVICES_FILE}")
            self._told.update(install_facts(self._read(container, INSTALL_REPORT)))
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
            **self._told,
            "container.lockdown": Fact(value=LOCKDOWN),
            "engine.gpu_way": Fact(value=f"{way.name}: {way.reason}")
            if way
            else Fact(value=None, reason="the cases run on the CPU"),
        }

    def run(self, job: Job, clips: list[Path], notify: Notify, trace: Path | None = None) -> Record:
        """One case in a fresh container, which is gone afterwards whatever happened."""
        limit_s = self.limit_s or case_limit_s(job.case)
        job = msgspec.structs.replace(
            job, weights_dir=self._weights_path(), gpu=None, limit_s=limit_s
        )
        started = utc_now()
        output = OutputReader(notify)
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
        category, message = _explain(end, limit_s if late else None, tail)
        return ended_without_record(
            job.case,
            category=category,
            message=message,
            tail=tail,
            exit_code=end.exit_code,
            started=started,
        )

    def recover(self) -> None:
        """Waits for an engine that has gone and removes what the lost case left there.

        Raises EngineError if the engine stays away or has lost the image.
        """
        end_s = time.monotonic() + RETURN_LIMIT_S
        answers = 0  # in a row: an engine that is shutting down still answers for a while
        while answers < ANSWERS_OF_A_RETURN:
            time.sleep(RETURN_POLL_S)
            try:
                self._ask_engine()
                is_there = self.engine.image(self.image.tag) is not None
                sweep_containers(self.engine, own=True)
                answers += 1
            except EngineError:
                if time.monotonic() > end_s:
                    raise
                answers = 0
        if not is_there:
            raise EngineError(
                f"image {self.image.tag} was removed while the run was under way",
                next_step="go on with --resume, which builds it again",
            )

    def _ask_engine(self) -> None:
        """What a record says about the engine; asked again once it has restarted."""
        limit = memory_limit(self.engine.information())
        if self.memory_bytes is not None:
            limit = Fact(value=self.memory_bytes)
        self._told["engine.version"] = Fact(value=self.engine.version())
        self._told[MEMORY_FACT] = limit

    @contextmanager
    def _container(self, option: str, *, warm_cache: bool) -> Iterator[str]:
        settings = self._settings(option, warm_cache=warm_cache)
        host_settings = self._host_settings(warm_cache=warm_cache)
        container = None
        try:
            with shielded():  # a container whose id is not known yet could not be removed
                container = self.engine.create(settings, host_settings)
            yield container
        finally:
            if container is not None:
                with shielded():
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
        if MEMORY_FACT not in self._told:
            self._ask_engine()
        memory_bytes = self._told[MEMORY_FACT].value
        return {
            **confinement(memory_bytes if isinstance(memory_bytes, int) else None),
            "mounts": mounts,
            **({"cpuset_cpus": self.cpus} if self.cpus else {}),
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
        folders = {}
        if self.weights_dir is not None and not self.engine.is_local:
            folders["weights"] = self.weights_dir.resolve()
        with packed(files, clips, folders) as archive:
            self.engine.put(container, EXCHANGE, archive)

    def _follow(
        self, container: str, limit_s: float, output: OutputReader
    ) -> tuple[ContainerEnd, bool]:
        """Runs a container to its end: how it ended, and whether the limit ended it."""
        started_s = time.monotonic()
        with deadline(limit_s + GRACE_S, lambda: self.engine.kill(container)) as limit:
            self.engine.start(container)

            def is_lost() -> bool:
                check()
                return limit.failed is not None

            for piece in self.engine.follow(container, is_lost):
                output.feed(piece)
            end = self.engine.wait(container, limit_s + 2 * GRACE_S)
        return end, end.exit_code != 0 and time.monotonic() - started_s >= limit_s

    def _read(self, container: str, path: str) -> bytes | None:
        """One file of the container, or None if it is not there."""
        stream = self.engine.get(container, path)
        return None if stream is None else only_file(stream)


def install_facts(report: bytes | None) -> dict[str, Fact]:
    """What the image's install report says about torch and the packages that were kept."""
    if report is None:
        return {"torch.wheel_sha256": Fact(value=None, reason="the image has no install report")}
    content = json.loads(report)
    torch, kept = content["torch"], content["kept"]
    facts = {
        "torch.source": Fact(value=str(torch["source"])),
        # Equal for two images with the same packages, whenever they were built.
        "image.packages_sha256": Fact(value=hashlib.sha256(report).hexdigest()),
    }
    for name in ("file", "sha256"):
        reason = None if name in torch else "torch was kept from the base image"
        facts[f"torch.wheel_{name}"] = Fact(value=torch.get(name), reason=reason)
    if kept:
        names = ", ".join(f"{name} {version}" for name, version in sorted(kept.items()))
        facts["image.kept_packages"] = Fact(value=names)
    return facts


def _explain(end: ContainerEnd, limit_s: float | None, tail: str) -> tuple[Category, str]:
    if limit_s is not None:
        return "timeout", f"stopped after {limit_s:.0f} s"
    if end.out_of_memory:
        return "memory", "the container ran out of memory"
    return explain(end.exit_code, place="container", tail=tail)
