"""A run as one file to send: the plan and its records in a tar.gz.

Reports are rendered by whoever receives them, and traces stay at home. What is read here may come
from a stranger: of the archive's format only plain files exist, names are compared with those that
the plan gives, and nothing is unpacked before all of that holds.
"""

import gzip
import io
import os
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.compact import SUFFIX
from harness.errors import RecordError, written_once
from harness.intake import read_file
from harness.matrix import MOST_PROCESSES
from harness.result import RECORD_LIMIT_BYTES
from harness.run import Manifest
from harness.store import MANIFEST, RUN_LIMIT_BYTES, RunFolder, result_name

PARCEL_LIMIT_BYTES = 64 * 2**20  # as sent, compressed
MOST_FILES = 5000
LONGEST_NAME = 240  # an id of a case, and what a store adds to it
FAILED = re.compile(r"\.failed-[1-9][0-9]{0,3}\.json\Z")


def pack(run: RunFolder, target: Path) -> int:
    """Writes the run's plan and records into a new file; returns how many files that are.

    The same run always makes the same bytes. Raises RecordError for a run that cannot be read or
    is larger than what `unpack` takes, StorageError.
    """
    run.load()
    paths = run.files()
    if len(paths) > MOST_FILES:
        raise RecordError(f"run {run.path.name} has more than {MOST_FILES} files")
    with written_once(target.name, f"write {target.name}"), target.open("xb") as file:
        try:
            with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
                _write(packed, run, paths)
            if file.tell() > PARCEL_LIMIT_BYTES:
                raise RecordError(f"run {run.path.name} is too large to be sent")
        except BaseException:  # an interruption too must leave no half of a file
            target.unlink()
            raise
    return len(paths)


def unpack(file: Path, folder: Path) -> RunFolder:
    """Writes what a parcel holds into `folder`, which must be empty; the run is not yet loaded.

    Raises RecordError for anything but a plan and records of it within the limits, StorageError.
    """
    try:
        # Whoever types the command may name a link; a parcel itself can hold none.
        blob = read_file(Path(os.path.realpath(file)), PARCEL_LIMIT_BYTES)
        files = dict(_checked_members(blob))
        if MANIFEST not in files:
            raise ValueError(f"it holds no {MANIFEST}")
    except (ValueError, EOFError, gzip.BadGzipFile, tarfile.TarError, zlib.error) as error:
        raise _refused(file, str(error)) from error
    except OSError as error:
        raise RecordError(
            f"{file.name} cannot be read ({error.strerror})", next_step="check the path"
        ) from error
    run = RunFolder(folder)
    run.restore(MANIFEST, files.pop(MANIFEST))
    manifest = run.manifest()
    if (name := _stranger(files, manifest)) is not None:
        raise _refused(file, f"{name} is no record of its plan")
    for name, content in files.items():
        run.restore(name, content)
    return run


def _write(target: gzip.GzipFile, run: RunFolder, paths: list[Path]) -> None:
    with tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in paths:
            content = run.read(path)
            name = path.relative_to(run.path).as_posix().removesuffix(SUFFIX)
            item = tarfile.TarInfo(name)  # records travel plain: the parcel as a whole is packed
            item.size = len(content)
            archive.addfile(item, io.BytesIO(content))


def _checked_members(blob: bytes) -> Iterator[tuple[str, bytes]]:
    """Names and contents. Raises ValueError for a name given twice, and for too much of all."""
    names: set[str] = set()
    total_bytes = 0
    for name, content in _members(gzip.GzipFile(fileobj=io.BytesIO(blob))):
        if name in names:
            raise ValueError(f"it holds {name} twice")
        names.add(name)
        total_bytes += len(content)
        if len(names) > MOST_FILES:
            raise ValueError(f"it holds more than {MOST_FILES} files")
        if total_bytes > RUN_LIMIT_BYTES:
            raise ValueError(f"it unpacks to more than {RUN_LIMIT_BYTES >> 20} MiB")
        yield name, content


def _members(stream: gzip.GzipFile) -> Iterator[tuple[str, bytes]]:
    """Plain files of a tar stream, header by header.

    Not through TarFile, which also reads extended headers, sparse files and whatever else a
    stranger could make of them.
    """
    long_name = ""
    while any(header := _block(stream)):
        item = tarfile.TarInfo.frombuf(header, "ascii", "strict")
        if item.type == tarfile.GNUTYPE_LONGNAME and not long_name:
            content = _content(stream, item, LONGEST_NAME)
            long_name = content.rstrip(b"\0").decode("ascii")
            continue
        if item.type != tarfile.REGTYPE:
            raise ValueError(f"{long_name or item.name} is no plain file")
        yield long_name or item.name, _content(stream, item, RECORD_LIMIT_BYTES)
        long_name = ""
    rest = stream.read(tarfile.RECORDSIZE + 1)
    if any(rest) or len(rest) > tarfile.RECORDSIZE:
        raise ValueError("something follows its end")


def _block(stream: gzip.GzipFile) -> bytes:
    block = stream.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE:
        raise ValueError("it is cut off")
    return block


def _content(stream: gzip.GzipFile, item: tarfile.TarInfo, limit_bytes: int) -> bytes:
    if not 0 <= item.size <= limit_bytes:
        raise ValueError(f"{item.name} is larger than {limit_bytes >> 10} KiB")
    content = stream.read(item.size)
    padding = stream.read(-item.size % tarfile.BLOCKSIZE)
    if len(content) + len(padding) != -(-item.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE:
        raise ValueError("it is cut off")
    return content


def _stranger(names: Iterable[str], manifest: Manifest) -> str | None:
    """The first name that no record of the plan can have."""
    ids = [case.id for case in manifest.cases]
    first = {f"cases/{result_name(case_id, 0)}" for case_id in ids}
    further = {f"cases/{result_name(c, n)}" for c in ids for n in range(1, MOST_PROCESSES)}
    return next(
        (name for name in names if name not in further and FAILED.sub(".json", name) not in first),
        None,
    )


def _refused(file: Path, why: str) -> RecordError:
    return RecordError(
        f"{file.name}: {why}", next_step="it is no run packed by `invoke share`; ask for it again"
    )
