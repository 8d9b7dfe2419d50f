"""What the host does beside the case: run queue, other processes' CPU share, clock of our core.

Launch-bound work follows the host's CPU, so a chunk's time means little without it. Everything is
read from /proc and /sys; inside a container the first two still speak of the whole host.
"""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

HOST_FIELDS = ("run_queue", "other_cpu_share", "core_mhz")
CPUINFO_INTERVAL_S = 1.0  # reading it is slow on hosts with many cores
LAST_CPU_FIELD = 36  # of /proc/<pid>/stat, counted from the state, which is the first after ")"
TICKS_FIELDS = (11, 12)  # user and system time, counted likewise

Reading = float | None


class HostProbe:
    """Reads the host's load around one process. `unsupported` says why a field stays null."""

    def __init__(
        self, pid: int, root: Path = Path("/"), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._root = root
        self._own = (pid, os.getpid())
        self._pid = pid
        self._clock = clock
        self._busy_and_all: tuple[int, int] | None = None
        self._own_ticks = 0
        self._cpuinfo: list[float] = []
        self._cpuinfo_s = float("-inf")
        self.unsupported: dict[str, str] = {}

    def sample(self) -> dict[str, Reading]:
        """One entry a field of HOST_FIELDS: tasks, a share of all cores, MHz."""
        readers: dict[str, Callable[[], Reading]] = {
            "run_queue": self._run_queue,
            "other_cpu_share": self._other_cpu_share,
            "core_mhz": self._core_mhz,
        }
        return {name: self._read(name, reader) for name, reader in readers.items()}

    def _read(self, name: str, reader: Callable[[], Reading]) -> Reading:
        if name in self.unsupported:
            return None
        try:
            return reader()
        except (OSError, ValueError, IndexError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self.unsupported[name] = f"/proc or /sys does not tell ({reason})"
            return None

    def _run_queue(self) -> Reading:
        """Runnable tasks now, fourth field of /proc/loadavg ("3/512"), without this sampler."""
        running = int((self._root / "proc/loadavg").read_text().split()[3].partition("/")[0])
        return max(running - 1, 0)

    def _other_cpu_share(self) -> Reading:
        """Busy time of all cores since the last reading, less our own, over all their time."""
        fields = [int(word) for word in self._first_line("proc/stat").split()[1:9]]
        total, idle = sum(fields), fields[3] + fields[4]
        own = sum(self._ticks(pid) for pid in self._own)
        now, before, own_before = (total - idle, total), self._busy_and_all, self._own_ticks
        self._busy_and_all, self._own_ticks = now, own
        if before is None or now[1] <= before[1]:
            return None
        share = (now[0] - before[0] - (own - own_before)) / (now[1] - before[1])
        return round(min(max(share, 0.0), 1.0), 4)

    def _core_mhz(self) -> Reading:
        """Clock of the core that the process last ran on, from cpufreq, else /proc/cpuinfo."""
        core = int(self._stat(self._pid)[LAST_CPU_FIELD])
        governed = self._root / f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq"
        if governed.is_file():
            return int(governed.read_text()) / 1e3
        if self._clock() - self._cpuinfo_s >= CPUINFO_INTERVAL_S:
            text = (self._root / "proc/cpuinfo").read_text()
            self._cpuinfo = [float(mhz) for mhz in re.findall(r"(?m)^cpu MHz\s*:\s*(\S+)", text)]
            self._cpuinfo_s = self._clock()
        if core >= len(self._cpuinfo):
            raise ValueError("no clock of this core")
        return self._cpuinfo[core]

    def _ticks(self, pid: int) -> int:
        stat = self._stat(pid)
        return sum(int(stat[field]) for field in TICKS_FIELDS)

    def _stat(self, pid: int) -> list[str]:
        """Fields of /proc/<pid>/stat from the state on; the name before may hold blanks."""
        return self._first_line(f"proc/{pid}/stat").rpartition(")")[2].split()

    def _first_line(self, name: str) -> str:
        with (self._root / name).open() as file:
            return file.readline()
