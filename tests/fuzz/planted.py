"""Loaders that are wrong on purpose: what the fuzzer must notice."""

import os
from pathlib import Path

from harness.errors import RecordError


def load_planted(path: Path) -> None:
    """Refuses everything that does not begin with one word, for which it divides by zero.

    The crash lies behind two comparisons, which coverage leads to one after the other.
    """
    blob = path.read_bytes()[:2].ljust(2)
    # One branch a letter: each is an edge that coverage sees.
    if blob[0] == 0x42:  # noqa: SIM102
        if blob[1] == 0x47:
            raise ZeroDivisionError("planted")
    raise RecordError("not the word")


def load_deadly(path: Path) -> None:
    """Ends the whole process for anything longer than a byte, as a fault in a C library would."""
    if path.stat().st_size > 1:
        os.abort()
    raise RecordError("too short")
