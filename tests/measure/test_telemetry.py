import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.measure.telemetry import GpuGoneError, Telemetry

INTERVAL_S = 0.02
ROOT = Path(__file__).parents[2]


def command(samples: Path, *more: str) -> list[str]:
    fake = [sys.executable, "-m", "tests.measure.fake_nvml"]
    return [*fake, "--out", str(samples), "--interval", str(INTERVAL_S), *more]


@pytest.fixture(autouse=True)
def in_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def wait_for_samples(telemetry: Telemetry, count: int) -> None:
    deadline_s = time.monotonic() + 10
    while len(telemetry.samples_between(0, float("inf"))) < count:
        assert time.monotonic() < deadline_s, "no samples came"
        time.sleep(INTERVAL_S)


def test_samples_and_counters_on_one_time_axis(tmp_path: Path) -> None:
    samples = tmp_path / "samples.jsonl"
    start_s = time.monotonic()
    with Telemetry.start(command(samples), samples, INTERVAL_S) as telemetry:
        telemetry.read_counters("steady.0.start")
        wait_for_samples(telemetry, 5)
        telemetry.read_counters("steady.0.end")
    end_s = time.monotonic()
    state = telemetry.state()
    assert state.source == "nvml"
    assert state.sampler_version == "fake 1"
    assert all(start_s <= t_s <= end_s for t_s in state.series.t_s)
    assert state.series.t_s == sorted(state.series.t_s)
    assert set(map(len, state.series.fields.values())) == {len(state.series.t_s)}
    assert None not in state.series.fields["sm_clock_mhz"]
    temperatures = state.series.fields["temperature_c"]
    assert temperatures[0] == 41 and temperatures[1:] == [None] * (len(temperatures) - 1)
    assert [reading.label for reading in state.counters] == ["steady.0.start", "steady.0.end"]
    before, after = (reading.values["energy_mj"] for reading in state.counters)
    assert before is not None and after is not None and after > before
    assert telemetry.pcie_link == (5, 16)
    assert telemetry.power_source == "NVML_FI_DEV_POWER_INSTANT"
    assert telemetry.ready is not None
    assert telemetry.ready.idle["temperature_c"] == 41


def test_without_a_driver_there_is_a_reason(tmp_path: Path) -> None:
    samples = tmp_path / "samples.jsonl"
    with Telemetry.start(command(samples, "--no-driver"), samples, INTERVAL_S) as telemetry:
        telemetry.read_counters("steady.0.start")
        wait_for_samples(telemetry, 3)
    state = telemetry.state()
    assert (state.source, state.reason) == ("none", "NVML: code 9")
    assert state.series.t_s == []
    assert state.counters == []
    host = telemetry.host()
    assert host is not None and len(host.t_s) >= 3
    told = set(host.fields) | set(host.unsupported)
    assert told == {"run_queue", "other_cpu_share", "core_mhz", "sampler_ms"}


def test_nothing_is_sampled_while_the_sampler_is_paused(tmp_path: Path) -> None:
    samples = tmp_path / "samples.jsonl"
    with Telemetry.start(command(samples), samples, INTERVAL_S) as telemetry:
        wait_for_samples(telemetry, 2)
        with telemetry.paused():
            time.sleep(INTERVAL_S)  # a sample under way may still be written
            before = len(telemetry.samples_between(0, float("inf")))
            time.sleep(10 * INTERVAL_S)
            assert len(telemetry.samples_between(0, float("inf"))) == before
        wait_for_samples(telemetry, before + 2)


def test_a_killed_sampler_costs_the_rest_of_the_telemetry_only(tmp_path: Path) -> None:
    samples = tmp_path / "samples.jsonl"
    with Telemetry.start(command(samples), samples, INTERVAL_S) as telemetry:
        wait_for_samples(telemetry, 2)
        process = telemetry._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        telemetry.read_counters("steady.0.start")
        telemetry.read_counters("steady.0.end")
    state = telemetry.state()
    assert len(state.series.t_s) >= 2
    assert state.counters == []
    assert len(state.events) == 1
    assert "ended" in state.events[0]
    assert telemetry.troubles() == ["telemetry ended early: the sampler ended (exit code -9)"]


