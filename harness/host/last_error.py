"""The last error of a task and what to do about it, kept for `invoke doctor`.

A long run scrolls its error away, or ends in a terminal that is gone. The file lies in the
project's folder, is no record, and goes with the next success of the same task.
"""

import sys
from pathlib import Path

import msgspec

from harness.errors import HarnessError
from harness.host.runner import utc_now
from harness.host.site import Finding
from harness.intake import read_file

FILE = ".last-error.json"
LIMIT_BYTES = 1 << 16
WITH_VALUE = {  # options of Invoke itself, before the task
    *("-c", "--collection", "-f", "--config", "-r", "--search-root"),
    *("-T", "--command-timeout"),
}


class LastError(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An error as it was told; `task` is the word after `invoke`."""

    task: str
    at_utc: str
    what: str
    next_step: str


def keep(project: Path, error: HarnessError) -> None:
    """Overwrites the error before. A folder that cannot be written keeps none: it was told."""
    found = LastError(_task(), utc_now(), _plain(error.what), _plain(error.next_step))
    path = project / FILE
    try:
        path.unlink(missing_ok=True)
        with path.open("xb") as file:  # a new file: a link in its place is not followed
            file.write(msgspec.json.encode(found))
    except OSError:
        return


def forget(project: Path) -> None:
    """Removes the error of the same task, which has succeeded now."""
    found = last(project)
    if found is not None and found.task == _task():
        try:
            (project / FILE).unlink(missing_ok=True)
        except OSError:
            return


def last(project: Path) -> LastError | None:
    """None where no task failed since it last succeeded, or the file is not one of ours."""
    try:
        return msgspec.json.decode(read_file(project / FILE, LIMIT_BYTES), type=LastError)
    except (OSError, msgspec.MsgspecError, ValueError):
        return None


def last_finding(project: Path) -> Finding | None:
    """The doctor's line about it."""
    found = last(project)
    if found is None:
        return None
    text = f"of `invoke {found.task}`, {found.at_utc}: {_plain(found.what)}"
    return Finding("note", "last error", text, _plain(found.next_step))


def _task() -> str:
    """The first word of the command line that is neither an option of Invoke's nor its value."""
    words = iter(sys.argv[1:])
    for word in words:
        if not word.startswith("-"):
            return word
        if word in WITH_VALUE:
            next(words, None)
    return ""


def _plain(text: str) -> str:
    """On one line, without what drives a terminal."""
    return HarnessError(text).line
