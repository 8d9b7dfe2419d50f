"""Made-up growth: the results of `made_limit` with the frames a second that a test asks for."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from harness.analysis.chunks import chunk_timing
from harness.result import Result
from harness.run import Run
from harness.store import RunFolder, encode, result_name
from tests.report import made_limit

OWN = "e2e-inpainting-eager"  # the baseline's case at the preset's own point


def place(name: str) -> str:
    """The baseline's case at another size, number of steps or window."""
    return f"{OWN}-{name}-warm"


def at_fps(results: Iterable[Result], rates: dict[str, float]) -> list[Result]:
    """Cases named in `rates` have those frames a second; all others stay."""
    made = []
    for one in results:
        if one.case_id in rates:
            timing = chunk_timing(one)
            assert timing is not None
            chunks = made_limit.scaled(one.chunks, timing.fps / rates[one.case_id])
            one = msgspec.structs.replace(one, chunks=chunks)
        made.append(one)
    return made


def run(reports: Path, rates: dict[str, float], *, busy: bool = True) -> Path:
    """A stored run of `growth`; without `busy` as on a CPU, where none is measured."""
    path = made_limit.run(reports, name="growth")
    loaded: Run = RunFolder(path).load()
    for one in at_fps(loaded.results.values(), rates):
        if not busy:
            one = msgspec.structs.replace(one, busy=[])
        (path / "cases" / result_name(one.case_id, one.process)).write_bytes(encode(one))
    return path
