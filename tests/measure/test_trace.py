import gzip
import json
import os
import resource
import time
from pathlib import Path

import pytest

from harness.errors import CaseError
from harness.measure import ranges as ranges_module
from harness.measure import trace as trace_module
from harness.measure import trace_file
from harness.measure.attribution import profiled_chunks
from harness.measure.trace import ChunkWindow, Kind, call_kind, read_trace
from tests.measure.made_traces import BASE_US, MAIN, MadeTrace, one_chunk, typical

FILE_MB = 60
RATE_MB_PER_S = 500 / 60
PEAK_GB = 4.0


def test_columns_hold_whole_nanoseconds_in_order(tmp_path: Path) -> None:
    made = one_chunk(10.25)
    made.operator("aten::mm", 1.001, 1.003)
    made.kernel(made.call("cudaLaunchKernel", 1.002, 1.003), 2.007, 3.5, cat="gpu_memset")
    trace = read_trace(made.write(tmp_path / "t.json"))
    base = BASE_US * 1000
    assert trace.chunks == [ChunkWindow("steady", 4, base, base + 10_250)]
    assert (trace.host.start_ns - base).tolist() == [0, 0, 1001, 1002]
    assert (trace.host.end_ns - base).tolist() == [10_250, 10_250, 1003, 1003]
    assert trace.host.kind.tolist() == [Kind.CHUNK, Kind.STAGE, Kind.OPERATOR, Kind.LAUNCH]
    assert [trace.names[name] for name in trace.host.name[2:]] == ["aten::mm", "cudaLaunchKernel"]
    assert trace.host.correlation.tolist() == [0, 0, 0, 1]
    assert (trace.device.start_ns - base).tolist() == [2007]
    assert trace.device.correlation.tolist() == [1]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cudaLaunchKernelExC", Kind.LAUNCH),
        ("cuLaunchKernel", Kind.LAUNCH),
        ("cudaGraphLaunch", Kind.LAUNCH),
        ("cudaLaunchHostFunc", Kind.CALL),
        ("cudaEventRecord", Kind.CALL),
        ("cudaMemcpyAsync", Kind.COPY),
        ("cuMemcpyDtoHAsync_v2", Kind.COPY),
        ("cudaMemsetAsync", Kind.COPY),
        ("cudaMemcpy", Kind.SYNC),
        ("cuMemcpyDtoH_v2", Kind.SYNC),
        ("cudaStreamSynchronize", Kind.SYNC),
        ("cuStreamSynchronize", Kind.SYNC),
    ],
)
def test_calls_are_told_apart_by_name(name: str, kind: Kind) -> None:
    assert call_kind(name) is kind


@pytest.mark.parametrize("block_bytes", [97, 1 << 10, 1 << 23])
@pytest.mark.parametrize("indent", [None, 1])
def test_any_block_size_and_layout_reads_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int, indent: int | None
) -> None:
    made = typical()
    made.range('odd }, {"ph" name', 1, 2)
    whole = profiled_chunks(made.write(tmp_path / "whole.json"), on_gpu=True)
    path = tmp_path / "other.json"
    path.write_text(
        json.dumps({"traceEvents": json.loads(made.text())["traceEvents"]}, indent=indent)
    )
    monkeypatch.setattr(trace_file, "BLOCK_BYTES", block_bytes)
    assert profiled_chunks(path, on_gpu=True) == whole


def test_zipped_or_not_is_seen_by_the_content(tmp_path: Path) -> None:
    plain = profiled_chunks(typical().write(tmp_path / "a.json.gz"), on_gpu=True)
    assert profiled_chunks(typical().write(tmp_path / "b.json", zipped=True), on_gpu=True) == plain


def damaged(folder: Path) -> dict[str, bytes]:
    text = typical().text()
    return {
        "cut in an event": text[: len(text) // 2],
        "cut between events": text[: text.rfind(b"},\n") + 1],
        "cut and zipped": gzip.compress(text)[:-40],
        "zipped nonsense": b"\x1f\x8bnonsense",
        "no JSON": b"PK\x03\x04 something",
        "another JSON": b'{"events": []}',
        "events of another form": b'{"traceEvents": [3, 4]}',
        "empty": b"",
        "nested without end": b'{"traceEvents": [{"ph": "X", "x": ' + b"[" * 100_000,
        "a time beyond 63 bits": event_with(ts=1e300),
        "a duration beyond reason": event_with(dur=1e15),
        "no number": event_with(ts=float("nan")),
        "an id beyond 63 bits": event_with(args={"correlation": 10**30}),
    }


def event_with(**changes: object) -> bytes:
    made = typical()
    made.events[3] |= changes
    return made.text()


@pytest.mark.parametrize("what", list(damaged(Path())))
def test_a_damaged_file_is_named_in_one_line(tmp_path: Path, what: str) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(damaged(tmp_path)[what])
    with pytest.raises(
        CaseError, match=r"trace run\.json (is cut off|is no Chrome|cannot be read)"
    ):
        read_trace(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match=r"trace none\.json cannot be read"):
        read_trace(tmp_path / "none.json")


def test_a_bomb_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_file, "LIMIT_BYTES", 1 << 25)
    path = tmp_path / "bomb.json.gz"
    with gzip.open(path, "wb") as packed:
        packed.write(typical().text().rstrip()[:-1])
        for _ in range(64):
            packed.write(b" " * (1 << 20))
    assert path.stat().st_size < 1 << 17
    with pytest.raises(CaseError, match=r"bomb\.json\.gz is larger than a trace"):
        read_trace(path)


