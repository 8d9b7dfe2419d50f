import itertools
import time
from collections.abc import Iterator

import pytest
import torch

from harness.measure.clock import StageClock


class FakeTime:
    """Nanoseconds that are told one after another."""

    def __init__(self, *milliseconds: float) -> None:
        self._next: Iterator[float] = iter(milliseconds)

    def monotonic_ns(self) -> int:
        return int(next(self._next) * 1e6)


def cpu_clock() -> StageClock:
    return StageClock(torch.device("cpu"))


def test_stages_of_one_name_add_up_and_sum_to_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = FakeTime(100, 101, 103, 107, 115, 131, 132, 140)
    monkeypatch.setattr("harness.measure.clock.time", ticks)
    clock = cpu_clock()
    clock.start(4)
    for stage in ("prepare", "denoise.0", "hints.0", "denoise.0"):
        clock.mark(stage)
    clock.start(5)
    clock.mark("prepare")
    first, second = clock.finish()
    assert (first.chunk, first.start_s, first.wall_ms) == (4, 0.1, 31)
    assert first.stage_ms == {"prepare": 3, "denoise.0": 20, "hints.0": 8}
    assert sum(first.stage_ms.values()) == first.wall_ms
    assert first.stage_host_ms == first.stage_ms
    assert first.event_ms is None
    assert (second.chunk, second.wall_ms, second.stage_ms) == (5, 9, {"prepare": 9})


def test_a_workload_without_marks_is_one_stage() -> None:
    clock = cpu_clock()
    clock.start(0)
    (timing,) = clock.finish()
    assert list(timing.stage_ms) == ["chunk"]


def test_a_clock_can_be_used_again_and_shares_the_samplers_axis() -> None:
    clock = cpu_clock()
    for chunk in range(2):
        before_s = time.monotonic()
        clock.start(chunk)
        clock.mark("sleep")
        time.sleep(0.01)
        (timing,) = clock.finish()
        assert before_s <= timing.start_s <= time.monotonic()
        assert 10 <= timing.wall_ms <= 1000
    assert clock.most_notes_per_chunk == 2


class FakeEvent:
    """A CUDA event that notes when it was recorded; reading too early is an error."""

    made = 0
    synchronised = False
    now_ms = 0.0

    def __init__(self, *, enable_timing: bool) -> None:
        assert enable_timing
        FakeEvent.made += 1
        self.at_ms = 0.0

    def record(self) -> None:
        self.at_ms = FakeEvent.now_ms

    def elapsed_time(self, after: "FakeEvent") -> float:
        assert FakeEvent.synchronised, "an event was read inside the block"
        return after.at_ms - self.at_ms


def test_events_are_pooled_and_read_after_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    def synchronise(_: torch.device) -> None:
        FakeEvent.synchronised = True

    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    monkeypatch.setattr(torch.cuda, "synchronize", synchronise)
    clock = StageClock(torch.device("cuda", 0))
    clock.reserve(5)
    assert FakeEvent.made == 5
    FakeEvent.synchronised = False
    clock.start(7)
    clock.mark("encode")
    FakeEvent.now_ms = 2.0
    clock.mark("decode")
    FakeEvent.now_ms = 5.0
    assert not FakeEvent.synchronised
    (timing,) = clock.finish()
    assert FakeEvent.made == 5
    assert timing.stage_ms == {"encode": 2.0, "decode": 3.0}
    assert timing.event_ms == 5.0
    assert set(timing.stage_host_ms) == {"encode", "decode"}
    assert sum(timing.stage_host_ms.values()) < 5.0  # the host went on without waiting


@pytest.mark.parametrize(
    ("host_ms", "device_ms", "walls_ms"),
    [
        # One graph a chunk, as on an H200: the host has called both chunks long before the end.
        ((0.0, 82.0, 398.6), (197.6, 201.0), (197.6, 201.0)),
        # The host waits inside each chunk, so it is the later one at every bound.
        ((0.0, 809.0, 1739.0), (808.5, 930.0), (809.0, 930.0)),
        # Drift between the two clocks never makes a chunk end after its block.
        ((0.0, 90.0, 400.0), (401.0, 1.0), (400.0, 0.0)),
    ],
)
def test_a_chunk_ends_when_the_device_has_done_it(
    monkeypatch: pytest.MonkeyPatch,
    host_ms: tuple[float, ...],
    device_ms: tuple[float, ...],
    walls_ms: tuple[float, ...],
) -> None:
    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: None)
    monkeypatch.setattr("harness.measure.clock.time", FakeTime(*host_ms))
    monkeypatch.setattr(FakeEvent, "synchronised", True)
    clock = StageClock(torch.device("cuda", 0))
    done_ms = [0.0, *itertools.accumulate(device_ms)]
    for chunk, now_ms in enumerate(done_ms[:-1]):
        monkeypatch.setattr(FakeEvent, "now_ms", now_ms)
        clock.start(chunk)
    monkeypatch.setattr(FakeEvent, "now_ms", done_ms[-1])
    timings = clock.finish()
    assert [timing.wall_ms for timing in timings] == pytest.approx(walls_ms, abs=1e-3)
    assert [timing.event_ms for timing in timings] == pytest.approx(device_ms)
    assert sum(timing.wall_ms for timing in timings) == pytest.approx(host_ms[-1])
    calls_ms = [sum(timing.stage_host_ms.values()) for timing in timings]
    assert calls_ms == pytest.approx([b - a for a, b in itertools.pairwise(host_ms)])
