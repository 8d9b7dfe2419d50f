"""An engine on another host, through OpenSSH: its socket appears here as one of our own.

`ssh` does what it does on the command line: keys, agent, ~/.ssh/config, known hosts. One connection
serves all calls. The Docker SDK's own way over SSH needs paramiko installed even where it starts
`ssh` itself (docs/dependencies.md).
"""

import re
import shutil
import subprocess
import time
import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.errors import EngineError, UsageError

SCHEME = "ssh://"
ADDRESS = re.compile(
    r"ssh://(?:(?P<user>[^@/:\s-][^@/:\s]*)@)?(?P<host>\w[\w.-]*|\[[0-9a-fA-F:]+\])"
    r"(?::(?P<port>\d{1,5}))?(?P<socket>/[\w./-]*)?"
)
REMOTE_SOCKET = "/var/run/docker.sock"
OPEN_LIMIT_S = 30.0
POLL_S = 0.05
KEEP_ALIVE_S = 15
OPTIONS = (
    # Never asks, never shares a connection that someone else may close, notices a dead one.
    *("-T", "-S", "none", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes"),
    *("-o", f"ServerAliveInterval={KEEP_ALIVE_S}", "-o", "ServerAliveCountMax=4"),
    *("-o", "StreamLocalBindUnlink=yes", "-o", "StreamLocalBindMask=0177"),
)


@dataclass(frozen=True)
class Address:
    """`ssh://[user@]host[:port][/path/of/docker.sock]`."""

    user: str
    host: str
    port: str
    socket: str

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Raises UsageError for what is no such address."""
        match = ADDRESS.fullmatch(text)
        if match is None:
            raise UsageError(
                f"'{text}' is no address of a host", next_step="write e.g. ssh://user@box"
            )
        parts = {name: value or "" for name, value in match.groupdict().items()}
        bare = parts["host"].strip("[]")
        return cls(parts["user"], bare, parts["port"], parts["socket"].rstrip("/") or REMOTE_SOCKET)

    @property
    def names(self) -> dict[str, str]:
        """What must not be published of it, with what stands for that."""
        names = {self.host: "<host>", self.user: "<user>"}
        return {name: shown for name, shown in names.items() if name not in ("", "root")}


class Tunnel:
    """A socket here that is the engine's there, for as long as this object lives."""

    def __init__(self, address: Address, environment: Mapping[str, str]) -> None:
        from harness.host.leftovers import temporary_folder  # which knows engines itself

        self._address = address
        self._environment = dict(environment)
        self._folder = temporary_folder()
        self._process: subprocess.Popen[bytes] | None = None
        self._end = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    @property
    def url(self) -> str:
        """For the Docker SDK."""
        return f"unix://{self._socket}"

    @property
    def _socket(self) -> Path:
        return self._folder / "docker.sock"

    @property
    def _log(self) -> Path:
        return self._folder / "ssh.log"

    def ensure(self) -> None:
        """Opens the tunnel, or opens it again if it has broken. Raises EngineError."""
        if self._process is not None and self._process.poll() is None:
            return
        self._socket.unlink(missing_ok=True)
        self._process = self._start()
        end_s = time.monotonic() + OPEN_LIMIT_S
        while not self._socket.exists():
            ended = self._process.poll() is not None
            if ended or time.monotonic() > end_s:
                self.close()
                why = self.last_words() if ended else f"no answer in {OPEN_LIMIT_S:.0f} s"
                raise EngineError(
                    f"no connection to {self._address.host} by ssh ({why})",
                    next_step=f"make `ssh {self._address.host} true` work without a password",
                )
            time.sleep(POLL_S)

    def close(self) -> None:
        """Ends the connection."""
        if self._process is not None:
            _hang_up(self._process)

    def last_words(self) -> str:
        """The last line that ssh printed."""
        lines = self._log.read_text(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")

    def _start(self) -> "subprocess.Popen[bytes]":
        address = self._address
        command = ["ssh", *OPTIONS, "-L", f"{self._socket}:{address.socket}"]
        command += ["-p", address.port] if address.port else []
        command += ["-l", address.user] if address.user else []
        # It reads our end of a pipe: however this process ends, the connection ends with it.
        command += ["--", address.host, "cat"]
        try:
            with self._log.open("wb") as log:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    env=self._environment,
                    start_new_session=True,  # Ctrl-C is for us: what we clean up needs the engine
                )
        except OSError as error:
            raise EngineError(
                f"ssh cannot be started ({error.strerror})", next_step="install OpenSSH's client"
            ) from error
        weakref.finalize(self, _hang_up, process)
        return process


def _hang_up(process: "subprocess.Popen[bytes]") -> None:
    with suppress(OSError):
        process.terminate()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()
