"""Tar archives: what goes into a container, and the one file that comes out of it."""

import io
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from harness.errors import StorageError
from harness.host.lockdown import USER_ID


@contextmanager
def packed(
    files: Mapping[str, bytes], clips: Iterable[Path], folders: Mapping[str, Path]
) -> Iterator[IO[bytes]]:
    """An archive of small files by name, of clips and of whole folders, for the container's user.

    Raises StorageError if the temporary folder has no room for it.
    """
    with tempfile.TemporaryFile() as archive:
        try:
            with tarfile.open(fileobj=archive, mode="w") as tar:
                for name, blob in files.items():
                    item = _owned(tarfile.TarInfo(name))
                    item.size = len(blob)
                    tar.addfile(item, io.BytesIO(blob))
                for clip in clips:
                    tar.add(clip, clip.name, filter=_owned)
                for name, folder in folders.items():
                    tar.add(folder, name, filter=_owned)
            archive.seek(0)
        except OSError as error:
            raise _no_room(error) from error
        yield archive


def only_file(stream: Iterable[bytes]) -> bytes | None:
    """The content of the first file in an archive; None if it has none. Raises StorageError."""
    with tempfile.TemporaryFile() as archive:
        try:
            archive.writelines(stream)
            archive.seek(0)
        except OSError as error:
            raise _no_room(error) from error
        with tarfile.open(fileobj=archive) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isfile() else None
                if content is not None:
                    return content.read()
    return None


def _owned(item: tarfile.TarInfo) -> tarfile.TarInfo:
    item.uid = item.gid = USER_ID
    item.uname = item.gname = ""
    item.mode = 0o755 if item.isdir() else 0o444 | item.mode & 0o200  # read-only stays that
    return item


def _no_room(error: OSError) -> StorageError:
    return StorageError(
        f"the temporary folder {tempfile.gettempdir()} cannot be used ({error.strerror})",
        next_step="free space there or set TMPDIR, then use --resume",
    )
