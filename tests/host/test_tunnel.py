"""harness.host.tunnel: an engine behind a real SSH server is spoken to as one of this host."""

import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from harness.errors import CaseError, EngineError, StorageError, UsageError
from harness.host.engine import Engine, connect
from harness.host.in_turn import on_each
from harness.host.options import BenchOptions, Given
from harness.host.screen import Screen
from harness.host.spread import hosts_of
from harness.host.tunnel import Address
from harness.result import Result
from harness.store import RunFolder
from tests.host.conftest import REQUIRED, Invoke
from tests.host.ssh_server import SshServer, programs, ssh_server
from tests.host.test_clips import video

ROOT = Path(__file__).resolve().parents[2]
ANSWER = {"Version": "99.0", "ApiVersion": "1.41", "Platform": {"Name": "far away"}}
NOWHERE = "/nonexistent/docker.sock"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    if programs() is None:
        reason = "needs OpenSSH's server and client"
        pytest.fail(reason) if REQUIRED else pytest.skip(reason)
    with ssh_server(tmp_path_factory.mktemp("ssh")) as running:
        yield running


class Answering(BaseHTTPRequestHandler):
    """Says its version to whatever is asked."""

    def do_GET(self) -> None:
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "a socket"

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def far_socket(tmp_path: Path) -> Iterator[str]:
    """The socket of an engine that knows its version and nothing else."""
    path = f"{tmp_path}/far.sock"
    with socketserver.ThreadingUnixStreamServer(path, Answering) as far:
        far.daemon_threads = True
        threading.Thread(target=far.serve_forever, daemon=True).start()
        yield path
        far.shutdown()


def reached(server: SshServer, socket: str) -> Engine:
    return connect({**server.environment, "DOCKER_HOST": server.url(socket)})


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("ssh://box", ("", "box", "", "/var/run/docker.sock")),
        ("ssh://ada@Box.example.org:2222", ("ada", "Box.example.org", "2222", None)),
        (
            "ssh://ada@[fe80::1]/run/user/1000/x.sock",
            ("ada", "fe80::1", "", "/run/user/1000/x.sock"),
        ),
    ],
)
def test_addresses(text: str, parts: tuple[str, str, str, str | None]) -> None:
    user, host, port, socket = parts
    assert Address.parse(text) == Address(user, host, port, socket or "/var/run/docker.sock")


