"""A loader with a crash behind two comparisons, which coverage leads to one after the other."""

from pathlib import Path

from harness.errors import RecordError


def load_planted(path: Path) -> None:
    """Refuses everything that does not begin with one word, for which it divides by zero."""
    blob = path.read_bytes()[:2].ljust(2)
    # One branch a letter: each is an edge that coverage sees.
    if blob[0] == ord("B"):  # noqa: SIM102
        if blob[1] == ord("G"):
            raise ZeroDivisionError("planted")
    raise RecordError("not the word")
