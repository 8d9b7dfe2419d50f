"""Where a run in the reports comes from, if not from here: `added.json` beside its plan."""

import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from harness.errors import RecordError, UsageError
from harness.result import encode
from harness.run import Moment
from harness.store import RunFolder
from harness.strict import Strict

ADDED = "added.json"
LONGEST_NAME = 60


class Added(Strict, frozen=True):
    """Written by `invoke add`, never by who sent the run."""

    added_utc: Moment
    by: Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)] | None = None


def origin(run: RunFolder) -> Added | None:
    """None for a run that was made here. Raises RecordError for a damaged file."""
    path = run.path / ADDED
    if not path.exists() and not path.is_symlink():
        return None
    try:
        return msgspec.json.decode(run.read(path), type=Added)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise RecordError(
            f"{ADDED} of run {run.path.name} is damaged ({error})",
            next_step="restore it from version control",
        ) from error


def mark_added(run: RunFolder, by: str | None) -> None:
    """Says that a run was contributed, and by whom. Raises UsageError, StorageError."""
    name = " ".join(by.split()) if by else None
    if name is not None and (len(name) > LONGEST_NAME or not name.isprintable()):
        raise UsageError(
            f"--by has more than {LONGEST_NAME} characters, or some that cannot be printed",
            next_step="give a short name",
        )
    now = f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
    run.restore(ADDED, encode(Added(added_utc=now, by=name or None)))
