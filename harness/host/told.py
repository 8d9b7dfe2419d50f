"""What a check says of an obstacle: the fact, what to do next, and whether it stops a run."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Told:
    """An obstacle that was met. A note stops nothing, but a reader of the record should know it."""

    state: Literal["note", "problem"]
    text: str
    remedy: str


def note(text: str, remedy: str) -> Told:
    """Something that stops no run."""
    return Told("note", text, remedy)


def problem(text: str, remedy: str) -> Told:
    """Something that stops a run, or one on a GPU."""
    return Told("problem", text, remedy)
