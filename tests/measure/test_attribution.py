from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import CaseError
from harness.measure.attribution import NO_OPERATOR
from harness.profiled import PartTime, ProfiledChunk
from tests.measure.made_traces import NEVER_GIVEN, WORKER, MadeTrace, one_chunk, typical


def parts(chunk: ProfiledChunk) -> dict[tuple[str, str], PartTime]:
    return {(row.stage, row.part): row for row in chunk.parts}


def operators(chunk: ProfiledChunk) -> dict[tuple[str, str], tuple[int, float]]:
    return {(row.operator, row.part): (row.calls, row.device_ms) for row in chunk.operators}


def device_ms(chunk: ProfiledChunk) -> float:
    return sum(row.device_ms for row in chunk.parts)


def test_kernels_go_to_the_innermost_part_operator_and_stage(tmp_path: Path) -> None:
    (chunk,) = typical().analyse(tmp_path)
    rows = parts(chunk)
    assert (chunk.kind, chunk.chunk, chunk.wall_ms, chunk.event_ms) == ("steady", 4, 1.0, None)
    assert rows["encode", ""].device_ms == 0.330
    assert rows["denoise.0", "base/qkv/lora"].device_ms == 0.095
    assert rows["denoise.0", "base"].device_ms == 0.360
    assert rows["denoise.0", "base/qkv"].kernels == 0
    named = operators(chunk)
    assert named["aten::mm", "base/qkv/lora"] == (1, 0.095)
    assert named["aten::linear", "base/qkv/lora"] == (1, 0)
    assert named["sageattn", "base"] == (1, 0.360)
    assert named["aten::conv2d", ""] == (1, 0.330)
    assert chunk.unattributed_ms == 0
    assert chunk.host_calls["cudaLaunchKernel"] == 2


def test_host_time_is_exclusive_and_adds_up_to_the_chunk(tmp_path: Path) -> None:
    (chunk,) = typical().analyse(tmp_path)
    host_ms = {place: row.host_ms for place, row in parts(chunk).items()}
    assert host_ms == {
        ("", ""): 0.4,
        ("encode", ""): 0.3,
        ("denoise.0", ""): 0.02,
        ("denoise.0", "base"): 0.1,
        ("denoise.0", "base/qkv"): 0.11,
        ("denoise.0", "base/qkv/lora"): 0.07,
    }
    rows = parts(chunk)
    assert rows["", ""].sync_ms == 0.38
    assert rows["denoise.0", "base"].launch_ms == 0.01
    assert sum(host_ms.values()) == pytest.approx(chunk.wall_ms, abs=1e-9)


def test_repeated_ranges_are_one_and_entries_are_counted(tmp_path: Path) -> None:
    made = one_chunk()
    for start in (0, 100, 200):
        made.range("part.base", start, start + 90)
        made.range("part.base", start + 1, start + 80)
        made.range("part.lora", start + 2, start + 70)
        made.range("part.base", start + 3, start + 60)
    (chunk,) = made.analyse(tmp_path, on_gpu=False)
    calls = {place: row.calls for place, row in parts(chunk).items()}
    assert calls == {
        ("denoise.0", ""): 1,
        ("denoise.0", "base"): 3,
        ("denoise.0", "base/lora"): 3,
        ("denoise.0", "base/lora/base"): 3,
    }


def test_overlapping_streams_count_each_kernel_once_and_busy_time_once(tmp_path: Path) -> None:
    made = one_chunk()
    made.operator("aten::mm", 0, 50)
    made.launch((1, 2), (100, 300), stream=7)
    made.launch((3, 4), (200, 400), stream=9)
    (chunk,) = made.analyse(tmp_path)
    assert device_ms(chunk) == 0.4
    assert (chunk.busy_ms, chunk.span_ms, chunk.kernels) == (0.3, 0.3, 2)


