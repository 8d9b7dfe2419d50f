"""A container engine of a test's own: its own socket, data folder and containerd.

Whatever is done to it touches no container, image or volume of the user's engine. It needs root and
the programs dockerd and containerd, and starts only where VACE_BENCH_DESTRUCTIVE=1.
"""

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from harness.errors import EngineError
from harness.host.engine import Engine, connect

SWITCH = "VACE_BENCH_DESTRUCTIVE"
START_LIMIT_S = 60.0
STOP_LIMIT_S = 60.0
CONTAINERD_CONFIG = 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'


def why_not() -> str | None:
    """Why no private engine can be had here; None if one can."""
    if os.environ.get(SWITCH) != "1":
        return f"destructive: runs only with {SWITCH}=1, against an engine of its own"
    if os.geteuid() != 0:
        return "an engine of its own needs root"
    missing = [name for name in ("dockerd", "containerd") if shutil.which(name) is None]
    return f"{' and '.join(missing)} not found" if missing else None


class PrivateEngine:
    """dockerd and containerd under one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"unix://{folder}/docker.sock"
        self._processes: list[subprocess.Popen[bytes]] = []
        folder.mkdir(parents=True)
        (folder / "containerd.toml").write_text(CONTAINERD_CONFIG)
        (folder / "daemon.json").write_text("{}\n")  # in place of the user's

    def start(self) -> None:
        """Starts both and waits until the engine answers."""
        if not self._processes:
            self._containerd()
        for name in ("docker.pid", "docker.sock"):
            (self.folder / name).unlink(missing_ok=True)
        dockerd = self._spawn(
            "dockerd",
            *("--config-file", f"{self.folder}/daemon.json"),
            *("--data-root", f"{self.folder}/data", "--exec-root", f"{self.folder}/exec"),
            *("--pidfile", f"{self.folder}/docker.pid", "--host", self.address),
            *("--containerd", f"{self.folder}/containerd.sock"),
            *("--bridge", "none", "--iptables=false", "--ip6tables=false"),
        )
        self._processes.append(dockerd)
        end_s = time.monotonic() + START_LIMIT_S
        while not self.answers():
            if dockerd.poll() is not None or time.monotonic() > end_s:
                log = (self.folder / "dockerd.log").read_text(errors="replace")
                raise AssertionError(f"the private engine did not start: {log}")
            time.sleep(0.2)

    def answers(self) -> bool:
        """Whether the engine can be spoken to."""
        try:
            self.engine().version()
        except EngineError:
            return False
        return True

    def engine(self) -> Engine:
        """A connection to it. Raises EngineError while it is away."""
        return connect({"DOCKER_HOST": self.address})

    def stop(self) -> None:
        """Ends the engine in order: its containers end too."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kills the engine; its containers live on until it is started again."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """The engine accepts connections and answers nothing."""
        self._dockerd.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self._dockerd.send_signal(signal.SIGCONT)

    def load(self, source: Engine, image: str) -> None:
        """Copies an image from another engine."""
        for message in self.engine()._api.load_image(source._api.get_image(image)):
            if "error" in message:
                raise AssertionError(str(message["error"]))

    def close(self) -> None:
        """Ends both and removes the folder."""
        for process in reversed(self._processes):
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.terminate()
            try:
                process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()
        for line in Path("/proc/mounts").read_text().splitlines():
            if line.split()[1].startswith(f"{self.folder}/"):
                subprocess.run(["umount", "-l", line.split()[1]], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _dockerd(self) -> "subprocess.Popen[bytes]":
        return self._processes[-1]

    def _containerd(self) -> None:
        process = self._spawn(
            "containerd",
            *("--config", f"{self.folder}/containerd.toml"),
            *("--root", f"{self.folder}/containerd", "--state", f"{self.folder}/containerd-state"),
            *("--address", f"{self.folder}/containerd.sock"),
        )
        self._processes.append(process)

    def _spawn(self, program: str, *arguments: str) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{program}.log").open("ab") as log:
            return subprocess.Popen(
                [program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _end(self, number: signal.Signals) -> None:
        process = self._processes.pop()
        process.send_signal(number)
        process.wait(STOP_LIMIT_S)
