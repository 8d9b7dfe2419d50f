"""What in a text would name a host or its user: known names of this host, and telling patterns.

Patterns find what no list of names holds: a record may come from another host than the one that
scans it. Words that say nothing about anyone (`root`, `localhost`) are no finding.
"""

import os
import platform
import pwd
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

MASKED_AFTER = 2  # characters of a finding that are shown
MOST_STARS = 8
SHORTEST_NAME = 3
# Names of accounts and hosts that many share, some of them ordinary words of a report.
ORDINARY = frozenset(
    (
        *("root", "localhost", "localdomain", "local", "user", "users", "admin", "nobody", "home"),
        *("ubuntu", "debian", "docker", "container", "host", "node", "server", "runner", "worker"),
        *("gpu", "cpu", "cuda", "nvidia", "bench", "test", "main", "python", "torch"),
    )
)
# Where operating systems and our own images keep their files, the same on every host.
SYSTEM_FOLDERS = frozenset(
    (
        *("bin", "boot", "dev", "etc", "lib", "lib64", "nix", "opt", "proc", "run", "sbin", "sys"),
        *("tmp", "usr", "var", "cache", "exchange", "weights"),
    )
)
# Of these, folders below which people keep their own.
OWN_FOLDERS = re.compile(r"/(?:run/media|run/user|var/home|usr/home|tmp/[^/\s]+/)")

UUID = re.compile(
    r"(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b(?:GPU|MIG)-[0-9a-f]{32}\b"
)
PATH = re.compile(r"(?<![\w.>/~-])(?<!\.json#)/(?:[\w.+@~-]+/)+[\w.+@~-]*")
HOME_PATH = re.compile(r"(?<![\w.>/-])~[\w-]*/[\w.-]+|\b[A-Za-z]:\\\\?[\w$]")
SERIAL = re.compile(
    r"(?i)\b(?:serial(?:[ _-]?(?:number|no|nr))?|s/n)\b[\"']?\s*[:=#.]?\s*[\"']?"
    r"((?=[a-z-]*\d)[0-9a-z-]{6,})"
)
GPU_SERIAL = re.compile(r"(?<![\w.,-])[01]\d{12}(?![\w.,-])")  # as nvidia-smi prints it
MAC = re.compile(r"(?i)(?<![\w:.])(?:[0-9a-f]{2}:){5}[0-9a-f]{2}(?![\w:.])")
# From the start of a name alone: a long text without an @ would be read again from each letter.
MAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("full UUID", UUID),
    ("path of a host", HOME_PATH),
    ("serial number", SERIAL),
    ("serial number", GPU_SERIAL),
    ("hardware address", MAC),
    ("mail address", MAIL),
)
IDENTITY_FILES: tuple[tuple[str, str], ...] = (
    ("machine id", "etc/machine-id"),
    ("serial number", "sys/class/dmi/id/product_serial"),
    ("serial number", "sys/class/dmi/id/board_serial"),
    ("serial number", "sys/class/dmi/id/chassis_serial"),
    ("full UUID", "sys/class/dmi/id/product_uuid"),
)


@dataclass(frozen=True)
class Found:
    """Something that identifies, and what kind of thing it is."""

    kind: str
    text: str

    @property
    def masked(self) -> str:
        """Enough to find it again, and not the thing itself."""
        hidden = len(self.text) - MASKED_AFTER
        return self.text[:MASKED_AFTER] + "*" * min(max(hidden, 1), MOST_STARS)


def is_ordinary(name: str) -> bool:
    """Whether a name says nothing about anyone: too short, or an ordinary word."""
    return len(name) < SHORTEST_NAME or name.lower() in ORDINARY


class Names:
    """The names of a host, ready to be looked for: whole words, in any case."""

    def __init__(self, names: Mapping[str, str]) -> None:
        """`names` maps each name to its kind."""
        kept = {name: kind for name, kind in names.items() if not is_ordinary(name)}
        self._kinds = {name.casefold(): kind for name, kind in kept.items()}
        longest_first = sorted(kept, key=len, reverse=True)
        words = "|".join(map(re.escape, longest_first))
        self._pattern = (
            re.compile(rf"(?i)(?<![\w]){'(?:' + words + ')'}(?![\w])") if words else None
        )

    def find(self, text: str) -> Iterator[Found]:
        """Every thing in the text that identifies someone, patterns first."""
        for kind, pattern in PATTERNS:
            for match in pattern.finditer(text):
                yield Found(kind, match[match.lastindex or 0])
        for match in PATH.finditer(text):
            if match[0].split("/")[1] not in SYSTEM_FOLDERS or OWN_FOLDERS.match(match[0]):
                yield Found("path of a host", match[0])
        if self._pattern is not None:
            for match in self._pattern.finditer(text):
                # A letter may equal another without folding to it: the dotless i does.
                yield Found(self._kinds.get(match[0].casefold(), "name"), match[0])


def names_of_host(root: Path = Path("/")) -> dict[str, str]:
    """Names of this host and of who uses it, with their kinds; `root` is where `/etc` lies."""
    names: dict[str, str] = {}
    for host in (socket.gethostname(), platform.node(), os.environ.get("HOSTNAME", "")):
        names |= dict.fromkeys((host, host.partition(".")[0]), "host name")
    for user in (os.environ.get("USER", ""), os.environ.get("LOGNAME", ""), *_account()):
        names[user] = "user name"
    names[str(Path.home())] = "path of a host"
    return names | {_identity(root / file): kind for kind, file in IDENTITY_FILES}


def _identity(file: Path) -> str:
    """What a file says; nothing where it is for root alone or the machine has none."""
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _account() -> tuple[str, ...]:
    """Login and full name of the account, if it has an entry."""
    try:
        entry = pwd.getpwuid(os.getuid())
    except KeyError:
        return ()
    return entry.pw_name, entry.pw_gecos.partition(",")[0]
