"""The trace of torch.profiler, read from its Chrome JSON (or JSON.gz) into columns.

The file is read block by block and never held as a whole. Kept are the complete events of the host
(ranges, operators, runtime calls) and of the device (kernels, copies, fills), in whole nanoseconds.
Flows, Python frames, device annotations and waits listed for the device are left out. A file that
unpacks to more than it should, or holds an event or a time beyond reason, is refused on the way.
"""

import gzip
import re
import stat
import zlib
from array import array
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import IO, Annotated, Any, Literal, cast

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from harness.errors import CaseError
from harness.runtime_calls import Role, role_of

Ints = NDArray[np.int64]
ChunkKind = Literal["first", "filling", "steady"]

BLOCK_BYTES = 1 << 23
LIMIT_BYTES = 1 << 31  # unpacked; three steady chunks have a quarter of it
MOST_EVENTS = 10_000_000
EVENT_LIMIT_BYTES = 1 << 26  # between two events
MOST_CHUNKS = 1000
GZIP_MAGIC = b"\x1f\x8b"
NO_CORRELATION = 0  # CUPTI counts from 1
RANGE = "user_annotation"
HOST = {RANGE, "cpu_op", "cuda_runtime", "cuda_driver"}
DEVICE = {"kernel", "gpu_memcpy", "gpu_memset"}
CHUNK_RANGE = re.compile(r"chunk\.(first|filling|steady)\.([0-9]{1,9})")
EVENTS_BEGIN = re.compile(rb'"traceEvents"\s*:\s*\[')
# `"ph"` is the first key of every event. A quoted name cannot hold this: its quotes are escaped.
EVENT_KEY = b'"ph"'
BETWEEN_EVENTS = re.compile(rb"\}\s*(,)\s*\{\s*\Z")
BETWEEN_BYTES = 64


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


# In whole nanoseconds both fit 63 bits, with room for differences: until the year 2065, and a day.
Time = Annotated[float, Meta(ge=-3e15, le=3e15)]
Lasting = Annotated[float, Meta(ge=-1e11, le=1e11)]


class _Args(msgspec.Struct, gc=False):
    correlation: int = NO_CORRELATION


class Event(msgspec.Struct, gc=False):
    """What is read of an event."""

    ph: str = ""
    cat: str = ""
    name: str = ""
    ts: Time = 0.0  # us
    dur: Lasting = 0.0  # us
    pid: int | str = 0
    tid: int | str = 0
    args: _Args | None = None


class _Document(msgspec.Struct):
    traceEvents: list[Event]  # noqa: N815 (the file's own name)


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

    Raises CaseError naming the file if it cannot be read, is no Chrome trace, is cut off, is beyond
    the limits above, or holds no chunk range.
    """
    with _one_line(path):
        return _collect(path, event_batches(path))


def event_batches(path: Path) -> Iterator[list[Event]]:
    """The events of a trace file, zipped or not, as many at a time as a block holds.

    Raises CaseError as `read_trace` does, for what concerns the file and not its chunks.
    """
    with _one_line(path):
        if not stat.S_ISREG(path.stat().st_mode):
            raise _unusable(path, "is no regular file")
        with path.open("rb") as raw:
            zipped = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
            raw.seek(0)
            stream = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if zipped else raw
            yield from _batches(path, stream)


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """What a damaged file raises, in one line."""
    try:
        yield
    except EOFError as error:
        raise _unusable(path, "is cut off") from error
    except (OSError, zlib.error) as error:
        raise _unusable(path, f"cannot be read ({error})") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError, RecursionError) as error:
        raise _unusable(path, f"is cut off or no Chrome trace ({error})") from error


KIND_OF: dict[Role, Kind] = {"sync": Kind.SYNC, "copy": Kind.COPY, "launch": Kind.LAUNCH}


def call_kind(name: str) -> Kind:
    """Kind of a runtime or driver call, by its name."""
    return KIND_OF.get(role_of(name), Kind.CALL)


def _unusable(path: Path, what: str) -> CaseError:
    return CaseError(f"trace {path.name} {what}", next_step="record the profile again")


def _batches(path: Path, stream: IO[bytes]) -> Iterator[list[Event]]:
    """The file's events, as many at a time as a block holds."""
    pending = _after_head(path, stream)
    decoder = msgspec.json.Decoder(list[Event])
    read_bytes = len(pending)
    while block := stream.read(BLOCK_BYTES):
        read_bytes += len(block)
        if read_bytes > LIMIT_BYTES or len(pending) > EVENT_LIMIT_BYTES:
            raise _unusable(path, "is larger than a trace of a few chunks")
        # Only the new bytes can hold a new boundary; a key may straddle the two.
        searched_to = max(0, len(pending) - BETWEEN_BYTES)
        pending += block
        comma = _last_boundary(pending, searched_to)
        if comma is not None:
            yield decoder.decode(b"[" + pending[:comma] + b"]")
            pending = pending[comma + 1 :]
    yield msgspec.json.decode(b'{"traceEvents":[' + pending, type=_Document).traceEvents


def _after_head(path: Path, stream: IO[bytes]) -> bytes:
    """Reads up to the first event; what was read of the events."""
    head = stream.read(BLOCK_BYTES)
    found = EVENTS_BEGIN.search(head)
    if found is None:
        raise _unusable(path, "is no Chrome trace: it does not begin with traceEvents")
    return head[found.end() :]


def _last_boundary(text: bytes, searched_to: int) -> int | None:
    """Place of the last comma between two events, if there is one."""
    place = len(text)
    while (place := text.rfind(EVENT_KEY, searched_to, place)) >= 0:
        before = max(0, place - BETWEEN_BYTES)
        if between := BETWEEN_EVENTS.search(text[before:place]):
            return before + between.start(1)
    return None


def _collect(path: Path, batches: Iterator[list[Event]]) -> Trace:
    host, device = _Columns(), _Columns()
    names: defaultdict[tuple[str, str], int] = defaultdict(lambda: len(names))
    threads: defaultdict[tuple[int | str, int | str], int] = defaultdict(lambda: len(threads))
    for batch in batches:
        if len(host.ts_us) + len(device.ts_us) > MOST_EVENTS:
            raise _unusable(path, "holds more events than a few chunks have")
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
        raise _unusable(path, "has no chunk range (`chunk.<kind>.<index>`)")
    if marks.name.size > MOST_CHUNKS:
        raise _unusable(path, f"has more than {MOST_CHUNKS} chunk ranges")
    if np.unique(marks.thread).size > 1:
        raise _unusable(path, "has chunk ranges on several threads")
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
