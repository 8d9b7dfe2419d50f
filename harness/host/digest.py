"""SHA-256 of files too large to read at once."""

import hashlib
from pathlib import Path

PIECE_BYTES = 1 << 20


def file_sha256(path: Path) -> str:
    """Hex digest of a file. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()
