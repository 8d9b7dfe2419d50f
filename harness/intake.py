"""How files from elsewhere are read: whole, regular, within limits, and never through a link.

A record, a plan or a matrix may come from a stranger. Nothing here knows their form; it refuses
what no honest one holds: devices and links, too many bytes, deep nesting, numbers beyond reason,
keys given twice. Callers turn the ValueError or OSError into the one line of their own error.
"""

import json
import os
import stat
from pathlib import Path
from typing import Any

MOST_DEPTH = 24  # of nested lists and objects; a record has 8
MOST_TEXT = 1 << 17  # characters of one text; the last lines of a failed case are the longest
MOST_KEY = 256
# Far beyond every time, rate and count here, and close enough that no sum or square overflows.
LARGEST = 2e19  # a counter of 64 bits fits
SMALLEST = 1e-30
MOST_DIGITS = 20


def read_file(path: Path, limit_bytes: int) -> bytes:
    """The bytes of a regular file.

    Raises OSError where it cannot be opened, ValueError for a link, a device, a pipe, or a file of
    more than `limit_bytes`.
    """
    if path.is_symlink():
        raise ValueError("is a link, which is not followed")
    # Without waiting: opening a pipe would otherwise last until someone writes into it.
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(handle, "rb", closefd=True) as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError("is no regular file")
        blob = file.read(limit_bytes + 1)
    if len(blob) > limit_bytes:
        raise ValueError(f"is larger than {limit_bytes >> 10} KiB")
    return blob


def refuse_links(root: Path, path: Path) -> None:
    """Raises ValueError if a folder between `root` and `path`, or `path` itself, is a link."""
    while path != root:
        if path.is_symlink():
            raise ValueError(f"{path.name} is a link, which is not followed")
        path = path.parent


def parse_json(blob: bytes) -> Any:
    """A JSON document as plain values.

    Raises ValueError for what is no JSON in UTF-8, a key given twice in one object, NaN,
    infinities, and whatever exceeds the limits above.
    """
    try:
        document = json.loads(
            blob.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_whole,
            parse_constant=_constant,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _check(document)
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {twice[:MOST_KEY]!r} is given twice")
    return found


def _whole(digits: str) -> int:
    size = len(digits.lstrip("-"))
    if size > MOST_DIGITS:
        raise ValueError(f"a number has {size} digits")
    return int(digits)


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _check(document: Any) -> None:
    level, depth = [document], 0
    while level:
        depth += 1
        if depth > MOST_DEPTH:
            raise ValueError("it is nested too deeply")
        inner: list[Any] = []
        for value in level:
            kind = type(value)  # of a document just parsed, so never a subclass
            if kind is float or kind is int:
                # Written so that NaN and infinities fail too.
                if value and not SMALLEST <= abs(value) <= LARGEST:
                    raise ValueError(f"the number {value!r} is beyond what is ever measured")
            elif kind is list:
                inner += value
            elif kind is dict:
                inner += value.values()
                if max(map(len, value), default=0) > MOST_KEY:
                    raise ValueError(f"a key has more than {MOST_KEY} characters")
            elif kind is str and len(value) > MOST_TEXT:
                raise ValueError(f"a text has more than {MOST_TEXT} characters")
        level = inner
