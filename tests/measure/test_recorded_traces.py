"""Pieces of a trace recorded on a GPU, against figures that a slow reference computes by looking.

`traces/cut.py` says how they were cut. No trace with CUDA graphs has been recorded yet: those are
made by hand in `test_attribution` and `test_idle`.
"""

import gzip
import itertools
import json
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from harness.errors import CaseError
from harness.measure.attribution import profiled_chunks
from harness.profile_checks import chunk_problems
from harness.profiled import ProfiledChunk

FOLDER = Path(__file__).with_name("traces")
PIECES = {"blocks": "denoise.0", "hints": "hints.0", "update": "denoise.0", "end": "finish"}
IDLE_CALLS = (("Synchronize", "sync"), ("cudaMemcpyAsync", "copy"), ("cudaMemsetAsync", "copy"))


@dataclass(frozen=True)
class Timed:
    """An event in whole nanoseconds."""

    cat: str
    name: str
    start: int
    end: int
    correlation: int

    def holds(self, time: int) -> bool:
        return self.start <= time < self.end


def events_of(document: dict[str, Any]) -> list[Timed]:
    found = [
        Timed(
            event["cat"],
            event["name"],
            int(event["ts"] * 1000),
            int((event["ts"] + event["dur"]) * 1000),
            event.get("args", {}).get("correlation", 0),
        )
        for event in document["traceEvents"]
    ]
    return sorted(found, key=lambda event: (event.start, -event.end))


