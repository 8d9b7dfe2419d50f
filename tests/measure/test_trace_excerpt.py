"""harness.measure.trace_excerpt: a chunk of a trace, read like the whole."""

import gzip
import json
from pathlib import Path

import pytest

from harness.errors import CaseError
from harness.measure import trace_excerpt
from harness.measure.attribution import profiled_chunks
from harness.measure.trace_excerpt import excerpt, main
from tests.measure.made_traces import one_chunk, typical


def test_an_excerpt_is_attributed_like_the_trace(tmp_path: Path) -> None:
    whole = typical().write(tmp_path / "whole.json")
    part = tmp_path / "part.json.gz"
    part.write_bytes(excerpt(whole))
    chunks = profiled_chunks(whole, on_gpu=True)
    before = next(chunk for chunk in chunks if chunk.kind == "steady")
    (after,) = profiled_chunks(part, on_gpu=True)
    assert (after.busy_ms, after.kernels, after.span_ms) == (
        before.busy_ms,
        before.kernels,
        before.span_ms,
    )
    assert after.parts == before.parts
    assert after.gaps == before.gaps


def test_it_says_nothing_about_the_machine(tmp_path: Path) -> None:
    made = one_chunk(10.0)
    made.kernel(made.call("cudaLaunchKernel", 1.0, 1.1), 2.0, 3.0)
    document = json.loads(gzip.decompress(excerpt(made.write(tmp_path / "t.json"))))
    assert {event["pid"] for event in document["traceEvents"]} == {"host", "GPU"}
    assert min(event["ts"] for event in document["traceEvents"]) == 0.0
    known = {"ph", "cat", "name", "ts", "dur", "pid", "tid", "args"}
    assert all(set(event) <= known for event in document["traceEvents"])


def test_one_that_is_too_large_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = typical().write(tmp_path / "whole.json")
    monkeypatch.setattr(trace_excerpt, "LIMIT_BYTES", 100)
    with pytest.raises(CaseError, match="would have"):
        excerpt(whole)


def test_it_is_written_beside_the_traces_and_never_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    traces = tmp_path / "run" / "traces"
    traces.mkdir(parents=True)
    trace = traces / "e2e-inpainting-eager.json.gz"
    trace.write_bytes(gzip.compress(typical().write(tmp_path / "t.json").read_bytes()))
    assert main([str(trace)]) == 0
    written = tmp_path / "run" / "excerpts" / trace.name
    assert written.read_bytes() == excerpt(trace)
    assert main([str(trace)]) == 2
    assert "exists already; remove it first" in capsys.readouterr().err
    assert main([str(traces / "none.json.gz")]) == 2
