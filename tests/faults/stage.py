"""Where faults are injected: folders, engines, and how the benches of a kind are started."""

import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness.host.engine import Engine
from tests.faults import player
from tests.faults.outcome import Setting
from tests.faults.private_engine import PrivateEngine
from tests.faults.world import Child, World

HERE = Path(__file__).parent
CASES = ("e2e-text-eager", "e2e-depth-eager", "e2e-inpainting-eager")
FAULTY = CASES[1]  # the case that a fault in the measured process hits
MATRIX = """
name = "faults"

[[cases]]
kind = ["e2e"]
mode = [{modes}]
blocks = 1
chunks_per_block = 1
warmup_max_chunks = 5
"""


@dataclass
class Stage:
    """What faults are injected into. Without an engine only local kinds run."""

    folder: Path
    played: bool  # where the fault hits the outside, nothing is really measured
    engine: Engine | None = None
    image_arguments: list[str] = field(default_factory=list)
    private: PrivateEngine | None = None
    device: str = "cpu"
    case_arguments: list[str] = field(default_factory=list)  # such as --size
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def offers(self, place: str) -> bool:
        """Whether there is what faults at this place need."""
        return {
            "local": True,
            "docker": self.engine is not None,
            "private": self.private is not None,
        }[place]

    @contextmanager
    def world(self, where: str) -> Iterator[World]:
        """A fresh corner, gone afterwards with whatever is left in it."""
        world = World(self.folder / f"world-{next(self._numbers)}")
        if where == "docker":
            world.engine = self.engine
        if where == "private":
            assert self.private is not None
            world.engine, world.docker_host = self.private.engine(), self.private.address
        try:
            yield world
        finally:
            world.close()

    def setting(
        self,
        world: World,
        where: str,
        *,
        real: bool = False,
        cases: int = 3,
        more: Child | None = None,
    ) -> Setting:
        """Benches of a few short cases, played unless they must be real."""
        modes = ", ".join(f'"{name.split("-")[1]}"' for name in CASES[:cases])
        arguments = ["bench", "--matrix", world.matrix(MATRIX.format(modes=modes))]
        runtime = "local" if where == "local" else "docker"
        arguments += ["--runtime", runtime, "--device", self.device, *self.case_arguments]
        if where != "local":
            arguments += self.image_arguments
        child: Child = {}
        if self.played and not real:
            child["program"] = _program(where, HERE / "player.py", player.source())
        return Setting(where=where, arguments=arguments, child=child | (more or {}))

    def faulty(self, where: str, fault: str, case_id: str = FAULTY) -> Child:
        """The measured process with a fault in one case: played if the player can."""
        if fault in player.FAULTS:
            path, source = HERE / "player.py", player.source()
        else:
            path, source = HERE / "inject.py", (HERE / "inject.py").read_text()
        return {"program": [*_program(where, path, source), fault, case_id]}


def _program(where: str, path: Path, source: str) -> list[str]:
    return [sys.executable, str(path)] if where == "local" else ["python", "-c", source]