class Reference:
    """Every question is answered by looking at every event."""

    def __init__(self, piece: str) -> None:
        text = gzip.decompress((FOLDER / f"{piece}.json.gz").read_bytes())
        events = events_of(json.loads(text, parse_float=Decimal))
        self.ranges = [e for e in events if e.cat == "user_annotation"]
        self.operators = [e for e in events if e.cat == "cpu_op"]
        self.calls = [e for e in events if e.cat.startswith("cuda_")]
        self.device = [e for e in events if e.cat in ("kernel", "gpu_memcpy", "gpu_memset")]
        self.place = cache(self._place)
        self.by_correlation = {call.correlation: call for call in reversed(self.calls)}
        (self.chunk,) = [e for e in self.ranges if e.name.startswith("chunk.")]

    def _place(self, time: int) -> tuple[str, str]:
        stage, path = "", list[str]()
        for each in self.ranges:
            kind, _, own = each.name.partition(".")
            if each.holds(time) and kind == "stage":
                stage = own
            elif each.holds(time) and kind == "part" and path[-1:] != [own]:
                path.append(own)
        return stage, "/".join(path)

    def operator(self, time: int) -> str:
        """The innermost operator or annotation; of two that begin together, the operator."""
        kinds = ("chunk.", "stage.", "part.")
        named = [e for e in self.ranges if not e.name.startswith(kinds)] + self.operators
        around = [e for e in named if e.holds(time)]
        return (
            min(around, key=lambda e: (e.end - e.start, e.cat)).name if around else "(no operator)"
        )

    def doing(self, time: int) -> str:
        """What the main thread does."""
        call = next((call for call in self.calls if call.holds(time)), None)
        if call is None:
            return "operator" if any(e.holds(time) for e in self.operators) else "python"
        return next((cause for part, cause in IDLE_CALLS if part in call.name), "launch")

    def kernels(self) -> list[tuple[tuple[str, str], str, int]]:
        """(place, operator, time in ns) of each device event."""
        rows = []
        for event in self.device:
            call = self.by_correlation[event.correlation]
            middle = (call.start + call.end) // 2
            rows.append((self.place(middle), self.operator(middle), event.end - event.start))
        return rows

    def idle(self) -> Counter[tuple[str, str, str]]:
        """Idle ns by cause, stage and part."""
        total: Counter[tuple[str, str, str]] = Counter()
        covered = self.device[0].end
        for event in self.device[1:]:
            call = self.by_correlation[event.correlation]
            place = self.place((call.start + call.end) // 2)
            if event.start > covered and call.end <= covered:
                total[("queue", *place)] += event.start - covered
            elif event.start > covered:
                launch = min(max(call.start, covered), event.start)
                total[("launch", *place)] += event.start - launch
                for begin, end in self.pieces(covered, launch):
                    total[(self.doing(begin), *place)] += end - begin
            covered = max(covered, event.end)
        return +total

    def pieces(self, start: int, end: int) -> list[tuple[int, int]]:
        """An interval cut wherever anything on the host begins or ends."""
        host = [*self.ranges, *self.operators, *self.calls]
        inside = {t for e in host for t in (e.start, e.end) if start < t < end}
        bounds = sorted({start, end} | inside) if end > start else []
        return list(itertools.pairwise(bounds))


@pytest.fixture(scope="module", params=PIECES)
def both(request: pytest.FixtureRequest) -> tuple[ProfiledChunk, Reference]:
    (chunk,) = profiled_chunks(FOLDER / f"{request.param}.json.gz", on_gpu=True)
    return chunk, Reference(request.param)


Both = tuple[ProfiledChunk, Reference]


def ms(counter: Counter[Any]) -> dict[Any, float]:
    return {key: pytest.approx(ns / 1e6, abs=1e-9) for key, ns in counter.items() if ns}


def test_every_kernel_goes_to_its_part_and_its_operator(both: Both) -> None:
    chunk, reference = both
    parts, operators, kernels = Counter[Any](), Counter[Any](), Counter[Any]()
    for place, operator, ns in reference.kernels():
        parts[place] += ns
        kernels[place] += 1
        operators[operator, place[1]] += ns
    assert {(p.stage, p.part): p.device_ms for p in chunk.parts if p.device_ms} == ms(parts)
    assert {(p.stage, p.part): p.kernels for p in chunk.parts if p.kernels} == kernels
    found = {(o.operator, o.part): o.device_ms for o in chunk.operators if o.device_ms}
    assert found == ms(operators)
    assert chunk.unattributed_ms == 0


def test_nothing_counts_twice(both: Both) -> None:
    """An operator around the one that launches has no time of its own."""
    chunk, reference = both
    total_ms = sum(event.end - event.start for event in reference.device) / 1e6
    assert sum(part.device_ms for part in chunk.parts) == pytest.approx(total_ms)
    assert sum(item.device_ms for item in chunk.operators) == pytest.approx(total_ms)
    around = {"aten::linear", "aten::to", "aten::_to_copy", "aten::item", "aten::stack"}
    assert all(item.device_ms == 0 for item in chunk.operators if item.operator in around)
    called = Counter(event.name for event in reference.operators)
    for item in {item.operator for item in chunk.operators if item.operator in called}:
        assert sum(o.calls for o in chunk.operators if o.operator == item) == called[item]


def test_span_is_busy_and_idle(both: Both) -> None:
    chunk, reference = both
    busy, covered = 0, reference.device[0].start
    for event in reference.device:
        busy += max(0, event.end - max(event.start, covered))
        covered = max(covered, event.end)
    assert chunk.busy_ms == pytest.approx(busy / 1e6, abs=1e-9)
    span_ms = (covered - reference.device[0].start) / 1e6
    assert chunk.span_ms == pytest.approx(span_ms, abs=1e-9)
    assert chunk.busy_ms + sum(gap.idle_ms for gap in chunk.gaps) == pytest.approx(span_ms)
    assert chunk.kernels == len(reference.device)


def test_idle_time_has_the_cause_that_the_host_shows(both: Both) -> None:
    chunk, reference = both
    found = {(gap.cause, gap.stage, gap.part): gap.idle_ms for gap in chunk.gaps}
    assert found == ms(reference.idle())


def test_the_hosts_time_is_split_without_rest(both: Both) -> None:
    chunk, reference = both
    spent: Counter[tuple[tuple[str, str], str]] = Counter()
    own: Counter[tuple[str, str]] = Counter()
    for begin, end in reference.pieces(reference.chunk.start, reference.chunk.end):
        place, doing = reference.place(begin), reference.doing(begin)
        spent[place, doing] += end - begin
        if doing == "operator":
            own[reference.operator(begin), place[1]] += end - begin
    for part in chunk.parts:
        place = part.stage, part.part
        for doing, value in (("operator", part.operator_ms), ("python", part.python_ms)):
            assert value == pytest.approx(spent[place, doing] / 1e6, abs=1e-9), (place, doing)
        total = sum(ns for (where, _), ns in spent.items() if where == place)
        assert part.host_ms == pytest.approx(total / 1e6, abs=1e-9)
        assert part.sync_ms == pytest.approx(spent[place, "sync"] / 1e6, abs=1e-5)
    assert {(o.operator, o.part): o.host_ms for o in chunk.operators if o.host_ms} == ms(own)


def test_the_time_line_holds_what_the_chunk_holds(both: Both) -> None:
    chunk, reference = both
    line = chunk.timeline
    assert line is not None
    window = reference.chunk
    inside = sum(max(0, min(e.end, window.end) - e.start) for e in reference.device)
    rounding_ms = 0.0005 * len(line.busy) * line.bin_ms
    assert sum(line.busy) * line.bin_ms == pytest.approx(inside / 1e6, abs=rounding_ms)
    shares = [sum(values) for values in zip(*line.host.values(), strict=True)]
    assert shares == [pytest.approx(1.0, abs=0.003)] * len(line.busy)
    assert [mark.stage for mark in line.stages] == [chunk.parts[-1].stage or "finish"]


def test_the_pieces_are_what_they_were_cut_for() -> None:
    chunks = {p: profiled_chunks(FOLDER / f"{p}.json.gz", on_gpu=True)[0] for p in PIECES}
    calls = {
        piece: Counter({o.operator: o.calls for o in chunk.operators if o.part.endswith(part)})
        for piece, part, chunk in (
            ("blocks", "cache.index", chunks["blocks"]),
            ("hints", "vace/attention", chunks["hints"]),
        )
    }
    assert calls["blocks"]["aten::_local_scalar_dense"] == 14  # seven reads in each block
    assert calls["hints"]["flex_attention"] == 2
    rolls = [p for p in chunks["blocks"].parts if p.part == "base/cache.roll"]
    assert [(part.calls, part.kernels) for part in rolls] == [(2, 8)]
    writes = {p.part: p.calls for p in chunks["update"].parts if "cache" in p.part}
    assert writes["base/cache.update/cache.write"] == 30
    assert chunks["end"].host_calls["cudaDeviceSynchronize"] == 1
    for piece, stage in PIECES.items():
        assert {part.stage for part in chunks[piece].parts} <= {"", stage}
        assert chunk_problems(chunks[piece], on_gpu=True, stages=[stage]) == []


def without(piece: str, prefix: str, folder: Path) -> Path:
    """The piece without ranges of one kind."""
    document = json.loads(gzip.decompress((FOLDER / f"{piece}.json.gz").read_bytes()))
    document["traceEvents"] = [
        event for event in document["traceEvents"] if not event["name"].startswith(prefix)
    ]
    path = folder / "trace.json"
    path.write_text(json.dumps(document, separators=(",", ":")))
    return path


def test_missing_stage_marks_are_a_problem_and_lose_no_time(tmp_path: Path) -> None:
    whole, *_ = profiled_chunks(FOLDER / "blocks.json.gz", on_gpu=True)
    (chunk,) = profiled_chunks(without("blocks", "stage.", tmp_path), on_gpu=True)
    found = chunk_problems(chunk, on_gpu=True, stages=["denoise.0"])
    assert found[:2] == ["no range of stage denoise.0", "no stage ranges"]
    assert chunk.busy_ms == whole.busy_ms
    assert {part.part: part.device_ms for part in chunk.parts} == {
        part.part: part.device_ms for part in whole.parts
    }


def test_a_trace_without_its_chunk_mark_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="has no chunk range"):
        profiled_chunks(without("blocks", "chunk.", tmp_path), on_gpu=True)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.97])
def test_a_cut_off_file_is_refused(tmp_path: Path, share: float) -> None:
    packed = (FOLDER / "blocks.json.gz").read_bytes()
    text = gzip.decompress(packed)
    for name, blob in (("trace.json.gz", packed), ("trace.json", text)):
        path = tmp_path / name
        path.write_bytes(blob[: int(len(blob) * share)])
        with pytest.raises(CaseError, match=f"trace {name} is cut off"):
            profiled_chunks(path, on_gpu=True)
