"""`invoke bench --host A,B`: the same matrix on several hosts, one after the other, a run each."""

import shlex
from collections.abc import Callable
from pathlib import Path

from harness.errors import CaseError, EngineError, HarnessError, UsageError
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
    if len(hosts) > 1 and given.get("resume"):
        raise UsageError("a run goes on where it was started", next_step="leave out --host")
    return hosts


def on_each(
    hosts: list[str], given: Given, screen: Screen, run: Callable[[Given], Path]
) -> list[Path]:
    """Runs `run` for each host; returns the reports' paths.

    A host that cannot be reached, or with cases that fail, does not keep the others from their
    turn: CaseError at the end says which. Any other HarnessError ends it at once.
    """
    reports: list[Path] = []
    failed: dict[int, HarnessError] = {}
    for number, host in enumerate(hosts, start=1):
        screen.say(f"host {number} of {len(hosts)}")
        try:
            reports.append(run({**given, "host": host}))
        except (CaseError, EngineError) as error:
            screen.tell(f"host {number} of {len(hosts)}: {error.line}")
            failed[number] = error
    if len(reports) > 1:
        first, *others = (report.parent.name for report in reports)
        for other in others:
            command = ["invoke", "compare", "--a", first, "--b", other, "--across", "gpu"]
            screen.say(f"next: {shlex.join(command)}")
    if failed:
        names = ", ".join(hosts[number - 1] for number in failed)
        raise CaseError(
            f"{len(failed)} of {len(hosts)} hosts failed: {names}",
            next_step="see the lines above",
        )
    return reports
