"""What the doctor looks at: a host, its engine and the image that is to run, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.errors import EngineError
from harness.host.engine_traits import EngineTraits
from harness.host.gpu import NoWay, Way
from harness.host.nvidia_smi import NO_SMI, Smi

State = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor. `name` is an obstacle's, under which docs/hosts.md explains it."""

    state: State
    subject: str
    text: str
    remedy: str = ""
    name: str = ""

    @property
    def line(self) -> str:
        """The finding with its remedy."""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.state:8}{self.subject}: {self.text}{remedy}"


@dataclass(frozen=True, kw_only=True)
class Site:
    """Everything that obstacles are recognised by. Files are read below `root`."""

    information: Mapping[str, Any] | None = None  # the engine's; None: no engine answers
    engine_error: EngineError | None = None
    is_local: bool = True  # the engine; files and nvidia-smi of this host say nothing of another's
    way: Way | NoWay
    driver: str | None = None
    smi: Smi = NO_SMI
    root: Path = Path("/")
    gpu: str | None = None  # as asked for
    image: str = "the image"
    cuda_major: int | None = None  # of the image; 0: a torch without CUDA
    image_disk_bytes: int | None = None  # free where the engine keeps images; None: not seen
    traits: EngineTraits = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "traits", EngineTraits.of(self.information or {}))

    @property
    def has_engine(self) -> bool:
        """Whether an engine answers."""
        return self.information is not None

    @property
    def is_here(self) -> bool:
        """Whether what runs the cases is this host: its files then tell what they will find."""
        return self.is_local or not self.has_engine

    @property
    def runtimes(self) -> Mapping[str, Any]:
        """The engine's runtimes by name."""
        return (self.information or {}).get("Runtimes") or {}

    @property
    def kernel(self) -> str:
        """Release of this host's kernel."""
        try:
            return (self.root / "proc/sys/kernel/osrelease").read_text().strip()
        except OSError:
            return ""

    @property
    def is_wsl(self) -> bool:
        """Whether this host is a Linux of WSL."""
        return "microsoft" in self.kernel.lower()
