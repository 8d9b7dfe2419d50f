import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from harness.errors import EngineError
from harness.host.engine import Engine, connect
from tests.host.fake_api import FakeApi, api_error

CONNECT = """
import sys
from harness.errors import EngineError
from harness.host.engine import connect
try:
    connect()
except EngineError as error:
    print(error.line)
    sys.exit(error.exit_code)
"""


def test_a_dead_socket_is_one_line_with_a_next_step() -> None:
    with pytest.raises(EngineError, match="cannot be reached") as caught:
        connect({"DOCKER_HOST": "unix:///nonexistent/docker.sock"})
    assert "No such file" in caught.value.line
    assert "--runtime local" in caught.value.next_step
    assert "\n" not in caught.value.line


def test_an_address_that_is_none_is_an_engine_error() -> None:
    with pytest.raises(EngineError):
        connect({"DOCKER_HOST": "nonsense://"})


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give the permission up")
def test_no_permission_on_the_socket_names_the_group() -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        os.chmod(folder, 0o755)
        path = Path(folder) / "docker.sock"
        server.bind(str(path))
        path.chmod(0o600)
        # Everything is imported as root: the interpreter itself may lie where nobody may look.
        drop = (
            "import os\nfrom harness.host.engine import connect\nos.setgid(65534)\nos.setuid(65534)"
        )
        answer = subprocess.run(
            [sys.executable, "-c", drop + CONNECT],
            env={**os.environ, "DOCKER_HOST": f"unix://{path}", "HOME": "/"},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
        )
    assert answer.returncode == 2, answer.stderr
    assert "no permission" in answer.stdout
    assert "docker group" in answer.stdout


def test_the_current_docker_context_is_honoured(tmp_path: Path) -> None:
    folder = tmp_path / "contexts" / "meta" / hashlib.sha256(b"far").hexdigest()
    folder.mkdir(parents=True)
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "far"}))
    meta = {
        "Name": "far",
        "Metadata": {},
        "Endpoints": {"docker": {"Host": f"unix://{tmp_path}/far.sock", "SkipTLSVerify": False}},
    }
    (folder / "meta.json").write_text(json.dumps(meta))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DOCKER")}
    answer = subprocess.run(
        [sys.executable, "-c", CONNECT + "\nraise SystemExit('connected')"],
        env={**environment, "DOCKER_CONFIG": str(tmp_path)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 2, answer.stderr  # the default engine may well answer; `far` cannot
    assert "cannot be reached" in answer.stdout


def test_an_unknown_context_is_named() -> None:
    with pytest.raises(EngineError, match="nowhere"):
        connect({"DOCKER_CONTEXT": "nowhere"})


class Refusing(FakeApi):
    def create_container(self, **settings: object) -> dict[str, str]:
        raise api_error(500, "no space left on device")


def test_a_refusal_keeps_the_engine_s_own_words() -> None:
    with pytest.raises(EngineError, match=r"create a container \(no space left on device\)"):
        Engine(Refusing(), is_local=True).create({}, {})


def test_what_is_not_there_is_none() -> None:
    engine = Engine(FakeApi(), is_local=True)
    assert engine.image("absent") is None
    assert engine.get("c1", "/absent") is None


def test_the_real_engine_tells_its_version(engine: Engine) -> None:
    assert engine.version().split()[1][0].isdigit()
    assert engine.information()["OSType"] == "linux"
    assert engine.image("no-such-image:never") is None