def test_all_kernels_of_a_graph_belong_to_its_launch(tmp_path: Path) -> None:
    made = one_chunk()
    made.range("part.base", 0, 20)
    graph = made.call("cudaGraphLaunch", 5, 15)
    for start in (30, 50, 70):
        made.kernel(graph, start, start + 10)
    (chunk,) = made.analyse(tmp_path)
    row = parts(chunk)["denoise.0", "base"]
    assert (row.kernels, row.device_ms, row.launch_ms) == (3, 0.03, 0.01)
    assert operators(chunk)[NO_OPERATOR, "base"] == (3, 0.03)


def test_what_has_no_launch_or_no_place_is_unattributed(tmp_path: Path) -> None:
    made = MadeTrace()
    made.range("chunk.first.0", 0, 100)
    made.range("ProfilerStep#3", 0, 100)
    made.kernel(NEVER_GIVEN, 10, 20)
    made.kernel(777, 20, 21)  # its call is not in the trace
    made.launch((1, 2), (30, 33))  # no operator and no range
    made.launch((3, 4), (40, 41), thread=WORKER)
    made.operator("aten::mm", 5, 9)
    made.launch((6, 7), (50, 60))
    (chunk,) = made.analyse(tmp_path)
    assert chunk.unattributed_ms == 0.015
    assert (device_ms(chunk), chunk.kernels) == (0.01, 5)


def test_a_worker_s_launch_has_its_own_operator_and_no_part(tmp_path: Path) -> None:
    made = one_chunk()
    made.range("part.base", 0, 900)
    made.operator("aten::add", 10, 100)
    made.operator("aten::mul", 20, 30, thread=WORKER)
    made.launch((22, 24), (40, 50), thread=WORKER)
    (chunk,) = made.analyse(tmp_path)
    assert operators(chunk)["aten::mul", ""] == (1, 0.01)
    row = parts(chunk)["", ""]
    assert (row.kernels, row.device_ms, row.host_ms, row.launch_ms) == (1, 0.01, 0, 0)
    assert chunk.unattributed_ms == 0


def test_a_kernel_belongs_to_the_chunk_of_its_call(tmp_path: Path) -> None:
    made = MadeTrace()
    made.range("chunk.filling.3", 0, 100)
    made.range("chunk.steady.4", 100, 200)
    made.operator("aten::mm", 90, 99)
    made.launch((91, 95), (95, 150))
    made.operator("aten::mm", 101, 110)
    made.launch((102, 104), (150, 199))
    made.operator("aten::mm", 201, 210)  # between chunks: nobody's
    made.launch((202, 204), (204, 205))
    first, second = made.analyse(tmp_path)
    assert (first.kind, first.chunk, device_ms(first)) == ("filling", 3, 0.055)
    assert (second.kind, second.chunk, device_ms(second)) == ("steady", 4, 0.049)


def test_a_call_that_sticks_out_of_its_operator_is_still_its_own(tmp_path: Path) -> None:
    made = one_chunk()
    made.range("part.base", 10, 20)
    made.operator("aten::mm", 10, 20)
    made.launch((9.8, 19), (30, 40))
    made.operator("aten::add", 21, 30)
    made.launch((25, 30.3), (40, 41))
    (chunk,) = made.analyse(tmp_path)
    assert operators(chunk)["aten::mm", "base"] == (1, 0.01)
    assert operators(chunk)["aten::add", ""] == (1, 0.001)


def test_a_call_within_a_call_is_timed_once(tmp_path: Path) -> None:
    made = one_chunk()
    made.launch((50, 60), (70, 80))
    made.call("cuLaunchKernel", 52, 58)
    (chunk,) = made.analyse(tmp_path)
    assert parts(chunk)["denoise.0", ""].launch_ms == 0.01


def test_a_stage_that_ends_inside_a_part_hands_over_there(tmp_path: Path) -> None:
    made = MadeTrace()
    made.range("chunk.steady.4", 0, 100)
    made.range("stage.a", 0, 40)
    made.range("part.p", 20, 60)
    made.range("stage.b", 40, 100)
    (chunk,) = made.analyse(tmp_path, on_gpu=False)
    host_us = {place: round(row.host_ms * 1e3) for place, row in parts(chunk).items()}
    assert host_us == {("a", ""): 20, ("a", "p"): 20, ("b", "p"): 20, ("b", ""): 40}
    assert parts(chunk)["a", "p"].calls == 1


