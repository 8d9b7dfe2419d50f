"""When warm-up is over: by proof, not by count.

Warm-up is the measured thing itself. It ends when, over the last WINDOW chunks, (a) all of them
were settled chunks (cache full and rolling, CUDA graphs captured), (b) dynamo compiled, recompiled
or broke nothing, (c) the chunk time has stopped moving, and (d) so has the SM clock where telemetry
gives it. At the cap of chunks or seconds it ends too, and says "not converged".
"""

from dataclasses import dataclass

from harness.analysis.interval import median
from harness.matrix import FIRST_STEADY_CHUNK
from harness.record_parts import Convergence

WINDOW = 3  # chunks
QUIET_SPREAD = 0.05  # longest minus shortest over the median: three such chunks are enough
DRIFT = 0.03  # change of the median from one window to the next: for noisier chunks
CLOCK_DRIFT = 0.03  # largest minus smallest over the largest


@dataclass(frozen=True)
class WarmChunk:
    """What warm-up looks at after each chunk."""

    chunk: int
    wall_ms: float
    compile_work: int  # dynamo's counter after the chunk
    sm_clock_mhz: float | None  # mean during the chunk


@dataclass(frozen=True)
class WarmupLimits:
    """Where warm-up ends without proof."""

    max_chunks: int
    max_s: float


class Warmup:
    """Collects chunks and decides."""

    def __init__(
        self, limits: WarmupLimits, compile_work: int, first_settled: int = FIRST_STEADY_CHUNK
    ) -> None:
        self._limits = limits
        self._first_settled = first_settled
        self._chunks: list[WarmChunk] = []
        self._compile_work = [compile_work]  # before the first chunk and after each

    def add(self, chunk: WarmChunk) -> None:
        """One more chunk has been run."""
        self._chunks.append(chunk)
        self._compile_work.append(chunk.compile_work)

    def verdict(self, elapsed_s: float) -> Convergence | None:
        """How warm-up ended, or None while it has to go on."""
        missing = self.missing()
        count = len(self._chunks)
        if not missing:
            return Convergence(converged=True, reason=self._proof(), chunks=count)
        if not self._cache_full():
            return None  # no cap may cut this short: what follows would not be steady
        if count >= self._limits.max_chunks:
            cap = f"cap of {self._limits.max_chunks} chunks"
        elif elapsed_s >= self._limits.max_s:
            cap = f"cap of {self._limits.max_s:g} s"
        else:
            return None
        return Convergence(converged=False, reason=f"{cap}: {'; '.join(missing)}", chunks=count)

    def missing(self) -> list[str]:
        """What has not been shown yet, in words."""
        last = self._chunks[-WINDOW:]
        if self._steady_count() < WINDOW:
            return [f"fewer than {WINDOW} steady chunks"]
        missing = []
        if self._compile_work[-1] != self._compile_work[-WINDOW - 1]:
            missing.append(f"something was compiled in the last {WINDOW} chunks")
        if not self._time_plateau():
            missing.append("the chunk time still moves")
        clocks = [chunk.sm_clock_mhz for chunk in last if chunk.sm_clock_mhz is not None]
        if clocks and (max(clocks) - min(clocks)) > CLOCK_DRIFT * max(clocks):
            missing.append("the SM clock still moves")
        return missing

    def _cache_full(self) -> bool:
        return bool(self._chunks) and self._chunks[-1].chunk + 1 >= self._first_settled

    def _steady_count(self) -> int:
        """Steady chunks at the end of the list."""
        count = 0
        for chunk in reversed(self._chunks):
            if chunk.chunk < self._first_settled:
                break
            count += 1
        return count

    def _time_plateau(self) -> bool:
        """Three chunks alike, or two windows with the same median."""
        times = [chunk.wall_ms for chunk in self._chunks[-self._steady_count() :]]
        last = times[-WINDOW:]
        middle = median(last)
        if max(last) - min(last) <= QUIET_SPREAD * middle:
            return True
        if len(times) < 2 * WINDOW:
            return False
        return abs(median(times[-2 * WINDOW : -WINDOW]) - middle) <= DRIFT * middle

    def _proof(self) -> str:
        clocks = [chunk.sm_clock_mhz for chunk in self._chunks[-WINDOW:]]
        clock = ", SM clock steady" if any(clocks) else ", SM clock not known"
        return f"nothing compiled for {WINDOW} chunks, chunk time steady{clock}"
