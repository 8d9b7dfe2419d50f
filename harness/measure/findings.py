"""What a case has yielded so far. It grows while the case runs, so that an abort keeps it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.job import Progress
from harness.profiled import Ceilings, Profile
from harness.record_parts import (
    ArmFacts,
    BusySample,
    ChunkSample,
    ClipUse,
    CompileStats,
    Component,
    Convergence,
    CountPass,
    DescribedWork,
    FrameSample,
    Memory,
    OutputError,
    Phase,
    PhaseMark,
)

Report = Callable[[Progress], None]


@dataclass
class Findings:
    """Parts of the record in the making. A phase ends where the next one begins."""

    report: Report
    phases: list[PhaseMark] = field(default_factory=list)
    chunks: list[ChunkSample] = field(default_factory=list)
    components: list[Component] = field(default_factory=list)
    clips: list[ClipUse] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    vace_context_sha256: str | None = None
    convergence: Convergence | None = None
    compile: CompileStats | None = None
    memory: Memory | None = None
    count_pass: CountPass | None = None
    busy: list[BusySample] = field(default_factory=list)
    planted_ms: dict[str, float] = field(default_factory=dict)
    profile: Profile | None = None
    ceilings: Ceilings | None = None
    arms: dict[str, ArmFacts] = field(default_factory=dict)
    output_errors: list[OutputError] = field(default_factory=list)
    frames: list[FrameSample] = field(default_factory=list)
    prepared_s: float | None = None
    described: dict[str, DescribedWork] = field(default_factory=dict)
    stop_reason: str | None = None
    _open: tuple[Phase, float] | None = None

    def enter(self, phase: Phase) -> None:
        """A phase begins here, unless it is the one under way."""
        if self._open is None or self._open[0] != phase:
            self.close()
            self._open = (phase, time.monotonic())

    def close(self) -> None:
        """The phase under way ends here."""
        if self._open is not None:
            name, start_s = self._open
            end_s = time.monotonic()
            self.phases.append(
                PhaseMark(name=name, start_s=round(start_s, 4), end_s=round(end_s, 4))
            )
            self._open = None

    def progress(self, done: int, total: int, text: str = "") -> None:
        """Tells how far the phase under way has come."""
        phase = self._open[0] if self._open else "load"
        self.report(Progress(phase=phase, done=done, total=total, text=text))

    def flag(self, text: str) -> None:
        """Marks the whole case; the record shows it beside every number."""
        if text not in self.flags:
            self.flags.append(text)