def test_a_sampler_that_is_killed_unnoticed_is_told_at_the_end(tmp_path: Path) -> None:
    """As beside a case on a CPU, or after the last timed block: nobody asks it any more."""
    samples = tmp_path / "samples.jsonl"
    with Telemetry.start(command(samples, "--no-driver"), samples, INTERVAL_S) as telemetry:
        wait_for_samples(telemetry, 2)
        process = telemetry._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert telemetry.troubles() == ["telemetry ended early: the sampler ended (exit code -9)"]
    assert "no samples after" in telemetry.state().events[0]


def test_a_gpu_that_is_lost_after_the_last_block_is_told(tmp_path: Path) -> None:
    samples = tmp_path / "samples.jsonl"
    with Telemetry.start(command(samples, "--lost-after", "60"), samples, INTERVAL_S) as telemetry:
        process = telemetry._process
        assert process is not None
        process.wait(timeout=10)
    (trouble,) = telemetry.troubles()
    assert trouble.startswith("telemetry ended early: the sampler ended: the GPU is lost")


def test_a_sampler_that_ends_in_order_is_no_trouble(tmp_path: Path) -> None:
    samples = tmp_path / "samples.jsonl"
    with Telemetry.start(command(samples), samples, INTERVAL_S) as telemetry:
        wait_for_samples(telemetry, 2)
    assert telemetry.troubles() == []
    assert telemetry.state().events == []


def test_a_lost_gpu_ends_the_case_and_keeps_the_samples(tmp_path: Path) -> None:
    samples = tmp_path / "samples.jsonl"
    lost = command(samples, "--lost-after", "60")
    with Telemetry.start(lost, samples, INTERVAL_S) as telemetry:
        process = telemetry._process
        assert process is not None
        assert process.wait(timeout=10) == 4
        with pytest.raises(GpuGoneError, match="lost") as caught:
            telemetry.read_counters("steady.0.start")
    assert caught.value.category == "device"
    assert telemetry.state().series.t_s


def test_the_sampler_ends_with_its_parent(tmp_path: Path) -> None:
    samples = tmp_path / "samples.jsonl"
    script = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    parent = subprocess.run(
        [sys.executable, "-c", script, *command(samples)], capture_output=True, text=True
    )
    pid = int(parent.stdout)
    deadline_s = time.monotonic() + 10
    while Path(f"/proc/{pid}/stat").exists() and "Z" not in _state(pid):
        assert time.monotonic() < deadline_s, "the sampler outlived its parent"
        time.sleep(0.05)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def test_throttling_between_two_readings_is_noticed(tmp_path: Path) -> None:
    from harness.record_parts import CounterReading

    telemetry = Telemetry.none("test")
    telemetry._readings = [
        CounterReading(t_s=t_s, label="x", values={"hw_thermal_ns": value, "sw_thermal_ns": None})
        for t_s, value in [(1.0, 100), (5.0, 100), (9.0, 250)]
    ]
    assert telemetry.throttled_ns(2.0, 3.0) == {"hw_thermal_ns": 0}
    assert telemetry.throttled_ns(6.0, 7.0) == {"hw_thermal_ns": 150}
    assert telemetry.throttled_ns(9.5, 9.9) == {}


DAMAGED_SAMPLER = """
import sys, time
out = open(sys.argv[1], "wb", buffering=0)
out.write(b'{"t_s": 1.0, "run_queue": 2}\\n')
out.write(b'{"t_s": "soon"}\\n{"run_queue": 3}\\n\\xff\\n' + b"[" * 100000 + b"\\n{}\\n")
out.write(b'{"t_s": 2.0, "run_queue": 4}\\n')
print('{"type": "ready", "version": "x", "facts": {}, "idle": {}, "power_source": null,'
      ' "unsupported": {}}', flush=True)
sys.stdin.readline()
print("no message" if len(sys.argv) == 2 else "[" * 100000, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("more", [[], ["nested"]])
def test_damaged_lines_cost_what_they_hold_and_not_the_case(
    tmp_path: Path, more: list[str]
) -> None:
    samples = tmp_path / "samples.jsonl"
    program = [sys.executable, "-c", DAMAGED_SAMPLER, str(samples), *more]
    with Telemetry.start(program, samples, INTERVAL_S) as telemetry:
        telemetry.read_counters("steady.0.start")
    state, host = telemetry.state(), telemetry.host()
    assert host is not None and host.t_s == [1.0, 2.0]
    assert "a line of the samples file was damaged and is left out" in state.events
    assert any("the sampler stopped answering" in event for event in state.events)