def test_an_event_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_file, "EVENT_LIMIT_BYTES", 1 << 23)
    path = tmp_path / "long.json"
    path.write_bytes(b'{"traceEvents": [{"name": "' + b"x" * (1 << 25))
    with pytest.raises(CaseError, match="is larger than a trace"):
        read_trace(path)


def test_events_and_chunks_without_end_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = MadeTrace()
    for number in range(trace_module.MOST_CHUNKS + 1):
        made.range(f"chunk.steady.{number}", number, number + 1)
    path = made.write(tmp_path / "t.json")
    with pytest.raises(CaseError, match="more than 1000 chunk ranges"):
        read_trace(path)
    monkeypatch.setattr(trace_module, "MOST_EVENTS", 100)
    monkeypatch.setattr(trace_file, "BLOCK_BYTES", 1 << 12)
    with pytest.raises(CaseError, match="more events"):
        read_trace(path)


def test_parts_inside_parts_without_end_are_refused(tmp_path: Path) -> None:
    made = one_chunk(10_000)
    for number in range(300):
        made.range(f"part.deep{number}", 1 + number, 9_000 - number)
    with pytest.raises(CaseError, match="parts inside parts without end"):
        profiled_chunks(made.write(tmp_path / "t.json"), on_gpu=False)


def test_more_places_than_any_workload_has_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges_module, "MOST_PLACES", 10)
    made = one_chunk(1000)
    for number in range(20):
        made.range(f"part.p{number}", 10 * number, 10 * number + 5)
    with pytest.raises(CaseError, match="has 22 places"):
        profiled_chunks(made.write(tmp_path / "t.json"), on_gpu=False)


def test_a_chunk_number_of_many_digits_is_no_chunk(tmp_path: Path) -> None:
    made = MadeTrace()
    made.range("chunk.steady." + "9" * 5000, 0, 10)
    with pytest.raises(CaseError, match="has no chunk range"):
        read_trace(made.write(tmp_path / "t.json"))


def test_a_device_is_no_trace(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    for path in (tmp_path / "pipe.json", Path("/dev/zero"), tmp_path):
        with pytest.raises(CaseError, match="no regular file"):
            read_trace(path)


def test_chunk_ranges_are_needed_and_of_one_thread(tmp_path: Path) -> None:
    made = MadeTrace()
    made.range("chunk.warm.1", 0, 10)
    with pytest.raises(CaseError, match=r"trace t\.json has no chunk range"):
        read_trace(made.write(tmp_path / "t.json"))
    made.range("chunk.steady.1", 0, 10)
    made.range("chunk.steady.2", 20, 30, thread=MAIN + 1)
    with pytest.raises(CaseError, match="on several threads"):
        read_trace(made.write(tmp_path / "t.json"))


def write_long(path: Path, size_mb: float) -> None:
    """A trace of a given size with what a GPU chunk has most of, written from one template."""
    layer = MadeTrace()
    layer.range("part.base", 0, 100)
    layer.range("part.qkv", 1, 99)
    for start in range(2, 90, 8):
        layer.operator("aten::linear", start, start + 7)
        layer.operator("aten::mm", start + 1, start + 6)
        layer.launch((start + 2, start + 4), (start + 3, start + 9))
        layer.events[-1]["args"] |= {
            "registers per thread": 128,
            "warps per SM": 1.5,
            "pad": "x" * 90,
        }
    # Times and ids become fields, so that each repetition moves on.
    template = json.dumps(layer.events, indent=4)[1:-2].replace("{", "{{").replace("}", "}}")
    for event in layer.events:
        template = template.replace(str(event["ts"]), f"{{t{event['ts'] - BASE_US}:.3f}}", 1)
    keys = sorted({event["ts"] - BASE_US for event in layer.events})
    template = template.replace('"correlation": ', '"correlation": {c}')
    repeats = int(size_mb * 1e6 / len(template))
    made = one_chunk(100 * repeats)
    with path.open("w") as out:
        out.write('{"traceEvents": [' + json.dumps(made.events)[1:-1])
        for i in range(repeats):
            times = {f"t{key}": BASE_US + 100.0 * i + key for key in keys}
            out.write("," + template.format(c=i + 1, **times))
        out.write("]}")


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # Linux counts in KiB


@pytest.mark.slow
def test_a_big_trace_is_analysed_at_500_mb_a_minute(tmp_path: Path) -> None:
    path = tmp_path / "long.json"
    write_long(path, FILE_MB)
    before_gb, began_s = peak_gb(), time.process_time()
    chunk = profiled_chunks(path, on_gpu=True)[0]
    seconds = time.process_time() - began_s
    grown_gb = peak_gb() - before_gb
    size_mb = path.stat().st_size / 1e6
    print(
        f"{size_mb:.0f} MB in {seconds:.1f} s, peak RSS {peak_gb():.2f} GB, grown by {grown_gb:.2f}"
    )
    assert chunk.kernels > 10_000
    assert chunk.unattributed_ms == 0
    assert size_mb / seconds > RATE_MB_PER_S
    assert before_gb + grown_gb * 500 / size_mb < PEAK_GB
