from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from harness.measure.bench import Bench
from harness.measure.memory import measure_memory
from harness.measure.telemetry import Telemetry


class FakeCuda:
    """Counters that know whether they were reset before the work and read after it."""

    def __init__(self) -> None:
        self.order: list[str] = []

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        answers: dict[str, Any] = {
            "synchronize": None,
            "empty_cache": None,
            "reset_peak_memory_stats": None,
            "mem_get_info": (60, 100),
            "max_memory_allocated": 20,
            "max_memory_reserved": 30,
        }
        for name, value in answers.items():
            monkeypatch.setattr(torch.cuda, name, self._note(name, value))

    def _note(self, name: str, value: Any) -> Any:
        def call(*_: object) -> Any:
            self.order.append(name)
            return value

        return call


def bench_on(device: str) -> Bench:
    pipeline = SimpleNamespace(device=torch.device(device))
    return cast(Bench, SimpleNamespace(pipeline=pipeline, telemetry=Telemetry.none("test")))


def test_peaks_are_of_the_pass_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = FakeCuda()
    cuda.install(monkeypatch)
    monkeypatch.setattr("harness.measure.memory.SETTLE_S", 0)
    memory = measure_memory(bench_on("cuda"), lambda: cuda.order.append("work"))
    assert memory.allocated_peak_bytes == 20
    assert memory.reserved_peak_bytes == 30
    assert memory.device_peak_bytes == 40
    work = cuda.order.index("work")
    assert cuda.order.index("reset_peak_memory_stats") < work
    assert cuda.order.index("max_memory_allocated") > work


def test_the_samplers_peak_counts_where_it_is_higher(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeCuda().install(monkeypatch)
    monkeypatch.setattr("harness.measure.memory.SETTLE_S", 0)
    bench = bench_on("cuda")
    monkeypatch.setattr(
        bench.telemetry, "samples_between", lambda *_: [{"memory_used_bytes": 70}, {}]
    )
    assert measure_memory(bench, lambda: None).device_peak_bytes == 70


def test_a_cpu_says_why_there_is_nothing() -> None:
    memory = measure_memory(bench_on("cpu"), lambda: None)
    assert memory.allocated_peak_bytes is None
    assert memory.reason == "no CUDA device"
