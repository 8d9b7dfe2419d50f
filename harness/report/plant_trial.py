"""Judges a run with planted costs and prints a table.

    python -m harness.report.plant_trial RUN       a run's id under reports/, or its folder

Exit code 0 if every plant is named at its cost, 4 if one is not, 2 with one line otherwise.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from harness.analysis.plant_trial import LEAST_SHARE, Trial, trials
from harness.errors import HarnessError, UsageError
from harness.report.cells import NOTHING, Cell, Inline, decimals, percent, table
from harness.report.changed import plain
from harness.report.templates import environment
from harness.store import RunFolder

REPORTS = Path("reports")
FAILED = 4
HEADS = (
    "Case", "Top changed cause", ">Cost (ms)", "Held against", ">Difference (ms)", ">Interval (ms)",
    ">Of wall", "Named", "Cost right", "Evidence",
)  # fmt: skip
PAGE = "{% from 'macros.md.j2' import table %}{{ table(rows) }}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Judges and prints. Returns the exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        found = judged(given)
    except HarnessError as error:
        sys.stderr.write(f"error: {error.line}\n")
        return error.exit_code
    sys.stdout.write(page(found))
    return 0 if all(trial.passed for trial in found) else FAILED


def judged(arguments: Sequence[str]) -> list[Trial]:
    """The trials of the named run. Raises UsageError where it has none."""
    if len(arguments) != 1:
        raise UsageError("one run is needed", next_step="give its id or folder")
    run = RunFolder.find(REPORTS, arguments[0]).load()
    found = trials(run)
    if not found:
        raise UsageError(
            f"run {run.manifest.run_id} has no planted case with a profile beside its twin",
            next_step="see docs/profiling.md",
        )
    return found


def page(found: Sequence[Trial]) -> str:
    """The table as Markdown, and how many passed."""
    rows = table(HEADS, [_row(trial) for trial in found])
    text = environment().from_string(PAGE).render(rows=rows).strip()
    passed = sum(trial.passed for trial in found)
    small = [trial.case_id for trial in found if trial.plant and abs(trial.share) < LEAST_SHARE]
    lines = [text, "", f"{passed} of {len(found)} as they should be."]
    if small:
        lines.append(f"Below {LEAST_SHARE:.0%} of wall time: {', '.join(small)}.")
    return "\n".join(lines) + "\n"


def _row(trial: Trial) -> tuple[Inline | str, ...]:
    top = trial.top
    interval = NOTHING
    if trial.low_ms is not None and trial.high_ms is not None:
        interval = Cell(f"{decimals(trial.low_ms)} to {decimals(trial.high_ms)}")
    return (
        Cell(trial.case_id, form="code"),
        top.what if top is not None else "none",
        Cell(decimals(top.change_ms)) if top is not None else NOTHING,
        {"wall": "wall", "busy": "GPU-busy"}[trial.measure],
        Cell(decimals(trial.difference_ms)),
        interval,
        percent(trial.share),
        _yes(trial.named),
        _yes(trial.cost_right),
        plain(top.words) if top is not None else NOTHING,
    )


def _yes(value: bool) -> Cell:
    return Cell("yes") if value else Cell("no", form="strong")


if __name__ == "__main__":
    sys.exit(main())