def test_a_gpu_trace_without_device_events_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match=r"trace trace\.json has no device events"):
        one_chunk().analyse(tmp_path)


TIMES = st.tuples(st.integers(0, 100), st.integers(0, 40)).map(lambda t: (t[0], t[0] + t[1]))
RANGES = ["stage.a", "stage.b", "part.p", "part.q", "sageattn"]


@settings(max_examples=60, deadline=None)
@given(
    ranges=st.lists(st.tuples(st.sampled_from(RANGES), TIMES), max_size=8),
    ops=st.lists(st.tuples(TIMES, st.sampled_from([100, WORKER])), max_size=6),
    launches=st.lists(st.tuples(TIMES, TIMES, st.booleans()), min_size=1, max_size=8),
)
def test_parts_add_up_whatever_the_trace(
    ranges: list[tuple[str, tuple[int, int]]],
    ops: list[tuple[tuple[int, int], int]],
    launches: list[tuple[tuple[int, int], tuple[int, int], bool]],
) -> None:
    made = MadeTrace()
    made.range("chunk.steady.9", 0, 150)
    for name, times in ranges:
        made.range(name, *times)
    for times, thread in ops:
        made.operator("aten::mm", *times, thread=thread)
    for call, kernel, known in launches:
        number = made.call("cudaLaunchKernel", *call)
        made.kernel(number if known else NEVER_GIVEN, *kernel)
    with TemporaryDirectory() as folder:
        (chunk,) = made.analyse(Path(folder))
    kernels_us = sum(end - start for _, (start, end), _ in launches)
    found_us = 1e3 * (device_ms(chunk) + chunk.unattributed_ms)
    assert found_us == pytest.approx(kernels_us, abs=1e-6)
    assert sum(row.device_ms for row in chunk.operators) == pytest.approx(device_ms(chunk))
    assert sum(row.host_ms for row in chunk.parts) == pytest.approx(0.15, abs=1e-9)
    idle_ms = sum(gap.idle_ms for gap in chunk.gaps)
    assert chunk.busy_ms + idle_ms == pytest.approx(chunk.span_ms, abs=1e-9)


def slow_places(ranges: list[tuple[str, int, int]], end_us: int) -> Counter[tuple[str, str]]:
    """Microseconds in each place, one by one. `ranges` nest and stand from outside to inside."""
    spent: Counter[tuple[str, str]] = Counter()
    for us in range(end_us):
        stage, path = "", list[str]()
        for name, start, end in ranges:
            kind, _, own = name.partition(".")
            if start <= us < end and kind == "stage":
                stage = own
            elif start <= us < end and path[-1:] != [own]:
                path.append(own)
        spent[stage, "/".join(path)] += 1
    return spent


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("pqr"), st.integers(0, 20), st.integers(0, 20))))
def test_host_places_are_those_of_a_slow_walk(drawn: list[tuple[str, int, int]]) -> None:
    ranges, low, high = [("stage.a", 0, 30), ("stage.b", 40, 60)], 0, 60
    for name, after, less in drawn:  # each inside the one before, or a new one after it
        start, end = low + after % 7, high - less % 7
        if start >= end:
            start, end = (end, 60) if end < 60 else (0, 60)
            ranges = [(n, a, min(b, start)) if n[0] == "p" else (n, a, b) for n, a, b in ranges]
        ranges.append((f"part.{name}", start, end))
        low, high = start, end
    ranges = [each for each in ranges if each[1] < each[2]]
    made = MadeTrace()
    made.range("chunk.steady.4", 0, 60)
    for each in ranges:
        made.range(*each)
    with TemporaryDirectory() as folder:
        (chunk,) = made.analyse(Path(folder), on_gpu=False)
    host_us = {place: round(row.host_ms * 1e3) for place, row in parts(chunk).items()}
    assert host_us == slow_places(ranges, 60)
