"""What only the host knows about a run: commit, command line, and the machine it starts from.

The commit comes from git; without a `.git`, from the environment variable VACE_BENCH_COMMIT or a
file `.vace-bench-commit` in the project's folder. Both hold one line: the commit's 40 hex digits
and the word `clean` or `dirty`.
"""

import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import harness
from harness.errors import UsageError
from harness.privacy import Scrubber
from harness.result import Fact

COMMIT_FILE = ".vace-bench-commit"
COMMIT_VARIABLE = "VACE_BENCH_COMMIT"
STATED = re.compile(r"([0-9a-f]{40}) (clean|dirty)")
GIT_TIMEOUT_S = 20


def commit_facts(project: Path, environment: Mapping[str, str] = os.environ) -> dict[str, Fact]:
    """`git.commit` and `git.dirty`, or null with the reason. Raises UsageError for a bad form.

    New folders under reports/ do not make the tree dirty: every run adds one.
    """
    stated = environment.get(COMMIT_VARIABLE)
    source = COMMIT_VARIABLE
    file = project / COMMIT_FILE
    if stated is None and not (project / ".git").exists() and file.is_file():
        stated, source = file.read_text(), COMMIT_FILE
    if stated is not None:
        match = STATED.fullmatch(stated.strip())
        if match is None:
            raise UsageError(
                f"{source} holds no commit", next_step="write '<40 hex digits> clean' or dirty"
            )
        return {
            "git.commit": Fact(value=match[1]),
            "git.dirty": Fact(value=match[2] == "dirty"),
        }
    commit = _git(project, "rev-parse", "HEAD")
    changes = _git(project, "status", "--porcelain", "--", ".", ":!reports")
    if commit is None or changes is None:
        unknown = Fact(value=None, reason=f"no git checkout, {COMMIT_VARIABLE} or {COMMIT_FILE}")
        return {"git.commit": unknown, "git.dirty": unknown}
    return {"git.commit": Fact(value=commit), "git.dirty": Fact(value=bool(changes))}


def host_facts() -> dict[str, Fact]:
    """The machine the harness runs on (a remote engine's machine is described by the records)."""
    return {
        "harness.version": Fact(value=harness.__version__),
        "host.kernel": Fact(value=f"{platform.system()} {platform.release()}"),
        "host.cpu_count": Fact(value=os.cpu_count()),
        "host.cpu": _cpu_model(),
        "host.python": Fact(value=platform.python_version()),
    }


def _cpu_model() -> Fact:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError as error:
        return Fact(value=None, reason=f"/proc/cpuinfo cannot be read ({error.strerror})")
    match = re.search(r"(?m)^model name\s*:\s*(.+)$", text)
    if match is None:
        return Fact(value=None, reason="/proc/cpuinfo names no model")
    return Fact(value=match[1])


def command_line(arguments: Sequence[str], scrub: Scrubber) -> list[str]:
    """The command as typed, with paths replaced; `python -m invoke` is invoke too."""
    return ["invoke", *map(scrub, arguments[1:])]


def _git(project: Path, *arguments: str) -> str | None:
    # A checkout owned by another user (a container's root) is still ours to describe.
    command = ["git", "-c", "safe.directory=*", "-C", str(project), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=GIT_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
