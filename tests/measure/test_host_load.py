import os
from pathlib import Path

import pytest

from harness.measure.host_load import HOST_FIELDS, HostProbe

PID = 4242


def stat_line(pid: int, ticks: int, core: int) -> str:
    """/proc/<pid>/stat with user and system time that sum to `ticks`, last run on `core`."""
    fields = ["S", *["0"] * 10, str(ticks), "0", *["0"] * 23, str(core), *["0"] * 13]
    return f"{pid} (a (odd) name) {' '.join(fields)}\n"


class FakeHost:
    """A /proc whose numbers the test sets."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("proc/loadavg", "0.50 0.40 0.30 3/512 9999\n")
        self.write("proc/cpuinfo", "processor : 0\ncpu MHz\t\t: 2000.0\n\ncpu MHz : 3100.5\n")
        self.set(busy=100, idle=900, own=50)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def set(self, *, busy: int, idle: int, own: int) -> None:
        self.write("proc/stat", f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 2 3\n")
        self.write(f"proc/{PID}/stat", stat_line(PID, own, 1))
        self.write(f"proc/{os.getpid()}/stat", stat_line(os.getpid(), 0, 0))


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path)


def test_a_sample_of_a_known_host(host: FakeHost) -> None:
    probe = HostProbe(PID, host.root)
    first = probe.sample()
    assert first == {"run_queue": 2, "other_cpu_share": None, "core_mhz": 3100.5}
    host.set(busy=200, idle=1200, own=110)  # 100 of 400 ticks busy, 60 of them ours
    assert probe.sample()["other_cpu_share"] == pytest.approx(0.1)
    assert probe.unsupported == {}


def test_own_time_alone_is_no_load_of_others(host: FakeHost) -> None:
    probe = HostProbe(PID, host.root)
    probe.sample()
    host.set(busy=200, idle=1000, own=150)
    assert probe.sample()["other_cpu_share"] == 0


def test_cpufreq_goes_before_cpuinfo(host: FakeHost) -> None:
    host.write("sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", "3400000\n")
    assert HostProbe(PID, host.root).sample()["core_mhz"] == 3400


def test_cpuinfo_is_read_once_a_second(host: FakeHost) -> None:
    now_s = [0.0]
    probe = HostProbe(PID, host.root, lambda: now_s[0])
    assert probe.sample()["core_mhz"] == 3100.5
    host.write("proc/cpuinfo", "cpu MHz : 1000\ncpu MHz : 1200\n")
    now_s[0] = 0.5
    assert probe.sample()["core_mhz"] == 3100.5
    now_s[0] = 1.5
    assert probe.sample()["core_mhz"] == 1200


def test_what_the_host_does_not_tell_is_null_with_a_reason(host: FakeHost) -> None:
    (host.root / "proc/loadavg").unlink()
    host.write("proc/cpuinfo", "processor : 0\n")
    probe = HostProbe(PID, host.root)
    sample = probe.sample()
    assert sample["run_queue"] is None and sample["core_mhz"] is None
    assert set(probe.unsupported) == {"run_queue", "core_mhz"}
    assert "no clock of this core" in probe.unsupported["core_mhz"]


def test_this_host_answers() -> None:
    probe = HostProbe(os.getpid())
    probe.sample()
    assert set(probe.sample()) == set(HOST_FIELDS)
    assert "run_queue" not in probe.unsupported
