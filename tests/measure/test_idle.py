from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.measure.trace import Kind, call_kind
from harness.profiled import ProfiledChunk
from tests.measure.made_traces import NEVER_GIVEN, WORKER, MadeTrace, one_chunk

CAUSE_OF = {Kind.CALL: "launch", Kind.LAUNCH: "launch", Kind.COPY: "copy", Kind.SYNC: "sync"}


def causes_us(chunk: ProfiledChunk) -> dict[str, int]:
    total: dict[str, float] = {}
    for gap in chunk.gaps:
        total[gap.cause] = total.get(gap.cause, 0) + gap.idle_ms * 1e3
    return {cause: round(us) for cause, us in total.items()}


def first_kernel(end: float = 100) -> MadeTrace:
    """A chunk whose first kernel ends at a given time; what follows decides about the gap."""
    made = one_chunk()
    made.launch((1, 3), (10, end))
    return made


def test_work_that_was_queued_in_time_waits_in_the_queue(tmp_path: Path) -> None:
    made = first_kernel()
    made.launch((50, 60), (103, 200))
    (chunk,) = made.analyse(tmp_path)
    assert causes_us(chunk) == {"queue": 3}
    assert (chunk.gaps[0].gaps, chunk.gaps[0].part) == (1, "")


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("cudaStreamSynchronize", "sync"),
        ("cudaMemcpy", "sync"),
        ("cudaMemcpyAsync", "copy"),
        ("cudaMemsetAsync", "copy"),
        ("cudaEventRecord", "launch"),
        ("cudaLaunchKernel", "launch"),
    ],
)
def test_a_late_host_is_explained_by_the_call_it_was_in(
    tmp_path: Path, name: str, cause: str
) -> None:
    made = first_kernel()
    made.operator("aten::item", 80, 150)
    made.call(name, 90, 150)
    made.launch((150, 160), (165, 200))
    (chunk,) = made.analyse(tmp_path)
    expected = {"launch": 15}
    expected[cause] = expected.get(cause, 0) + 50
    assert causes_us(chunk) == expected


def test_between_calls_it_is_the_operator_or_python(tmp_path: Path) -> None:
    made = first_kernel()
    made.range("part.base", 120, 190)
    made.range("sageattn", 125, 190)  # Python code of an annotation is Python
    made.operator("aten::linear", 130, 170)
    made.operator("aten::mm", 140, 170)
    made.launch((150, 160), (158, 200))
    (chunk,) = made.analyse(tmp_path)
    assert causes_us(chunk) == {"python": 30, "operator": 20, "launch": 8}
    assert {gap.part for gap in chunk.gaps} == {"base"}
    assert [gap.cause for gap in chunk.gaps] == ["python", "operator", "launch"]


def test_a_call_under_way_when_the_gap_begins_is_launch_from_there_on(tmp_path: Path) -> None:
    made = first_kernel()
    made.launch((90, 110), (120, 200))
    (chunk,) = made.analyse(tmp_path)
    assert causes_us(chunk) == {"launch": 20}


def test_gaps_inside_a_graph_are_queue_even_while_it_is_being_launched(tmp_path: Path) -> None:
    made = first_kernel(40)
    graph = made.call("cudaGraphLaunch", 50, 100)
    for start in (60, 80, 110):
        made.kernel(graph, start, start + 10)
    (chunk,) = made.analyse(tmp_path)
    assert causes_us(chunk) == {"python": 10, "launch": 10, "queue": 30}
    assert {gap.cause: gap.gaps for gap in chunk.gaps}["queue"] == 2


def test_a_gap_is_only_where_no_stream_works(tmp_path: Path) -> None:
    made = first_kernel()
    made.launch((4, 5), (50, 150), stream=9)
    made.launch((6, 7), (120, 130))
    made.launch((8, 9), (151, 160), stream=9)
    (chunk,) = made.analyse(tmp_path)
    assert causes_us(chunk) == {"queue": 1}
    assert chunk.busy_ms == 0.149


def test_an_unknown_or_foreign_launch_is_explained_by_the_main_thread(tmp_path: Path) -> None:
    made = first_kernel()
    made.operator("aten::mm", 100, 110)
    made.kernel(NEVER_GIVEN, 120, 130)
    made.call("cudaDeviceSynchronize", 130, 150)
    made.operator("aten::mul", 100, 170, thread=WORKER)
    made.launch((150, 154), (160, 170), thread=WORKER)
    (chunk,) = made.analyse(tmp_path)
    assert causes_us(chunk) == {"operator": 10, "python": 10, "sync": 20, "launch": 10}


def test_a_kernel_before_its_call_keeps_the_sum(tmp_path: Path) -> None:
    made = first_kernel()
    made.launch((125, 130), (124, 140))  # clocks that differ
    (chunk,) = made.analyse(tmp_path)
    assert causes_us(chunk) == {"python": 24}


Times = tuple[int, int]
NAMES = ["cudaLaunchKernel", "cudaMemcpyAsync", "cudaStreamSynchronize", "cudaEventRecord"]


def slow_causes(
    calls: list[tuple[str, int, int]], operators: list[Times], kernels: list[tuple[int, Times]]
) -> dict[str, int]:
    """Looks at every microsecond of the span by itself."""
    ordered = sorted(kernels, key=lambda kernel: kernel[1])
    total: dict[str, int] = {}
    for us in range(ordered[0][1][0], max(end for _, (_, end) in ordered)):
        if any(start <= us < end for _, (start, end) in ordered):
            continue
        number, _ = next(kernel for kernel in ordered if kernel[1][0] > us)
        gap_start = max(end for _, (_, end) in ordered if end <= us)
        _, begin, end = calls[number]
        seen = any(other == number and start <= us for other, (start, _) in ordered)
        if seen or end <= gap_start:
            cause = "queue"
        elif us >= begin:
            cause = "launch"
        else:
            inside = [name for name, a, b in calls if a <= us < b]
            in_operator = any(a <= us < b for a, b in operators)
            cause = "operator" if in_operator else "python"
            cause = CAUSE_OF[call_kind(inside[0])] if inside else cause
        total[cause] = total.get(cause, 0) + 1
    return total


@settings(max_examples=100, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 80), min_size=2, max_size=12, unique=True).map(sorted),
    names=st.lists(st.sampled_from(NAMES), min_size=6, max_size=6),
    operators=st.lists(st.tuples(st.integers(0, 80), st.integers(1, 20)), max_size=4),
    kernels=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 90), st.integers(1, 15)), min_size=1, max_size=8
    ),
)
def test_causes_are_those_of_a_slow_walk_and_fill_the_span(
    cuts: list[int],
    names: list[str],
    operators: list[Times],
    kernels: list[tuple[int, int, int]],
) -> None:
    made = one_chunk(200)
    calls = [
        (name, start, end)
        for name, start, end in zip(names, cuts[::2], cuts[1::2], strict=False)  # the last may lack
    ]
    spans = [(start, start + length) for start, length in operators]
    # Distinct begins: which of two kernels that begin together ends a gap is not defined.
    unique = {start: (number % len(calls), (start, start + n)) for number, start, n in kernels}
    for call in calls:
        made.call(*call)
    for span in spans:
        made.operator("aten::mm", *span)
    for number, times in unique.values():
        made.kernel(number + 1, *times)
    with TemporaryDirectory() as folder:
        (chunk,) = made.analyse(Path(folder))
    assert causes_us(chunk) == slow_causes(calls, spans, list(unique.values()))
    idle_ms = sum(gap.idle_ms for gap in chunk.gaps)
    assert chunk.busy_ms + idle_ms == pytest.approx(chunk.span_ms, abs=1e-9)
