"""One chunk out of an exported trace, small enough for version control.

    python -m harness.measure.trace_excerpt reports/GPU/RUN/traces/CASE.json.gz

writes `reports/GPU/RUN/excerpts/CASE.json.gz`: the first steady chunk with its ranges, operators,
runtime calls, kernels and copies, their own names, lengths and correlation ids; times begin at the
chunk's start. It opens in Perfetto, and `read_trace` reads it like the whole. Arguments of kernels,
flows and everything about the machine stay behind.
"""

import argparse
import gzip
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import CaseError, HarnessError, UsageError
from harness.measure.trace import CHUNK_RANGE, DEVICE, HOST
from harness.measure.trace_file import Event, event_batches

FOLDER = "excerpts"
LIMIT_BYTES = 3 * 2**20


def excerpt(trace: Path) -> bytes:
    """The first steady chunk of a trace, as a zipped Chrome trace; the same bytes each time.

    Raises CaseError if the file cannot be read, has no steady chunk, or if the result is too large.
    """
    chunk = _first_steady(trace)
    begin_us, end_us = chunk.ts, chunk.ts + chunk.dur
    kept: list[dict[str, Any]] = []
    launched: set[int] = set()
    for batch in event_batches(trace):
        for event in batch:
            inside = begin_us <= event.ts and event.ts + event.dur <= end_us
            if event.ph == "X" and event.cat in HOST and inside:
                kept.append(_plain(event, begin_us, "host"))
                launched.add(_correlation(event))
    launched.discard(0)
    for batch in event_batches(trace):
        kept += [
            _plain(event, begin_us, "GPU")
            for event in batch
            if event.ph == "X" and event.cat in DEVICE and _correlation(event) in launched
        ]
    text = msgspec.json.encode({"schemaVersion": 1, "traceEvents": kept})
    blob = gzip.compress(text, 9, mtime=0)
    if len(blob) > LIMIT_BYTES:
        raise CaseError(f"the excerpt of {trace.name} would have {len(blob) >> 10} KiB")
    return blob


def _first_steady(trace: Path) -> Event:
    for batch in event_batches(trace):
        for event in batch:
            named = CHUNK_RANGE.fullmatch(event.name)
            if event.ph == "X" and named is not None and named[1] == "steady":
                return event
    raise CaseError(f"trace {trace.name} has no steady chunk", next_step="take another trace")


def _correlation(event: Event) -> int:
    return event.args.correlation if event.args else 0


def _plain(event: Event, begin_us: float, process: str) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "ph": "X",
        "cat": event.cat,
        "name": event.name,
        "ts": round(event.ts - begin_us, 3),
        "dur": event.dur,
        "pid": process,
        "tid": event.tid if process == "GPU" else "main",
    }
    if number := _correlation(event):
        plain["args"] = {"correlation": number}
    return plain


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the excerpt beside the run's traces. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m harness.measure.trace_excerpt")
    parser.add_argument("trace", type=Path, help="reports/GPU/RUN/traces/CASE.json.gz")
    trace: Path = parser.parse_args(arguments).trace
    target = trace.absolute().parent.parent / FOLDER / trace.name
    try:
        if target.exists():
            raise UsageError(f"{target.name} exists already", next_step="remove it first")
        blob = excerpt(trace)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(blob)
    except HarnessError as error:
        sys.stderr.write(f"error: {error.line}\n")
        return error.exit_code
    sys.stdout.write(f"{FOLDER}/{target.name}: {len(blob) >> 10} KiB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
