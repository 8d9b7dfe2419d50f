"""Large records in version control are kept compressed, each still one JSON document.

A record with a profile has half a megabyte, a seventh of it compressed, and `reports/` is to stay
small. `<record>.json.gz` stands for `<record>.json` wherever a record is read; sources in a report
name the document, not its wrapping.
"""

import gzip
import zlib
from pathlib import Path

from harness.intake import read_file

SUFFIX = ".gz"
COMPACT_FROM_BYTES = 64 * 2**10
GZIP_FORM = 31  # zlib's name for a gzip header with the largest window


def document_name(path: Path) -> str:
    """A record's file name without its wrapping."""
    return path.name.removesuffix(SUFFIX)


def read_document(path: Path, limit_bytes: int) -> bytes:
    """The bytes of a document, unpacked where its name says so.

    Raises OSError where the file cannot be opened, ValueError for what is no regular file, is
    damaged, or has more than `limit_bytes` packed or unpacked.
    """
    blob = read_file(path, limit_bytes)
    if path.suffix != SUFFIX:
        return blob
    unpacker = zlib.decompressobj(GZIP_FORM)
    try:
        document = unpacker.decompress(blob, limit_bytes + 1)
    except zlib.error as error:
        raise ValueError(f"is damaged ({error})") from error
    if len(document) > limit_bytes:
        raise ValueError(f"is larger than {limit_bytes >> 10} KiB")
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("is cut off, or goes on after its end")
    return document


def compacted(document: bytes) -> bytes:
    """The document compressed; the same bytes each time."""
    return gzip.compress(document, 9, mtime=0)
