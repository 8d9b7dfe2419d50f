"""`invoke bench` on several hosts or GPUs, one after the other, a run each."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from harness.errors import CaseError, EngineError, HarnessError, UsageError
from harness.host.options import Given
from harness.host.screen import Screen

Kind = Literal["host", "gpu"]
Compare = Callable[[list[Path]], str]  # a table of the first run against each other one
WORDS: dict[Kind, str] = {"host": "host", "gpu": "GPU"}


def hosts_of(given: Given) -> list[str]:
    """The hosts of --host. Raises UsageError for one that is empty or named twice."""
    text = str(given.get("host") or "")
    hosts = [host.strip() for host in text.split(",")] if text else []
    if not all(hosts) or len(set(hosts)) != len(hosts):
        raise UsageError(
            f"--host '{text}' names a host twice, or none", next_step="write ssh://a,ssh://b"
        )
    if len(hosts) > 1 and (given.get("resume") or given.get("beside")):
        raise UsageError("a run goes on where it was started", next_step="leave out --host")
    return hosts


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
