"""Two runs as given on the command line: found, paired by case, and accepted as comparable.

Whatever is refused is refused here, before anything is told.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.analysis.environment import (
    Difference,
    Environment,
    asked_by_cases,
    check_across,
    check_comparable,
    covered,
    differences,
    environment,
    parse_across,
)
from harness.analysis.pairs import (
    Compared,
    Pair,
    Pairing,
    Time,
    compare_pair,
    deciding,
    pair_up,
)
from harness.errors import UsageError
from harness.run import Run
from harness.store import MANIFEST, RunFolder


@dataclass(frozen=True)
class Names:
    """How the two runs are called in commands and messages."""

    a: str
    b: str


@dataclass(frozen=True)
class Sides:
    """Two runs that may be compared: loaded, paired by case, and their differences accepted."""

    a: Run
    b: Run
    names: Names
    pairing: Pairing
    found: list[tuple[Pair, Difference]]
    compared: list[Compared]
    across: tuple[str, ...]


def load_sides(reports: Path, a: str, b: str, across: str | None = None) -> Sides:
    """Loads, pairs and compares two runs. Raises UsageError where they must not be compared."""
    asked = parse_across(across)
    (run_a, case_a), (run_b, case_b) = _find(reports, a), _find(reports, b)
    names = Names(run_a.manifest.run_id, run_b.manifest.run_id)
    pairing = pair_up(run_a, run_b, case_a, case_b)
    found: list[tuple[Pair, Difference]] = []
    known: list[Environment] = []
    for pair in pairing.pairs:
        both = environment(run_a.manifest, pair.a), environment(run_b.manifest, pair.b)
        by_cases = asked_by_cases(*pair.cases)
        found += [(pair, one) for one in differences(*both, [*asked, *by_cases])]
        known += both
    check_across(asked, known)
    check_comparable([one for _, one in found], f"A ({names.a})", f"B ({names.b})")
    clock_asked = any(one.role == "asked" and covered(one.key, ("gpu",)) for _, one in found)
    compared = [
        one for pair in pairing.pairs for one in compare_pair(pair, clock_asked=clock_asked)
    ]
    return Sides(run_a, run_b, names, pairing, _without_repeats(found), compared, asked)


def decided(compared: Sequence[Compared], measure: Time | None) -> list[Compared]:
    """What decides the exit code. Raises UsageError where nothing does."""
    chosen = deciding(compared, measure)
    if not chosen:
        what = f"{measure} times" if measure else "chunk times"
        raise UsageError(
            f"no case of both runs has {what} to compare",
            next_step="compare end-to-end or paired cases, without --measure",
        )
    return chosen


def left_out(sides: Sides, chosen: Sequence[Compared]) -> dict[str, str]:
    """Finished cases that decide nothing, and why."""
    timed = {id(one.pair) for one in sides.compared}
    untimed = [pair.label for pair in sides.pairing.pairs if id(pair) not in timed]
    judged = {one.label for one in chosen}
    return (
        dict.fromkeys(untimed, "times no chunks, or other arms than the other side")
        | {one.label: "lacks the measure" for one in sides.compared if one.label not in judged}
        | dict.fromkeys(sides.pairing.only_a, "only A has finished it")
        | dict.fromkeys(sides.pairing.only_b, "only B has finished it")
    )


def as_typed(given: str, run: Run) -> str:
    """How a suggested command names the run: as the user did, without a case."""
    return given if _is_folder(given) else given.rpartition(":")[0] or run.manifest.run_id


def _find(reports: Path, given: str) -> tuple[Run, str | None]:
    """The run, and the case named behind a colon; a folder may hold a colon itself."""
    head, colon, tail = given.rpartition(":")
    if not colon or "/" in tail or _is_folder(given):
        return RunFolder.find(reports, given).load(), None
    return RunFolder.find(reports, head).load(), tail


def _is_folder(given: str) -> bool:
    return os.path.isfile(Path(given) / MANIFEST)


def _without_repeats(found: Sequence[tuple[Pair, Difference]]) -> list[tuple[Pair, Difference]]:
    """The first of several cases that differ in the same way stands for all."""
    kept: dict[tuple[str, str, str], tuple[Pair, Difference]] = {}
    for pair, one in found:
        kept.setdefault((one.key, *one.texts), (pair, one))
    return list(kept.values())
