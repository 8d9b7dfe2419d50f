"""The trace of torch.profiler in columns: what the host called and what the device did.

Kept are the complete events of the host (ranges, operators, runtime calls) and of the device
(kernels, copies, fills), in whole nanoseconds. Flows, Python frames, device annotations and waits
listed for the device are left out.
"""

import re
from array import array
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from harness.measure.trace_file import NO_CORRELATION, Event, event_batches, one_line, unusable
from harness.runtime_calls import Role, role_of

Ints = NDArray[np.int64]
ChunkKind = Literal["first", "filling", "steady"]

MOST_EVENTS = 10_000_000
MOST_CHUNKS = 1000
RANGE = "user_annotation"
HOST = {RANGE, "cpu_op", "cuda_runtime", "cuda_driver"}
DEVICE = {"kernel", "gpu_memcpy", "gpu_memset"}
CHUNK_RANGE = re.compile(r"chunk\.(first|filling|steady)\.([0-9]{1,9})")


class Kind(IntEnum):
    """What a host event is. Where two begin and end together, the lower one is the outer one."""

    CHUNK = 0
    STAGE = 1
    PART = 2
    ANNOTATION = 3  # any other range
    OPERATOR = 4
    CALL = 5  # of runtime or driver, and none of the following
    LAUNCH = 6  # launches kernels or a graph
    COPY = 7  # hands a copy or fill to the device
    SYNC = 8  # makes the host wait for the device


@dataclass(frozen=True)
class HostEvents:
    """Columns of host events, ordered by begin, the longer one first."""

    start_ns: Ints
    end_ns: Ints
    name: Ints  # index into the trace's names
    kind: Ints
    thread: Ints
    correlation: Ints

    def where(self, chosen: NDArray[Any]) -> "HostEvents":
        """The events of a mask or of indices."""
        return HostEvents(*(column[chosen] for column in vars(self).values()))


@dataclass(frozen=True)
class DeviceEvents:
    """Columns of kernels, copies and fills, ordered by begin."""

    start_ns: Ints
    end_ns: Ints
    correlation: Ints


@dataclass(frozen=True)
class ChunkWindow:
    """The range around one profiled chunk."""

    kind: ChunkKind
    index: int
    start_ns: int
    end_ns: int


@dataclass(frozen=True)
class Trace:
    """What a trace holds. The main thread is the one with the chunk ranges."""

    names: list[str]
    host: HostEvents
    device: DeviceEvents
    chunks: list[ChunkWindow]
    main_thread: int


@dataclass
class _Columns:
    """Events under way into columns: times in us, as the file has them."""

    ts_us: "array[float]" = field(default_factory=lambda: array("d"))
    dur_us: "array[float]" = field(default_factory=lambda: array("d"))
    correlation: "array[int]" = field(default_factory=lambda: array("q"))
    name: "array[int]" = field(default_factory=lambda: array("q"))
    thread: "array[int]" = field(default_factory=lambda: array("q"))


def read_trace(path: Path) -> Trace:
    """Reads a trace file, zipped or not.

    Raises CaseError as `event_batches` does, and naming the file if it holds more events or chunks
    than a profile has, no chunk range, or chunk ranges on several threads.
    """
    with one_line(path):
        return _collect(path, event_batches(path))


KIND_OF: dict[Role, Kind] = {"sync": Kind.SYNC, "copy": Kind.COPY, "launch": Kind.LAUNCH}


def call_kind(name: str) -> Kind:
    """Kind of a runtime or driver call, by its name."""
    return KIND_OF.get(role_of(name), Kind.CALL)


def _collect(path: Path, batches: Iterator[list[Event]]) -> Trace:
    host, device = _Columns(), _Columns()
    names: defaultdict[tuple[str, str], int] = defaultdict(lambda: len(names))
    threads: defaultdict[tuple[int | str, int | str], int] = defaultdict(lambda: len(threads))
    for batch in batches:
        if len(host.ts_us) + len(device.ts_us) > MOST_EVENTS:
            raise unusable(path, "holds more events than a few chunks have")
        for event in batch:
            if event.ph != "X":
                continue
            if event.cat in HOST:
                columns = host
                columns.name.append(names[event.cat, event.name])
                columns.thread.append(threads[event.pid, event.tid])
            elif event.cat in DEVICE:
                columns = device
            else:
                continue
            columns.ts_us.append(event.ts)
            columns.dur_us.append(event.dur)
            columns.correlation.append(event.args.correlation if event.args else NO_CORRELATION)
    return _trace(path, host, device, list(names))


def _trace(path: Path, host: _Columns, device: _Columns, keys: list[tuple[str, str]]) -> Trace:
    kinds = np.array([_kind(category, name) for category, name in keys], dtype=np.int64)
    name = np.array(host.name, dtype=np.int64)
    start_ns, end_ns = _bounds_ns(host)
    events = HostEvents(
        start_ns=start_ns,
        end_ns=end_ns,
        name=name,
        kind=kinds[name] if keys else name,
        thread=np.array(host.thread, dtype=np.int64),
        correlation=np.array(host.correlation, dtype=np.int64),
    )
    events = events.where(np.lexsort((events.kind, -events.end_ns, events.start_ns)))
    names = [name for _, name in keys]
    marks = events.where(events.kind == Kind.CHUNK)
    if marks.name.size == 0:
        raise unusable(path, "has no chunk range (`chunk.<kind>.<index>`)")
    if marks.name.size > MOST_CHUNKS:
        raise unusable(path, f"has more than {MOST_CHUNKS} chunk ranges")
    if np.unique(marks.thread).size > 1:
        raise unusable(path, "has chunk ranges on several threads")
    return Trace(
        names=names,
        host=events,
        device=_device_events(device),
        chunks=[
            _window(names[name], start, end)
            for name, start, end in zip(
                marks.name.tolist(), marks.start_ns.tolist(), marks.end_ns.tolist(), strict=True
            )
        ],
        main_thread=int(marks.thread[0]),
    )


def _device_events(columns: _Columns) -> DeviceEvents:
    start_ns, end_ns = _bounds_ns(columns)
    order = np.lexsort((end_ns, start_ns))
    correlation = np.array(columns.correlation, dtype=np.int64)
    return DeviceEvents(start_ns[order], end_ns[order], correlation[order])


def _bounds_ns(columns: _Columns) -> tuple[Ints, Ints]:
    start_ns = _whole_ns(np.array(columns.ts_us))
    return start_ns, start_ns + np.maximum(_whole_ns(np.array(columns.dur_us)), 0)


def _whole_ns(time_us: NDArray[np.float64]) -> Ints:
    """Exact: times a thousand, a time since months ago would not fit a float's 53 bits."""
    whole_us = np.floor(time_us)
    fraction_ns = np.rint((time_us - whole_us) * 1000)
    return whole_us.astype(np.int64) * 1000 + fraction_ns.astype(np.int64)


def _kind(category: str, name: str) -> Kind:
    if category == "cpu_op":
        return Kind.OPERATOR
    if category != RANGE:
        return call_kind(name)
    if CHUNK_RANGE.fullmatch(name):
        return Kind.CHUNK
    if name.startswith("stage."):
        return Kind.STAGE
    return Kind.PART if name.startswith("part.") else Kind.ANNOTATION


def _window(name: str, start_ns: int, end_ns: int) -> ChunkWindow:
    found = CHUNK_RANGE.fullmatch(name)
    assert found is not None, "only chunk ranges get here"
    return ChunkWindow(cast(ChunkKind, found[1]), int(found[2]), start_ns, end_ns)
