"""What can go wrong and is not a bug: each error is one clear line and exit code 2.

    HarnessError
    ├── UsageError        an option, matrix, size or pattern that cannot be run
    ├── ClipError         a video, depth or mask file that cannot be used
    ├── WeightsError      a checkpoint that is missing, truncated or of the wrong shape
    ├── EngineError       the container engine cannot be reached or refuses
    ├── ImageBuildError   the image could not be built (the last lines are in the message)
    ├── DeviceError       no usable GPU, driver too old, too little GPU memory
    ├── RecordError       a record that is damaged, unknown or made by a newer version
    ├── StorageError      the record cannot be written (disk full, read-only folder)
    ├── PrivacyError      a run to be published that names its host or its user
    ├── AuditError        known vulnerabilities could not be asked for, or not of every package
    ├── ReportError       a report or template with a number that no record backs
    └── CaseError         a case that started and could not finish; becomes a Failure record

Anything else that escapes is a bug and keeps its traceback.
"""

from collections.abc import Iterator
from contextlib import contextmanager

LONGEST = 4000  # characters of what happened; the last lines of a failed image build fit


class HarnessError(Exception):
    """An expected failure. `what` names the thing and the place, `next_step` what to do now."""

    exit_code = 2

    def __init__(self, what: str, *, next_step: str = "") -> None:
        self.what = what
        self.next_step = next_step
        super().__init__(self.line)

    @property
    def line(self) -> str:
        """The whole message on one line."""
        # What is quoted may come from elsewhere: it must not drive the terminal, nor fill it.
        what = self.what if len(self.what) <= LONGEST else f"{self.what[:LONGEST]} ..."
        text = f"{what}; {self.next_step}" if self.next_step else what
        flat = " ".join(text.split())
        return "".join(letter if letter.isprintable() else "\ufffd" for letter in flat)


class UsageError(HarnessError):
    """An option, matrix, size or pattern that cannot be run."""


class ClipError(HarnessError):
    """A video, depth or mask file that cannot be used."""


class WeightsError(HarnessError):
    """A checkpoint that is missing, truncated or of the wrong shape."""


class EngineError(HarnessError):
    """The container engine cannot be reached or refuses what we ask."""


class ImageBuildError(HarnessError):
    """The image could not be built."""


class DeviceError(HarnessError):
    """No usable GPU, a driver too old for the image, or too little GPU memory."""


class RecordError(HarnessError):
    """A record that is damaged, unknown or made by a newer version."""


class StorageError(HarnessError):
    """The record cannot be written."""


class PrivacyError(HarnessError):
    """A run to be published that names its host or its user."""


class AuditError(HarnessError):
    """Known vulnerabilities could not be asked for, or not of every package."""


class ReportError(HarnessError):
    """A number without a source in a report or template, or a record without its provenance."""


class CaseError(HarnessError):
    """A case that started and could not finish."""


@contextmanager
def written_once(name: str, doing: str) -> Iterator[None]:
    """What goes wrong inside the block with a new file or folder `name` that the user may choose.

    `doing` says what is being done, after "cannot". Raises StorageError.
    """
    try:
        yield
    except FileExistsError as error:
        raise StorageError(
            f"{name} exists already and is never overwritten", next_step="give another --out"
        ) from error
    except OSError as error:
        raise StorageError(
            f"cannot {doing} ({error.strerror})", next_step="give another --out"
        ) from error
