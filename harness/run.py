"""A run: its plan, and what was recorded of it. `harness.store` keeps both in a folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from harness.matrix import MOST_CASES, Case, MatrixName, Process, schedule
from harness.result import Fact, Failure, Result
from harness.strict import Key, NonNegative, Strict

Moment = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")]


class Manifest(Strict, frozen=True):
    """The plan of a run, written before its first case."""

    schema_version: int
    run_id: str
    created_utc: Moment
    matrix: MatrixName
    command: list[str]  # as typed, paths replaced by placeholders
    runtime: Literal["docker", "local"]
    runtime_reason: str
    gpu_slug: str  # folder name, e.g. nvidia-h200 or cpu
    cases: Annotated[list[Case], Meta(min_length=1, max_length=MOST_CASES)]
    expected_s: NonNegative
    facts: dict[Key, Fact]  # host, engine, image, commit
    budget_s: NonNegative | None = None  # within it, undecided comparisons get more processes

    def __post_init__(self) -> None:
        ids = [case.id for case in self.cases]
        if len(set(ids)) != len(ids):
            raise ValueError("it holds a case twice")


def slug(name: str) -> str:
    """'NVIDIA H200' -> 'nvidia-h200'."""
    words = "".join(char if char.isascii() and char.isalnum() else " " for char in name.lower())
    return "-".join(words.split())


@dataclass(frozen=True)
class Run:
    """A run as read back: results and the last failure of each unfinished case, in plan order."""

    path: Path
    manifest: Manifest
    processes: dict[str, list[Result]]  # every finished process of a case, in order
    failures: dict[str, Failure]

    @property
    def results(self) -> dict[str, Result]:
        """The first finished process of each case."""
        return {name: results[0] for name, results in self.processes.items()}

    @property
    def finished(self) -> list[Result]:
        """Every finished process."""
        return [result for results in self.processes.values() for result in results]

    @property
    def missing(self) -> list[str]:
        """Ids of planned cases that lack a result of at least one process."""
        return list(dict.fromkeys(process.case.id for process in self.todo))

    @property
    def todo(self) -> list[Process]:
        """Planned processes without a result, in the order in which they run."""
        done = {(result.case_id, result.process) for result in self.finished}
        planned = schedule(self.manifest.cases)
        return [process for process in planned if (process.case.id, process.number) not in done]
