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
    """The host's salt, made on first use. StorageError if damaged or impossible to keep."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            pass
        else:
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_hex(16) + "\n")
        salt = path.read_bytes().strip()
    except OSError as error:
        raise StorageError(
            f"the salt file {path} cannot be kept ({error.strerror})",
            next_step="set XDG_CONFIG_HOME to a writable folder",
        ) from error
    if re.fullmatch(rb"[0-9a-f]{32}", salt) is None:
        raise StorageError(
            f"the salt file {path} is damaged",
            next_step="delete it; identifiers of older records will then not match new ones",
        )
    return salt.decode()


def pseudonym(identifier: str, salt: str) -> str:
    """A short salted hash of an identifier."""
    return hashlib.sha256(f"{salt}:{identifier}".encode()).hexdigest()[:16]


class Scrubber:
    """Replaces paths, host and user names in text that goes into a record."""

    def __init__(self, replacements: Mapping[str, str]) -> None:
        kept = {old: new for old, new in replacements.items() if len(old) > 1}
        longest_first = sorted(kept.items(), key=lambda item: -len(item[0]))
        self._table = [(self._pattern(old), new) for old, new in longest_first]

    def __call__(self, text: str) -> str:
        """The text with every known name replaced, longest first; names as whole words only."""
        for pattern, new in self._table:
            text = new.join(pattern.split(text))
        return text

    @staticmethod
    def _pattern(old: str) -> re.Pattern[str]:
        # A path may follow a letter, as in a compiler's -I/home/name/include.
        start = "" if old.startswith("/") else r"(?<![\w.-])"
        return re.compile(rf"{start}{re.escape(old)}(?![\w-])")


def host_scrubber(
    project: Path, paths: Mapping[Path, str], names: Mapping[str, str] | None = None
) -> Scrubber:
    """A scrubber that knows this host's names, the project's folder, given paths and names."""
    folders = {**paths, project: "<project>", Path.home(): "<home>"}
    table = {str(path): name for path, name in folders.items()}
    table |= {str(path.absolute()): name for path, name in folders.items()}
    table |= {os.path.realpath(path): name for path, name in folders.items()}
    host = socket.gethostname()
    table |= dict.fromkeys((host, host.partition(".")[0]), "<host>")
    table[os.environ.get("USER") or _user_name()] = "<user>"
    table |= names or {}
    table.pop("root", None)  # says nothing about anyone, and is an ordinary word in messages
    return Scrubber(table)


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
