"""An SSH server of the test's own, for the test's user, and an `ssh` that knows its keys."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_LIMIT_S = 20
SETTINGS = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
"""
CLIENT = """#!/bin/sh
exec {ssh} -F none -i {folder}/user -o UserKnownHostsFile=/dev/null \\
    -o StrictHostKeyChecking=no -o LogLevel=ERROR "$@"
"""


def programs() -> tuple[str, str, str] | None:
    """Paths of sshd, ssh and ssh-keygen; None if one is missing."""
    where = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    sshd, ssh, keygen = (shutil.which(name, path=where) for name in ("sshd", "ssh", "ssh-keygen"))
    if sshd is None or ssh is None or keygen is None:
        return None
    return sshd, ssh, keygen


@dataclass(frozen=True)
class SshServer:
    """A server that runs; `path` goes in front of PATH."""

    port: int
    path: Path
    process: "subprocess.Popen[bytes]"

    def url(self, engine_socket: str = "") -> str:
        """Its address for --host."""
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{engine_socket}"

    @property
    def environment(self) -> dict[str, str]:
        """In which `ssh` reaches it."""
        return {**os.environ, "PATH": f"{self.path}:{os.environ['PATH']}"}


@contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """Runs a server on a free port of this machine."""
    found = programs()
    assert found is not None
    sshd, ssh, keygen = found
    for name in ("host", "user"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # of its unprivileged part
    client = folder / "bin"
    client.mkdir()
    (client / "ssh").write_text(CLIENT.format(ssh=ssh, folder=folder))
    (client / "ssh").chmod(0o755)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "settings").write_text(SETTINGS.format(port=port, folder=folder))
    command = [sshd, "-D", "-f", folder / "settings", "-E", folder / "log"]
    process = subprocess.Popen(command)
    try:
        await_port(port, process, folder / "log")
        yield SshServer(port, client, process)
    finally:
        process.terminate()
        process.wait()


def await_port(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Returns once the server listens."""
    end_s = time.monotonic() + START_LIMIT_S
    while time.monotonic() < end_s and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"sshd did not start: {log.read_text() if log.exists() else 'no log'}")
