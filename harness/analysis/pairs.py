"""Two runs case by case: which cases belong together, and how each pair compares.

A change of the time counts only if the cycles (time x SM clock) tell the same, where they are
known: a GPU that changed its clock has not become a slower program.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.analysis.comparisons import Measure, compare_cases
from harness.analysis.experiment import MIN_PROCESSES, Call, Verdict
from harness.errors import RecordError, UsageError
from harness.matrix import Case
from harness.result import Result
from harness.run import Run

Time = Literal["wall", "busy"]
MORE_PROCESSES = 2
COMPARED: tuple[Time, ...] = ("wall", "busy")
CYCLES: dict[Time, Measure] = {"wall": "wall_cycles", "busy": "busy_cycles"}


@dataclass(frozen=True)
class Pair:
    """The finished processes of a case of A and of one of B."""

    a: list[Result]
    b: list[Result]

    @property
    def cases(self) -> tuple[Case, Case]:
        """The case of each side."""
        return self.a[0].case, self.b[0].case

    @property
    def label(self) -> str:
        """Id of the case, or of both where they differ."""
        return " against ".join(dict.fromkeys(case.id for case in self.cases))

    @property
    def arms(self) -> list[str | None]:
        """Arms that both sides have; that of a case without arms is None."""
        first, second = (case.arms or (None,) for case in self.cases)
        return [arm for arm in first if arm in second]


@dataclass(frozen=True)
class Pairing:
    """What is compared, and the ids of finished cases that only one side has."""

    pairs: list[Pair]
    only_a: list[str]
    only_b: list[str]


@dataclass(frozen=True)
class Compared:
    """One measure of one pair: in time, in cycles where known, and what both say together."""

    pair: Pair
    arm: str | None
    measure: Time
    time: Verdict
    cycles: Verdict | None
    clock_asked: bool

    @property
    def heeded_cycles(self) -> Verdict | None:
        """The cycles, unless the clock is a part of the question."""
        return None if self.clock_asked else self.cycles

    @property
    def call(self) -> Call:
        """What time and cycles say together."""
        return together(self.time, self.heeded_cycles)[0]

    @property
    def reason(self) -> str:
        """Why, in words without numbers."""
        return together(self.time, self.heeded_cycles)[1]

    @property
    def label(self) -> str:
        """The pair, and which arm of it."""
        return self.pair.label if self.arm is None else f"{self.pair.label}, arm {self.arm}"


def pair_up(a: Run, b: Run, case_a: str | None = None, case_b: str | None = None) -> Pairing:
    """Cases by id; a case named for one side is meant for both, unless B names its own.

    Raises UsageError for a named case without a finished process, and for nothing in common.
    """
    if case_a is not None or case_b is not None:
        first, second = case_a or case_b or "", case_b or case_a or ""
        return Pairing([Pair(_named(a, first), _named(b, second))], [], [])
    common = [name for name in a.processes if name in b.processes]
    only_a = [name for name in a.processes if name not in b.processes]
    only_b = [name for name in b.processes if name not in a.processes]
    if not common:
        finished_a, finished_b = (", ".join(run.processes) or "none" for run in (a, b))
        raise UsageError(
            f"runs {a.manifest.run_id} and {b.manifest.run_id} have no finished case in common "
            f"(A: {finished_a}; B: {finished_b})",
            next_step="name one of each with RUN:CASE, or finish them with `invoke bench --resume`",
        )
    return Pairing([Pair(a.processes[n], b.processes[n]) for n in common], only_a, only_b)


def compare_pair(pair: Pair, *, clock_asked: bool = False) -> list[Compared]:
    """Every measure that both sides have, arm by arm; empty for a case that times no chunks.

    `clock_asked`: the GPUs differ on purpose, so another clock is no objection. Raises RecordError
    for samples that are no times.
    """
    found = []
    for arm in pair.arms:
        for measure in COMPARED:
            time = _verdict(pair, measure, arm)
            if time is None:
                continue
            cycles = _verdict(pair, CYCLES[measure], arm)
            found.append(Compared(pair, arm, measure, time, cycles, clock_asked))
    return found


def together(time: Verdict, cycles: Verdict | None) -> tuple[Call, str]:
    """The call in time, unless the cycles contradict it; then it is undecided.

    A change needs the same call in cycles. "Same" stands unless the cycles changed: that a faster
    clock hides more work is as little a finding as that a slower one looks like more.
    """
    if cycles is None or cycles.call == time.call or time.call == "undecided":
        return time.call, time.reason
    if time.call == "same":
        if cycles.call == "undecided":
            return time.call, time.reason
        return "undecided", "the time is the same, the cycles are not: the clock differed"
    if cycles.call == "undecided":
        return (
            "undecided",
            "the time changed, the cycles are undecided: the clock may have differed",
        )
    return "undecided", "the time changed, the cycles did not follow: the clock differed"


def deciding(found: Sequence[Compared], measure: Time | None) -> list[Compared]:
    """The measure of each case and arm that decides: the one given, else busy, else wall."""
    by_case: dict[str, dict[Time, Compared]] = {}
    for one in found:
        by_case.setdefault(one.label, {})[one.measure] = one
    wanted: tuple[Time, ...] = (measure,) if measure else ("busy", "wall")
    chosen = [next((ones[m] for m in wanted if m in ones), None) for ones in by_case.values()]
    return [one for one in chosen if one is not None]


def enough_processes(found: Sequence[Compared]) -> int:
    """Processes of each case to measure next, where these left something undecided."""
    most = max((max(one.time.ratio.processes) for one in found), default=0)
    return most + MORE_PROCESSES if most >= MIN_PROCESSES else MIN_PROCESSES


def parse_measure(given: str | None) -> Time | None:
    """Raises UsageError unless wall or busy is given, or nothing."""
    if given is None:
        return None
    for measure in COMPARED:
        if given == measure:
            return measure
    raise UsageError(f"--measure '{given}' is unknown", next_step="choose wall or busy")


def _named(run: Run, name: str) -> list[Result]:
    if name in run.processes:
        return run.processes[name]
    planned = name in [case.id for case in run.manifest.cases]
    problem = f"has no finished process of case '{name}'" if planned else f"has no case '{name}'"
    raise UsageError(
        f"run {run.manifest.run_id} {problem}",
        next_step=f"finished are: {', '.join(run.processes) or 'none'}",
    )


def _verdict(pair: Pair, measure: Measure, arm: str | None) -> Verdict | None:
    try:
        return compare_cases(pair.a, pair.b, measure, arm)
    except ValueError as error:
        raise RecordError(f"case {pair.label}: {error}", next_step="run the case again") from error
