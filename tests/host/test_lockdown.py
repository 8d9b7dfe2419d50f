"""The container of a case is closed, seen from outside and tried from inside.

Each flag that closes it is dropped once, and the checks must report that. See
docs/security-container.md.
"""

import io
import json
import os
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from docker.types import Mount

from harness.host.containers import DockerRunner
from harness.host.engine import Engine
from harness.host.image import Image
from harness.host.lockdown import confinement, memory_limit
from harness.job import Job
from harness.result import Fact, Failure
from tests.host.lockdown import PROBE, inspect_problems, probe_problems
from tests.samples import case

JOB = Job(case=case(), salt="salt")
MARKER = "vace-bench-host-process-that-nobody-must-see"
# Prints who it is for the kernel: a copy of bash would drop the privilege by itself.
ESCAPE = "#include <stdio.h>\n#include <unistd.h>\nint main(void) { setuid(0); "
ESCAPE += 'puts(getuid() ? "still nobody" : "escaped as root"); return 0; }\n'

Change = Callable[[dict[str, Any], dict[str, Any]], None]


@dataclass(frozen=True, kw_only=True)
class Changed(DockerRunner):
    """A runner whose container a change may weaken."""

    change: Change = lambda settings, host: None

    def _settings(self, option: str, *, warm_cache: bool) -> dict[str, Any]:
        settings = super()._settings(option, warm_cache=warm_cache)
        self.change(settings, {})
        return settings

    def _host_settings(self, *, warm_cache: bool) -> dict[str, Any]:
        host = super()._host_settings(warm_cache=warm_cache)
        self.change({}, host)
        return host


class Watching(Engine):
    """An engine that keeps its description of the container that runs."""

    described: dict[str, Any]

    def start(self, container: str) -> None:
        super().start(container)
        self.described = self._api.inspect_container(container)


@pytest.fixture(scope="module")
def escape_image(engine: Engine, image: Image) -> Iterator[Image]:
    """The image with a setuid program of root's, as a careless base image may have."""
    tag, context = "vace-bench:test-escape", io.BytesIO()
    dockerfile = (
        f"FROM {image.tag}\nUSER root\nCOPY escape.c /\n"
        "RUN gcc -o /usr/bin/escape /escape.c && chmod 4755 /usr/bin/escape\nUSER 1000:1000\n"
    )
    with tarfile.open(fileobj=context, mode="w") as archive:
        for name, text in (("Dockerfile", dockerfile), ("escape.c", ESCAPE)):
            item = tarfile.TarInfo(name)
            item.size = len(text)
            archive.addfile(item, io.BytesIO(text.encode()))
    context.seek(0)
    messages = list(engine.build(context, tag, {}, "none"))
    assert not any("error" in message for message in messages), messages[-1]
    yield replace(image, tag=tag)
    engine.remove_image(tag)


