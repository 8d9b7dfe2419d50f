"""The exchange folder: requests come in, answers go out, each written whole or not at all."""

import os
from pathlib import Path
from typing import TypeVar

import msgspec

from harness.errors import StorageError, UsageError
from harness.result import encode

Request = TypeVar("Request", bound=msgspec.Struct)


def read_request(path: Path, kind: type[Request]) -> Request:
    """A validated request. Raises UsageError if the file is missing or has another form."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise UsageError(
            f"{path.name} cannot be read ({error.strerror})",
            next_step="give the folder that holds it",
        ) from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UsageError(f"{path.name} has another form ({error})") from error


def write_answer(path: Path, answer: msgspec.Struct) -> None:
    """On disk before it appears under its name. Raises StorageError if that cannot be done."""
    partial = path.with_suffix(".part")
    try:
        with partial.open("wb") as file:
            file.write(encode(answer))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StorageError(
            f"{path.name} cannot be written ({error.strerror})",
            next_step="free some space and run the case again",
        ) from error
