from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.measure.busy import busy_ms, device_spans, union_ns
from harness.record_parts import BusySample

spans = st.lists(
    st.tuples(st.integers(1, 200), st.integers(0, 40)).map(lambda s: (s[0], s[0] + s[1])),
    max_size=12,
)


@given(spans)
def test_the_union_equals_counting_every_nanosecond(parts: list[tuple[int, int]]) -> None:
    covered = {moment for begin, end in parts for moment in range(begin, end)}
    assert union_ns(parts) == len(covered)


def event(name: str, device: str, start: int, length: int, *, annotation: bool = False) -> Any:
    return SimpleNamespace(
        name=lambda: name,
        device_type=lambda: SimpleNamespace(name=device),
        is_user_annotation=lambda: annotation,
        start_ns=lambda: start,
        duration_ns=lambda: length,
    )


def test_only_work_of_the_device_counts() -> None:
    events = [
        event("gemm", "CUDA", 10, 5),
        event("Memcpy DtoD (Device -> Device)", "CUDA", 12, 10),
        event("chunk", "CUDA", 0, 100, annotation=True),
        event("Context Sync", "CUDA", 0, 90),
        event("Stream Wait Event", "CUDA", 0, 90),
        event("aten::mm", "CPU", 0, 80),
    ]
    kineto = SimpleNamespace(events=lambda: events)
    profiler = cast(Any, SimpleNamespace(profiler=SimpleNamespace(kineto_results=kineto)))
    assert device_spans(profiler) == [(10, 15), (12, 22)]
    assert union_ns(device_spans(profiler)) == 12


def test_the_middle_chunk_is_the_busy_time() -> None:
    samples = [
        BusySample(arm=None, chunk=4, kernels=1, busy_ms=ms, span_ms=9.0, sm_clock_mhz=None)
        for ms in (3.0, 9.0, 4.0)
    ]
    assert busy_ms(samples) == 4.0
    with pytest.raises(ValueError, match="no values"):
        busy_ms([])