@pytest.fixture(scope="module")
def host_process() -> Iterator[None]:
    """A process of the host with a telling name."""
    script = f"import time; time.sleep(600)  # {MARKER}"
    process = subprocess.Popen([sys.executable, "-c", script])
    yield
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def listener() -> Iterator[int]:
    """A service on the host's loopback; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@dataclass(frozen=True)
class Closed:
    """Runs the probe in a container and says what is wrong with it, from both sides."""

    engine: Engine
    image: Image
    port: int
    weights: Path

    def problems(self, change: Change | None = None) -> tuple[list[str], list[str]]:
        engine = Watching(self.engine._api, is_local=True)
        runner = Changed(
            engine=engine,
            image=self.image,
            run_id="test-lockdown",
            weights_dir=self.weights,
            program=("python", "-c", PROBE, MARKER[::-1], str(self.port)),
            **({} if change is None else {"change": change}),
        )
        record = runner.run(JOB, [], lambda progress: None)
        assert isinstance(record, Failure)  # the probe leaves no record: its output is the answer
        assert engine.described["State"]["Running"]
        memory_bytes = int(self.engine.information()["MemTotal"])
        seen = json.loads(record.detail)
        return (
            inspect_problems(engine.described, memory_bytes),
            probe_problems(seen, memory_bytes),
        )


@pytest.fixture
def closed(
    engine: Engine, escape_image: Image, host_process: None, listener: int, tmp_path: Path
) -> Closed:
    (tmp_path / "weights").mkdir(mode=0o777)
    (tmp_path / "weights").chmod(0o777)
    return Closed(engine, escape_image, listener, tmp_path / "weights")


def test_nothing_is_open(closed: Closed) -> None:
    assert closed.problems() == ([], [])
    assert list(closed.weights.iterdir()) == []


def dropped(*names: str) -> Change:
    def change(settings: dict[str, Any], host: dict[str, Any]) -> None:
        for name in names:
            host.pop(name, None)

    return change


def changed(**values: Any) -> Change:
    def change(settings: dict[str, Any], host: dict[str, Any]) -> None:
        if host:
            host.update(values)

    return change


def as_root(settings: dict[str, Any], host: dict[str, Any]) -> None:
    if settings:
        settings["user"] = "0:0"


def writable_weights(settings: dict[str, Any], host: dict[str, Any]) -> None:
    for mount in host.get("mounts", []):
        mount["ReadOnly"] = False


def mounted_socket(settings: dict[str, Any], host: dict[str, Any]) -> None:
    if host:
        socket_path = "/var/run/docker.sock"
        host["mounts"] = [*host["mounts"], Mount(socket_path, socket_path, type="bind")]


# The flag that is dropped, and what each side must then report.
DROPPED: dict[str, tuple[Change, str, str]] = {
    "user": (as_root, "the user is root", "it is root"),
    "cap_drop": (dropped("cap_drop"), "CapDrop is None", "it has capabilities (CapBnd"),
    "no-new-privileges": (
        dropped("security_opt", "cap_drop"),
        "new privileges are allowed",
        "a setuid program made it root",
    ),
    "seccomp": (
        changed(security_opt=["no-new-privileges", "seccomp=unconfined"]),
        "security option seccomp=unconfined",
        "keyring succeeded",
    ),
    "read_only": (dropped("read_only"), "ReadonlyRootfs is False", "its root is writable"),
    "network": (changed(network_mode="host"), "NetworkMode is 'host'", "connect succeeded"),
    "pids_limit": (
        dropped("pids_limit"),
        "processes have no limit",
        "it may start processes without limit",
    ),
    "mem_limit": (
        dropped("mem_limit", "memswap_limit"),
        "memory has no limit",
        "it may take all memory",
    ),
    "ulimits": (dropped("ulimits"), "core files are allowed", "it may leave core files"),
    "init": (dropped("init"), "Init is None", "its first process is"),
    "tmpfs options": (
        changed(tmpfs={"/tmp": "exec,suid,dev,mode=1777"}),
        "/tmp lacks nodev, nosuid",
        "/tmp allows setuid programs or devices",
    ),
    "pid namespace": (
        changed(pid_mode="host"),
        "PidMode is the host's",
        "it sees the host's processes",
    ),
    "weights read-only": (writable_weights, "/weights is writable", "it wrote into /weights"),
    "no engine socket": (
        mounted_socket,
        "the engine's socket is mounted",
        "it reaches the engine's socket",
    ),
    "not privileged": (
        changed(privileged=True),
        "Privileged is True",
        "it has capabilities (CapBnd",
    ),
}


@pytest.mark.parametrize("flag", DROPPED)
def test_a_dropped_flag_is_reported(closed: Closed, flag: str) -> None:
    change, outside, inside = DROPPED[flag]
    if flag == "no engine socket" and not os.path.exists("/var/run/docker.sock"):
        pytest.skip("the engine's socket is elsewhere")
    inspected, probed = closed.problems(change)
    assert any(problem.startswith(outside) for problem in inspected), inspected
    assert any(problem.startswith(inside) for problem in probed), probed


def test_every_flag_of_the_confinement_is_dropped_once() -> None:
    """A flag that is added to the program must be added above."""
    tried = " ".join(DROPPED)
    names = {"security_opt": "no-new-privileges", "network_mode": "network", "tmpfs": "tmpfs",
             "memswap_limit": "mem_limit"}  # fmt: skip
    for flag in confinement(1):
        assert names.get(flag, flag) in tried, flag


@pytest.mark.parametrize(
    ("information", "expected"),
    [
        ({"MemoryLimit": True, "MemTotal": 1000}, Fact(value=900)),
        ({"MemTotal": 1000}, Fact(value=None, reason="the engine can limit no memory")),
        (
            {"MemoryLimit": True, "MemTotal": 0},
            Fact(value=None, reason="the engine does not tell its host's memory"),
        ),
    ],
)
def test_the_limit_of_memory_is_a_share_of_the_engines(
    information: dict[str, Any], expected: Fact
) -> None:
    assert memory_limit(information) == expected
