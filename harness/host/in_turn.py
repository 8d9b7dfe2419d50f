"""`invoke bench` on several hosts or GPUs, one after the other, a run each."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from harness.errors import CaseError, EngineError, HarnessError
from harness.host.options import Given
from harness.host.screen import Screen

Kind = Literal["host", "gpu"]
Compare = Callable[[list[Path]], str]  # a table of the first run against each other one
WORDS: dict[Kind, str] = {"host": "host", "gpu": "GPU"}


def on_each(
    what: Kind,
    names: list[str],
    given: Given,
    screen: Screen,
    run: Callable[[Given], Path],
    compare: Compare,
) -> list[Path]:
    """Runs `run` for each host or GPU, then compares; returns the reports' paths.

    One that cannot be reached, or with cases that fail, does not keep the others from their turn:
    CaseError at the end says which. Any other HarnessError ends it at once.
    """
    word = WORDS[what]
    reports: list[Path] = []
    failed: list[str] = []
    for number, name in enumerate(names, start=1):
        screen.say(f"{word} {number} of {len(names)}")
        try:
            reports.append(run({**given, what: name}))
        except (CaseError, EngineError) as error:
            screen.tell(f"{word} {number} of {len(names)}: {error.line}")
            failed.append(name)
    say_comparison([report.parent for report in reports], screen, compare)
    check_failed(what, failed, names)
    return reports


def say_comparison(runs: list[Path], screen: Screen, compare: Compare) -> None:
    """How the first run is held against the others: the table, or why there is none."""
    if len(runs) < 2:
        return
    try:
        screen.say(compare(runs))
    except HarnessError as error:
        screen.say(f"not compared: {error.line}")
    others = ",".join(run.name for run in runs[1:])
    command = ["invoke", "compare", "--a", runs[0].name, "--b", others, "--across", "gpu"]
    screen.say(f"next: {shlex.join(command)}")


def check_failed(what: Kind, failed: list[str], names: list[str]) -> None:
    """Raises CaseError that names the hosts or GPUs with failures."""
    if failed:
        raise CaseError(
            f"{len(failed)} of {len(names)} {WORDS[what]}s failed: {', '.join(failed)}",
            next_step="see the lines above",
        )
