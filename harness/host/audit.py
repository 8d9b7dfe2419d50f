"""`invoke audit`: known vulnerabilities of the locked packages, as pip-audit finds them.

It asks the package index's advisories, so it needs the network. A package that it could not ask
about is no clean one: that is an error, where pip-audit alone would end with code 0.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import AuditError
from harness.host.image import DEFAULT_TORCH
from harness.host.install import SAGE_VERSION

LOCKS = ("locks/dev.txt", "locks/torch.txt")  # the first holds all that host and container lock
UNLOCKED = (DEFAULT_TORCH, f"sageattention=={SAGE_VERSION}")
EXPLAINED = "docs/audit.md"  # names the findings that are no danger here, and why,
SECTION = "## Findings that are explained\n"  # in this section
LIMIT_S = 600


@dataclass(frozen=True)
class Answer:
    """What was found, and the exit code that says so: 1 if a finding is not explained."""

    text: str
    exit_code: int


def audit(project: Path) -> Answer:
    """Audits the locks, and torch, which is in none. Raises AuditError."""
    locks = [word for lock in LOCKS for word in ("--requirement", str(project / lock))]
    found = _pip_audit([*locks, "--require-hashes"])
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(UNLOCKED) + "\n")
        file.flush()
        found += _pip_audit(["--requirement", file.name, "--no-deps"])
    return judge(found, section((project / EXPLAINED).read_text()))


def section(page: str) -> str:
    """The part of the page that explains; what it says of other findings excuses nothing."""
    return page.partition(SECTION)[2].partition("\n## ")[0]


def judge(dependencies: list[dict[str, Any]], explained: str) -> Answer:
    """The answer to pip-audit's dependencies. Raises AuditError if one could not be audited."""
    skipped = [one["name"] for one in dependencies if "skip_reason" in one]
    if skipped:
        raise AuditError(
            f"{len(skipped)} of {len(dependencies)} packages could not be audited "
            f"({', '.join(skipped[:3])}, ...): the package index gave no advisories",
            next_step="run it where the advisories of the public package index can be reached",
        )
    lines, open_findings = [], 0
    for name, version, finding in _findings(dependencies):
        names = [finding["id"], *finding.get("aliases", [])]
        is_explained = any(one in explained for one in names)
        open_findings += not is_explained
        fixed = ", ".join(finding.get("fix_versions", [])) or "no version"
        state = f"explained in {EXPLAINED}" if is_explained else f"fixed in {fixed}"
        lines.append(f"{name} {version}: {', '.join(names)}: {state}")
    lines.append(f"{len(dependencies)} packages audited, {open_findings} findings to be dealt with")
    return Answer("\n".join(lines), 1 if open_findings else 0)


def _findings(dependencies: list[dict[str, Any]]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for one in dependencies:
        for finding in one["vulns"]:
            yield one["name"], one["version"], finding


def _pip_audit(arguments: list[str]) -> list[dict[str, Any]]:
    """pip-audit's dependencies: nothing is resolved or installed, the locks say it all."""
    options = ["--format", "json", "--progress-spinner", "off", "--disable-pip"]
    command = [sys.executable, "-m", "pip_audit", *options, *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    try:
        return list(json.loads(answer.stdout)["dependencies"])
    except ValueError as error:
        last = (answer.stderr.strip().splitlines() or ["no output"])[-1]
        raise AuditError(
            f"pip-audit gave no answer ({last[:200]})",
            next_step="it needs the development packages (locks/dev.txt) and the network",
        ) from error
