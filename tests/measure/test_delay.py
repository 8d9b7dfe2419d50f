import time

import torch

from harness.measure.delay import NO_DELAY, Delay, cycles_per_ms, spin


def test_no_delay_leaves_the_mark_alone() -> None:
    marks: list[str] = []
    assert NO_DELAY.after(marks.append) == marks.append


def test_a_delay_is_spread_over_the_marks() -> None:
    marks: list[str] = []
    mark = Delay(ms=60.0, pieces=3, cycles_per_ms=None).after(marks.append)
    start_s = time.monotonic()
    for stage in ("encode", "denoise.0", "decode"):
        mark(stage)
    took_ms = (time.monotonic() - start_s) * 1e3
    assert marks == ["encode", "denoise.0", "decode"]
    assert 60 <= took_ms < 90


def test_spinning_keeps_the_host_busy() -> None:
    before_s = time.process_time()
    spin(30)
    assert time.process_time() - before_s > 0.002  # a busy host may take most of the time away


def test_a_cpu_has_no_cycles_to_count() -> None:
    assert cycles_per_ms(torch.device("cpu")) is None
