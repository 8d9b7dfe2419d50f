"""The file of torch.profiler's trace, Chrome JSON (or JSON.gz), read event by event.

It is read block by block and never held as a whole. A file that unpacks to more than it should, or
holds an event or a time beyond reason, is refused on the way.
"""

import gzip
import re
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, cast

import msgspec
from msgspec import Meta

from harness.errors import CaseError

BLOCK_BYTES = 1 << 23
LIMIT_BYTES = 1 << 31  # unpacked; three steady chunks have a quarter of it
EVENT_LIMIT_BYTES = 1 << 26  # between two events
GZIP_MAGIC = b"\x1f\x8b"
NO_CORRELATION = 0  # CUPTI counts from 1
EVENTS_BEGIN = re.compile(rb'"traceEvents"\s*:\s*\[')
# `"ph"` is the first key of every event. A quoted name cannot hold this: its quotes are escaped.
EVENT_KEY = b'"ph"'
BETWEEN_EVENTS = re.compile(rb"\}\s*(,)\s*\{\s*\Z")
BETWEEN_BYTES = 64

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


def event_batches(path: Path) -> Iterator[list[Event]]:
    """The events of a trace file, zipped or not, as many at a time as a block holds.

    Raises CaseError naming the file if it cannot be read, is no Chrome trace, is cut off, or is
    beyond the limits above.
    """
    with one_line(path):
        if not stat.S_ISREG(path.stat().st_mode):
            raise unusable(path, "is no regular file")
        with path.open("rb") as raw:
            zipped = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
            raw.seek(0)
            stream = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if zipped else raw
            yield from _batches(path, stream)


@contextmanager
def one_line(path: Path) -> Iterator[None]:
    """What a damaged file raises, in one line."""
    try:
        yield
    except EOFError as error:
        raise unusable(path, "is cut off") from error
    except (OSError, zlib.error) as error:
        raise unusable(path, f"cannot be read ({error})") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError, RecursionError) as error:
        raise unusable(path, f"is cut off or no Chrome trace ({error})") from error


def unusable(path: Path, what: str) -> CaseError:
    """What is raised for a trace that cannot be used."""
    return CaseError(f"trace {path.name} {what}", next_step="record the profile again")


def _batches(path: Path, stream: IO[bytes]) -> Iterator[list[Event]]:
    """The file's events, as many at a time as a block holds."""
    pending = _after_head(path, stream)
    decoder = msgspec.json.Decoder(list[Event])
    read_bytes = len(pending)
    while block := stream.read(BLOCK_BYTES):
        read_bytes += len(block)
        if read_bytes > LIMIT_BYTES or len(pending) > EVENT_LIMIT_BYTES:
            raise unusable(path, "is larger than a trace of a few chunks")
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
        raise unusable(path, "is no Chrome trace: it does not begin with traceEvents")
    return head[found.end() :]


def _last_boundary(text: bytes, searched_to: int) -> int | None:
    """Place of the last comma between two events, if there is one."""
    place = len(text)
    while (place := text.rfind(EVENT_KEY, searched_to, place)) >= 0:
        before = max(0, place - BETWEEN_BYTES)
        if between := BETWEEN_EVENTS.search(text[before:place]):
            return before + between.start(1)
    return None
