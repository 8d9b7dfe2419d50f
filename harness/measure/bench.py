"""The bench that a case stands on: pipeline, clock and telemetry, and how chunks are run."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from harness.errors import CaseError, UsageError
from harness.matrix import Case
from harness.measure.clock import ChunkTiming, StageClock
from harness.measure.compile_log import work_done
from harness.measure.delay import NO_DELAY, Delay
from harness.measure.findings import Findings
from harness.measure.host_speed import HostSpeed, SpeedProbe, mean_speed
from harness.measure.own_pipeline import check_told
from harness.measure.telemetry import Telemetry
from harness.record_parts import ChunkSample, ChunkState, Phase
from harness.workload.built_in import BuiltIn
from harness.workload.streaming import StreamingPipeline

MS_DECIMALS = 4
S_DECIMALS = 5


@dataclass
class Bench:
    """Everything that a measurement of one case needs."""

    case: Case
    pipeline: StreamingPipeline
    clock: StageClock
    telemetry: Telemetry
    findings: Findings
    compile_work: int = 0  # dynamo's counter after the last chunk
    delay: Delay = NO_DELAY  # planted in every chunk
    profile_folder: Path | None = None  # where a profiled case leaves its trace
    speed: SpeedProbe = field(init=False)

    def __post_init__(self) -> None:
        self.speed = SpeedProbe(self.pipeline.device)

    @property
    def chunks_per_cycle(self) -> int:
        """Chunks from one reset of the pipeline's state to the next that has to be."""
        return self.pipeline.chunks_per_cycle

    @property
    def built_in(self) -> BuiltIn:
        """The built-in workload. Raises CaseError in a case of another pipeline."""
        if not isinstance(self.pipeline, BuiltIn):
            raise CaseError(f"a case of kind '{self.case.kind}' needs the built-in workload")
        return self.pipeline

    def check(self) -> None:
        """Raises UsageError for a block that no steady window can hold."""
        most = self.chunks_per_cycle - self.pipeline.first_steady_chunk
        if self.case.chunks_per_block > most:
            raise UsageError(
                f"a block of {self.case.chunks_per_block} chunks would contain a cache reset",
                next_step=f"use at most {most} chunks a block",
            )

    def run_block(
        self, count: int, phase: Phase, block: int | None = None, arm: str | None = None
    ) -> list[ChunkSample]:
        """Runs chunks back to back, synchronised at both ends, and keeps every sample."""
        pipeline, clock = self.pipeline, self.clock
        mark = self.delay.after(clock.mark)
        clock.reserve(clock.most_notes_per_chunk * count + 1)
        frames: list[int] = []
        compile_work: list[int] = []
        speed_before = self.speed.measure()
        clock.synchronise()
        for _ in range(count):
            index = pipeline.chunk_index
            given = pipeline.prepare(index)
            clock.start(index)
            frames.append(pipeline.run(given, mark))
            compile_work.append(work_done())
        timings = clock.finish()
        speed = mean_speed(speed_before, self.speed.measure())
        before = [self.compile_work, *compile_work[:-1]]
        self.compile_work = compile_work[-1]
        samples = [
            _sample(timing, (phase, block, arm), frames[i], compile_work[i] - before[i], speed)
            for i, timing in enumerate(timings)
        ]
        if self.case.pipeline:
            check_told(samples)
        self.findings.chunks += samples
        return samples

    def run_first_chunk(self, phase: Phase) -> ChunkSample:
        """Chunk 0; what it made of its input identifies that."""
        sample = self.run_block(1, phase)[0]
        context = self.pipeline.input_tensor
        self.findings.vace_context_sha256 = None if context is None else sha256_of(context)
        return sample

    def make_room(self, chunks: int) -> None:
        """Resets and warms up again if that many chunks would meet the reset of the caches."""
        if self.pipeline.chunk_index + chunks <= self.chunks_per_cycle:
            return
        self.restart()

    def restart(self) -> None:
        """Resets the pipeline and brings it back to the steady state."""
        self.findings.enter("warmup")
        self.pipeline.restart()
        for _ in range(self.pipeline.first_steady_chunk + 1):
            self.run_block(1, "warmup")


def sha256_of(tensor: Tensor) -> str:
    """Hash of a tensor's bytes."""
    raw = tensor.detach().contiguous().cpu().view(torch.uint8)
    return hashlib.sha256(raw.numpy().tobytes()).hexdigest()


def _sample(
    timing: ChunkTiming,
    place: tuple[Phase, int | None, str | None],
    frames: int,
    compile_work: int,
    speed: HostSpeed,
) -> ChunkSample:
    phase, block, arm = place
    flag = "recompiled" if phase == "steady" else "compiled"

    def rounded(split: dict[str, float]) -> dict[str, float]:
        return {name: round(value, MS_DECIMALS) for name, value in split.items()}

    return ChunkSample(
        chunk=timing.chunk,
        phase=phase,
        block=block,
        start_s=round(timing.start_s, S_DECIMALS),
        frames=frames,
        wall_ms=round(timing.wall_ms, MS_DECIMALS),
        event_ms=None if timing.event_ms is None else round(timing.event_ms, MS_DECIMALS),
        stage_ms=rounded(timing.stage_ms),
        stage_host_ms=rounded(timing.stage_host_ms),
        flags=[flag] if compile_work else [],
        arm=arm,
        state=ChunkState(
            compile_work=compile_work, loop_us=speed.loop_us, operator_us=speed.operator_us
        ),
    )
