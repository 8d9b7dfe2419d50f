"""A pipeline of the user's own on its way to the measured process: read, hashed, never executed.

All processes of a run execute the bytes that were read when it began, whatever becomes of the file.
"""

import ast
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from harness.errors import StorageError, UsageError
from harness.intake import read_file
from harness.job import PIPELINE_FILE

LIMIT_BYTES = 1 << 20
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}\.py")
ENTRY = "build"


@dataclass(frozen=True)
class OwnPipeline:
    """The file as it goes to the measured process."""

    name: str  # in ids and reports
    file: str  # as the user calls it
    sha256: str
    copy: Path  # read-only, under the name that the exchange has for it


def prepare_pipeline(path: Path, folder: Path) -> OwnPipeline:
    """Copies the user's file into `folder`. Raises UsageError for one that cannot be a pipeline."""
    if FILE_NAME.fullmatch(path.name) is None:
        raise UsageError(
            f"--pipeline: '{path.name}' is no name for a pipeline",
            next_step="use up to 32 letters, digits, - and _, and .py",
        )
    try:
        blob = read_file(path.resolve(), LIMIT_BYTES)
    except OSError as error:
        raise UsageError(
            f"--pipeline: '{path}' cannot be read ({error.strerror})",
            next_step="give --pipeline the path that the file has now",
        ) from error
    except ValueError as error:
        raise UsageError(f"--pipeline: '{path}' {error}", next_step="give a Python file") from error
    _check_source(blob, path)
    copy = folder / PIPELINE_FILE
    try:
        copy.write_bytes(blob)
        copy.chmod(0o444)
    except OSError as error:
        raise StorageError(f"the pipeline cannot be stored ({error.strerror})") from error
    name = path.stem.lower().replace("_", "-")
    return OwnPipeline(name, path.name, hashlib.sha256(blob).hexdigest(), copy)


def _check_source(blob: bytes, path: Path) -> None:
    """It is Python, and has an entry point; what that does is found out where it is executed."""
    try:
        tree = ast.parse(blob, filename=path.name)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        where = f", line {line}" if line else ""
        raise UsageError(
            f"--pipeline: '{path}' is no Python{where}: {getattr(error, 'msg', error)}",
            next_step="correct it",
        ) from error
    names = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    names |= {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    if ENTRY not in names:
        raise UsageError(
            f"--pipeline: '{path}' has no function {ENTRY}(wish)",
            next_step="see docs/own-pipeline.md",
        )
