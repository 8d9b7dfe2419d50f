"""What a published record must not hold: names of hosts and users, host paths, full GPU UUIDs.

Identifiers are replaced by a salted hash. The salt lives on the host that ran the benchmark, in
`vace-bench/salt` under the user's configuration folder (`$XDG_CONFIG_HOME`, else `~/.config`), and
is never published: the same GPU keeps the same hash there, and nobody else can undo it.
"""

import getpass
import hashlib
import os
import re
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path

from harness.errors import StorageError


def salt_path(environment: Mapping[str, str]) -> Path:
    """Where the salt is kept."""
    base = environment.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "vace-bench" / "salt"


def load_salt(path: Path) -> str:
    """The host's salt, made on first use. Raises StorageError if it cannot be kept."""
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(secrets.token_hex(16) + "\n")
            path.chmod(0o600)
        return path.read_text().strip()
    except OSError as error:
        raise StorageError(
            f"the salt file {path} cannot be kept ({error.strerror})",
            next_step="set XDG_CONFIG_HOME to a writable folder",
        ) from error


def pseudonym(identifier: str, salt: str) -> str:
    """A short salted hash of an identifier."""
    return hashlib.sha256(f"{salt}:{identifier}".encode()).hexdigest()[:16]


class Scrubber:
    """Replaces paths, host and user names in text that goes into a record."""

    def __init__(self, replacements: Mapping[str, str]) -> None:
        kept = {old: new for old, new in replacements.items() if len(old) > 1}
        self._table = sorted(kept.items(), key=lambda item: -len(item[0]))

    def __call__(self, text: str) -> str:
        """The text with every known name replaced, longest first; whole words only."""
        for old, new in self._table:
            text = re.sub(rf"(?<![\w.-]){re.escape(old)}(?![\w-])", new, text)
        return text


def host_scrubber(project: Path, paths: Mapping[Path, str]) -> Scrubber:
    """A scrubber that knows this host's names, the project's folder and the given paths."""
    table = {str(path.absolute()): name for path, name in paths.items()}
    table |= {str(path): name for path, name in paths.items()}
    table |= {
        str(project.absolute()): "<project>",
        str(Path.home()): "<home>",
        socket.gethostname(): "<host>",
        os.environ.get("USER") or _user_name(): "<user>",
    }
    table.pop("root", None)  # says nothing about anyone, and is an ordinary word in messages
    return Scrubber(table)


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
