"""A pipeline of the user's own: one Python file, executed here and nowhere else.

What is executed are the bytes whose hash the case names. An error in them is the file's: one line
that names it, and the traceback beside it.
"""

import hashlib
import linecache
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import msgspec
import torch

from harness.errors import CaseError
from harness.job import PIPELINE_FILE
from harness.matrix import Case
from harness.measure.clock import FALLBACK_STAGE
from harness.record_parts import ChunkSample, DescribedWork
from harness.result import Fact
from harness.strict import Frames, Key, Stage
from harness.workload.streaming import ENDLESS, StreamingPipeline, Wish

MODULE = "own_pipeline"
PROFILED_CHUNKS = 6  # in one stretch of the profile pass; with them a cycle must have room
LATEST_STEADY_CHUNK = 1000  # each chunk before it is a sample, and a record holds only so much
DOCUMENT = "see docs/own-pipeline.md"


def load_own(folder: Path, case: Case, device: torch.device) -> StreamingPipeline:
    """Executes the exchange folder's file and builds its pipeline on `device`.

    Raises CaseError for a file that is not the case's, that fails, or builds something else.
    """
    code = _source(folder / PIPELINE_FILE, case.pipeline_sha256)
    # Where dataclasses, torch.compile and tracebacks look for a class and its lines.
    module = sys.modules[MODULE] = ModuleType(MODULE)
    lines = code.decode(errors="replace").splitlines(keepends=True)
    linecache.cache[PIPELINE_FILE] = (len(code), None, lines, PIPELINE_FILE)
    wish = Wish(
        device=device,
        seed=case.seed,
        preset=case.preset,
        width_px=case.width_px,
        height_px=case.height_px,
    )
    with own_errors("building the pipeline"):
        exec(compile(code, PIPELINE_FILE, "exec"), vars(module))
        build = getattr(module, "build", None)
        if not callable(build):
            raise CaseError("the file has no function build(wish)", next_step=DOCUMENT)
        torch.manual_seed(case.seed)
        pipeline = build(wish)
    if not isinstance(pipeline, StreamingPipeline):
        kind = type(pipeline).__name__
        raise CaseError(f"build(wish) returned {kind}, no StreamingPipeline", next_step=DOCUMENT)
    first = pipeline.first_steady_chunk
    if type(first) is not int or not 0 <= first <= LATEST_STEADY_CHUNK:
        raise CaseError(
            f"first_steady_chunk is {first!r}, no number from 0 to {LATEST_STEADY_CHUNK}",
            next_step=DOCUMENT,
        )
    least = first + 1 + PROFILED_CHUNKS
    if pipeline.chunks_per_cycle < least:
        raise CaseError(
            f"the pipeline has to be reset every {pipeline.chunks_per_cycle} chunks, "
            f"measuring it takes {least} in a row",
            next_step="give its state more room",
        )
    return pipeline


def _source(path: Path, sha256: str) -> bytes:
    try:
        blob = path.read_bytes()
    except OSError as error:
        raise CaseError(f"the pipeline's file cannot be read ({error.strerror})") from error
    if hashlib.sha256(blob).hexdigest() != sha256:
        raise CaseError("the pipeline's file is not the one that the case names")
    return blob


@contextmanager
def own_errors(doing: str) -> Iterator[None]:
    """An error that comes from the file becomes a CaseError inside the block."""
    try:
        yield
    except CaseError:
        raise
    except (Exception, SystemExit) as error:
        raise CaseError(f"{doing} failed: {type(error).__name__}: {error}") from error


def is_of_own(error: BaseException) -> bool:
    """Whether an error was raised in the user's file, or in what that called."""
    return any(
        frame.filename == PIPELINE_FILE for frame in traceback.extract_tb(error.__traceback__)
    )


def check_told(samples: Sequence[ChunkSample]) -> None:
    """Raises CaseError for stages or frames, as step() told them, that no record can hold."""
    for sample in samples:
        stages = list(sample.stage_ms)
        if stages == [FALLBACK_STAGE]:
            raise CaseError("step() marked no stage", next_step="begin it with mark('...')")
        try:
            msgspec.convert(stages, list[Stage])
            msgspec.convert(sample.frames, Frames)
        except msgspec.ValidationError as error:
            raise CaseError(
                f"step() marked {', '.join(map(repr, stages))} and returned {sample.frames!r} "
                f"frames: {error}",
                next_step=DOCUMENT,
            ) from error


def described_work(pipeline: StreamingPipeline) -> dict[str, DescribedWork]:
    """The pipeline's own account, checked. Raises CaseError for what no record can hold."""
    with own_errors("describe_cost()"):
        told = {
            name: {"flops": float(work.flops), "moved_bytes": float(work.moved_bytes)}
            for name, work in pipeline.describe_cost().items()
        }
    try:
        return msgspec.convert(told, dict[Key, DescribedWork])
    except msgspec.ValidationError as error:
        raise CaseError(f"describe_cost(): {error}", next_step=DOCUMENT) from error


def own_facts(case: Case, file: str | None, pipeline: StreamingPipeline | None) -> dict[str, Fact]:
    """Provenance: the file, and what its pipeline says of itself; None if it was not built."""
    facts = {
        "pipeline.file": Fact(value=file, reason=None if file else "the job does not say"),
        "pipeline.sha256": Fact(value=case.pipeline_sha256),
        "workload.seed": Fact(value=case.seed),
    }
    if pipeline is None:
        return facts
    cycle = pipeline.chunks_per_cycle
    return facts | {
        "pipeline.class": Fact(value=type(pipeline).__name__),
        "pipeline.first_steady_chunk": Fact(value=pipeline.first_steady_chunk),
        "pipeline.chunks_per_cycle": Fact(value=cycle)
        if cycle < ENDLESS
        else Fact(value=None, reason="its state never has to be reset"),
        "workload.dtype": Fact(value=str(pipeline.dtype).removeprefix("torch.")),
    }
