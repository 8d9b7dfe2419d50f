"""CDI specifications of NVIDIA GPUs on this host: which devices they name, for which driver.

Read for three facts only, by patterns that fit both the YAML and the JSON form.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

KIND = "nvidia.com/gpu"
FOLDERS = ("/etc/cdi", "/var/run/cdi")
SUFFIXES = (".yaml", ".yml", ".json")
NAME = re.compile(r'(?m)(?:^|[\s{,-])"?name"?\s*:\s*"?([^",\s}]+)')
DRIVER = re.compile(r"lib(?:cuda|nvidia-ml)\.so\.(\d{3,}\.\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Spec:
    """One specification."""

    path: str
    names: frozenset[str]
    drivers: frozenset[str]  # versions in the names of its libraries; on WSL there are none

    def is_stale(self, driver: str | None) -> bool:
        """Whether it was written for another driver than the one that is loaded."""
        return bool(self.drivers) and driver is not None and driver not in self.drivers


def find_specs(folders: Iterable[str], root: Path = Path("/")) -> list[Spec]:
    """The specifications of NVIDIA GPUs in these folders."""
    found = []
    for folder in folders:
        for file in sorted((root / folder.lstrip("/")).glob("*.*")):
            if file.suffix not in SUFFIXES:
                continue
            try:
                text = file.read_text(errors="replace")
            except OSError:
                continue  # the engine, which runs as root, may read it; we cannot vouch for it
            if re.search(rf'"?kind"?\s*:\s*"?{re.escape(KIND)}"?\s*(?:$|[,}}\n])', text):
                path = f"/{file.relative_to(root)}"
                names = frozenset(NAME.findall(text))
                found.append(Spec(path, names, frozenset(DRIVER.findall(text))))
    return found
