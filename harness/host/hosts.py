"""`invoke bench` on several hosts or GPUs, one after the other, a run each."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from harness.errors import CaseError, EngineError, UsageError
from harness.host.options import Given
from harness.host.screen import Screen


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
    what: Literal["host", "gpu"],
    names: list[str],
    given: Given,
    screen: Screen,
    run: Callable[[Given], Path],
) -> list[Path]:
    """Runs `run` for each host or GPU; returns the reports' paths.

    One that cannot be reached, or with cases that fail, does not keep the others from their turn:
    CaseError at the end says which. Any other HarnessError ends it at once.
    """
    word = {"host": "host", "gpu": "GPU"}[what]
    reports: list[Path] = []
    failed: list[str] = []
    for number, name in enumerate(names, start=1):
        screen.say(f"{word} {number} of {len(names)}")
        try:
            reports.append(run({**given, what: name}))
        except (CaseError, EngineError) as error:
            screen.tell(f"{word} {number} of {len(names)}: {error.line}")
            failed.append(name)
    say_comparisons(reports, screen)
    if failed:
        raise CaseError(
            f"{len(failed)} of {len(names)} {word}s failed: {', '.join(failed)}",
            next_step="see the lines above",
        )
    return reports


def say_comparisons(reports: list[Path], screen: Screen) -> None:
    """How the first run is held against each of the others."""
    runs = [report.parent.name for report in reports]
    for other in runs[1:]:
        command = ["invoke", "compare", "--a", runs[0], "--b", other, "--across", "gpu"]
        screen.say(f"next: {shlex.join(command)}")
