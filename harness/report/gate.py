"""`invoke gate`: is a run shown to be no slower than a baseline by more than a margin?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.analysis.gate import GateCall, GateVerdict, non_inferiority, parse_margin, with_cycles
from harness.analysis.pairs import Compared, enough_processes, parse_measure
from harness.errors import UsageError
from harness.report.compare import Answer
from harness.report.sides import Names, Sides, as_typed, decided, left_out, load_sides
from harness.run import Run
from harness.store import RunFolder, runs

EXIT_CODES: dict[GateCall, int] = {"passed": 0, "undecided": 3, "regressed": 4}


@dataclass(frozen=True)
class Gated:
    """The verdict of one case, by the measure that decides."""

    compared: Compared
    verdict: GateVerdict

    def line(self) -> str:
        """The verdict on one line."""
        ratio = self.verdict.ratio
        interval = "" if ratio.low is None else f" ({ratio.low:.3f} to {ratio.high:.3f})"
        bound = "" if self.verdict.bound is None else f", at most {self.verdict.bound:.3f}"
        return (
            f"{self.verdict.call:<10} {self.compared.label}: {self.compared.measure} "
            f"{ratio.value:.3f}{interval}{bound}; {self.verdict.reason}"
        )


def gate_runs(
    reports: Path,
    *,
    baseline: str,
    run: str | None = None,
    max_regression: str = "3%",
    measure: str | None = None,
    across: str | None = None,
) -> Answer:
    """Holds a run, or the newest like the baseline, against it. Raises UsageError, RecordError."""
    if not baseline:
        raise UsageError("a gate needs a baseline", next_step="give --baseline RUN")
    margin, wanted = parse_margin(max_regression), parse_measure(measure)
    # A suggested command names the run by its id; found by folder, it cannot be ambiguous.
    newest = None if run else newest_like(reports, RunFolder.find(reports, baseline))
    sides = load_sides(reports, baseline, run or str(newest), across)
    chosen = decided(sides.compared, wanted)
    gated = [judge(one, margin) for one in chosen]
    unfinished = _unfinished(sides)
    calls: list[GateCall] = [one.verdict.call for one in gated]
    calls += ["undecided"] * len(unfinished)
    order: tuple[GateCall, ...] = ("regressed", "undecided", "passed")
    worst = next(call for call in order if call in calls)
    counts = ", ".join(f"{calls.count(call)} {call}" for call in reversed(order))
    names = Names(as_typed(baseline, sides.a), as_typed(run, sides.b) if run else sides.names.b)
    lines = [
        *(one.line() for one in gated),
        *(f"undecided  {name}: planned in this run, but not finished" for name in unfinished),
        *(
            f"left out   {name}: {why}"
            for name, why in left_out(sides, chosen).items()
            if name not in unfinished
        ),
        f"gate: {sides.names.b} against {sides.names.a}, margin {margin * 100:g} %: "
        f"{counts}: {worst}",
        _next_step(worst, gated, names, sides.b),
    ]
    return Answer("\n".join(lines), EXIT_CODES[worst])


def judge(one: Compared, margin: float) -> Gated:
    """The verdict of a case; cycles are heeded as in a comparison."""
    cycles = one.heeded_cycles
    in_cycles = non_inferiority(cycles.ratio, margin) if cycles else None
    return Gated(one, with_cycles(non_inferiority(one.time.ratio, margin), in_cycles))


def newest_like(reports: Path, baseline: RunFolder) -> Path:
    """Folder of the newest other run of the same matrix and GPU.

    Raises UsageError if there is none, RecordError for a damaged plan.
    """
    plan = baseline.manifest()
    for path in reversed(runs(reports)):
        if path.parent.name != plan.gpu_slug or path.name == plan.run_id:
            continue
        if RunFolder(path).manifest().matrix == plan.matrix:
            return path
    raise UsageError(
        f"no other run of matrix '{plan.matrix}' on {plan.gpu_slug} under {reports.name}/",
        next_step=f"make one with `invoke bench --matrix {plan.matrix}`, or give --run",
    )


def _unfinished(sides: Sides) -> list[str]:
    """Cases of the baseline that the candidate planned and has no result of: it may have failed."""
    planned = {case.id for case in sides.b.manifest.cases}
    return [name for name in sides.pairing.only_a if name in planned]


def _next_step(call: GateCall, gated: Sequence[Gated], names: Names, candidate: Run) -> str:
    if call == "passed":
        return f"next: `invoke compare --a {names.a} --b {names.b}` shows what changed"
    if call == "regressed":
        worst = next(one for one in gated if one.verdict.call == "regressed").compared
        case_a, case_b = worst.pair.cases
        return f"next: `invoke compare --a {names.a}:{case_a.id} --b {names.b}:{case_b.id}`"
    if candidate.missing:
        return f"next: `invoke bench --resume {candidate.manifest.run_id}`"
    return (
        f"next: `invoke bench --matrix {candidate.manifest.matrix} --processes "
        f"{enough_processes([one.compared for one in gated])}`, for the baseline too"
    )