@pytest.mark.parametrize(
    "text",
    [
        "box", "ssh://", "tcp://box", "ssh://-oProxyCommand=x", "ssh://-l@box", "ssh://ada:pw@box",
        "ssh://box:x", "ssh://box/a b", "ssh://box/$(x)", "ssh://a@b@c", "ssh://box\n",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no address of a host"):
        BenchOptions.parse({"host": text})


def test_another_host_is_never_replaced_by_a_local_process() -> None:
    assert BenchOptions.parse({"host": "ssh://box"}).runtime == "docker"
    with pytest.raises(UsageError, match="leave out --runtime local"):
        BenchOptions.parse({"host": "ssh://box", "runtime": "local"})


def test_names_of_the_host_are_known_to_what_scrubs() -> None:
    options = BenchOptions.parse({"host": "ssh://ada@lovelace"})
    names = {"ssh://ada@lovelace": "<host>", "lovelace": "<host>", "ada": "<user>"}
    assert options.names({}) == names
    assert BenchOptions().names({"DOCKER_HOST": "ssh://ada@lovelace"}) == names
    assert BenchOptions().names({"DOCKER_HOST": "unix:///run/docker.sock"}) == {}


def test_an_engine_answers_through_the_tunnel(server: SshServer, far_socket: str) -> None:
    engine = reached(server, far_socket)
    assert engine.version() == "Docker 99.0 (far away)"
    assert (engine.is_local, engine.address) == (False, server.url(far_socket))


def test_a_tunnel_that_breaks_is_opened_again(server: SshServer, far_socket: str) -> None:
    engine = reached(server, far_socket)
    assert engine._tunnel is not None and engine._tunnel._process is not None
    first = engine._tunnel._process
    first.kill()
    first.wait()
    assert engine.version().startswith("Docker 99.0")
    assert engine._tunnel._process is not first


def test_what_stands_in_the_way_is_one_line(server: SshServer, far_socket: str) -> None:
    with pytest.raises(EngineError, match=rf"no engine answers at {NOWHERE} of 127\.0\.0\.1"):
        reached(server, NOWHERE)
    with pytest.raises(EngineError, match=r"no connection to 127\.0\.0\.1 by ssh \(.+\)"):
        connect({**server.environment, "DOCKER_HOST": "ssh://127.0.0.1:1"})
    with pytest.raises(EngineError, match="ssh cannot be started"):
        connect({"PATH": "/nonexistent", "DOCKER_HOST": server.url(far_socket)})


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_the_connection_ends_with_a_process_that_is_killed(
    server: SshServer, far_socket: str
) -> None:
    code = (
        "import time\nfrom harness.host.engine import connect\n"
        "engine = connect()\nprint('connected', flush=True)\ntime.sleep(300)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**server.environment, "DOCKER_HOST": server.url(far_socket)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdout.readline() == b"connected\n"
    (ssh,) = children(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    end_s = time.monotonic() + 20
    while Path(f"/proc/{ssh}").exists() and "Z" not in state(ssh):
        assert time.monotonic() < end_s, "ssh outlives its harness"
        time.sleep(0.05)


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_hosts_are_read_from_one_option() -> None:
    assert hosts_of({}) == []
    assert hosts_of({"host": "ssh://a, ssh://b"}) == ["ssh://a", "ssh://b"]
    for text in ("ssh://a,", "ssh://a,ssh://a"):
        with pytest.raises(UsageError, match="names a host twice, or none"):
            hosts_of({"host": text})
    with pytest.raises(UsageError, match="goes on where it was started"):
        hosts_of({"host": "ssh://a,ssh://b", "resume": "x"})


def compare(runs: list[Path]) -> str:
    return f"a table of {', '.join(run.name for run in runs)}"


def test_every_host_has_its_turn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(given: Given) -> Path:
        name = str(given["host"])[-1]
        if name == "b":
            raise EngineError("no engine there")
        return tmp_path / name / "report.md"

    hosts = ["ssh://a", "ssh://b", "ssh://c"]
    with pytest.raises(CaseError, match="1 of 3 hosts failed: ssh://b"):
        on_each("host", hosts, {"matrix": "quick"}, Screen(sys.stdout), run, compare)
    said = capsys.readouterr().out
    assert "host 2 of 3: no engine there" in said
    assert "a table of a, c" in said
    assert "next: invoke compare --a a --b c --across gpu" in said
    assert on_each("host", hosts[:1], {}, Screen(sys.stdout), run, compare) == [
        tmp_path / "a/report.md"
    ]

    def full(given: Given) -> Path:
        raise StorageError("disk full")

    with pytest.raises(StorageError):
        on_each("host", hosts, {}, Screen(sys.stdout), full, compare)


@pytest.mark.slow
def test_a_run_on_another_host_is_the_same_as_here(
    engine: Engine,
    image_arguments: list[str],
    invoke: Invoke,
    project: Path,
    server: SshServer,
    tmp_path: Path,
) -> None:
    """Over SSH and on the local engine: the same input, the same workload, comparable records."""
    (tmp_path / "one.toml").write_text(
        'name = "one"\n[[cases]]\nkind = ["e2e"]\nmode = ["inpainting"]\n'
        "blocks = 1\nchunks_per_block = 1\nwarmup_max_chunks = 5\n"
    )
    clip = video(tmp_path / "clip.mp4", frames=12)
    common = ["--quiet", "--matrix", str(tmp_path / "one.toml"), "--video", str(clip)]
    common += ["--device", "cpu", *image_arguments]
    socket = engine.address.removeprefix("http+unix://").removeprefix("unix://")
    there = ["--host", server.url(f"/{socket.lstrip('/')}" if socket else "")]
    runs = []
    for where in (there, ["--runtime", "docker"]):
        answer = invoke("bench", *common, *where, env={"PATH": server.environment["PATH"]})
        assert answer.returncode == 0, answer.stderr
        runs.append(RunFolder(Path(answer.stdout.strip()).parent).load())
    far, near = runs
    assert far.manifest.runtime_reason.startswith("asked for with --host")
    assert far.manifest.command[far.manifest.command.index("--host") + 1] == "<host>"
    (a,), (b,) = far.finished, near.finished
    assert isinstance(a, Result)
    assert a.clips == b.clips and a.clips[0].source == "file"
    assert a.vace_context_sha256 == b.vace_context_sha256
    assert set(a.provenance) == set(b.provenance)
    assert a.provenance["image.id"] == b.provenance["image.id"]
    compared = invoke("compare", "--a", far.path.name, "--b", near.path.name)
    assert compared.returncode in (0, 3, 4), compared.stderr
    for path in far.path.rglob("*.json"):
        assert "127.0.0.1" not in path.read_text()

    at_once = f"{there[1]},{there[1].replace('127.0.0.1', 'localhost')}"
    both = invoke(
        "bench",
        *common[1:],
        "--parallel",
        "--host",
        at_once,
        env={"PATH": server.environment["PATH"]},
    )
    assert both.returncode == 0, both.stdout + both.stderr
    for number in (1, 2):
        assert f"host {number}: [1/1] e2e-inpainting-eager: finished" in both.stdout
    assert "# Runs compared with" in both.stdout


def test_hosts_that_cannot_be_reached_are_each_told(invoke: Invoke) -> None:
    answer = invoke(
        "bench", "--host", "ssh://nobody@127.0.0.1:1,ssh://nobody@localhost:1", "--parallel"
    )
    assert answer.returncode == 2
    for number in (1, 2):
        assert f"host {number}: error: " in answer.stdout
    assert answer.stderr.startswith("error: 2 of 2 hosts failed: ")
