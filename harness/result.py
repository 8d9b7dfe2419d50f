"""The record: what one case measured, or why it could not. Raw samples, nothing derived.

Units are in the names. Times called `*_s` on a common axis are seconds of CLOCK_MONOTONIC, the
same for the case, its marks and the GPU sampler. An absent value is null with a reason.

Schema history
    1  first version
    2  several processes a case, arms of paired cases, busy samples, state of each chunk, host load
    3  the profile: chunks attributed by recorded ranges, idle time by cause, measured ceilings
    4  variants: their name in the case, memory and first chunk of each arm, errors of their output;
       the profile: gaps by stage, operators apart from Python, a time line, unprofiled reads
    5  pipelines of the user's own: their name and hash in the case, the work that they describe,
       their components beside the chunks; steps, window and stretch in the case, time to prepare a
       variant; of an output's errors the cosines and the frames' similarity
    6  the type of weights and activations in the case
    7  a profile's stages with and without synchronising are the same ones
    8  a frame of every arm of a proof of output
"""

import re
from typing import Any, Literal

import msgspec

from harness.errors import RecordError
from harness.intake import parse_json
from harness.matrix import Case
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
    GpuState,
    HostSeries,
    Memory,
    OutputError,
    PhaseMark,
)
from harness.strict import Count, Key, NonNegative, Strict

SCHEMA_VERSION = 8
UPGRADE = "upgrade vace-bench"  # what to do about a record of a newer version
RECORD_LIMIT_BYTES = 8 * 2**20


class Fact(Strict, frozen=True):
    """A known value, or null with the reason why it is not known."""

    value: str | int | float | bool | None
    reason: str | None = None


class Result(Strict, frozen=True, tag="ok", tag_field="status"):
    """A case that finished."""

    schema_version: int
    case: Case
    case_id: str
    started_utc: str
    provenance: dict[Key, Fact]
    phases: list[PhaseMark]
    clips: list[ClipUse]
    vace_context_sha256: str | None  # of the first chunk's context; null for text-only
    convergence: Convergence | None  # null for isolated components
    chunks: list[ChunkSample]
    components: list[Component]
    compile: CompileStats | None
    memory: Memory | None
    count_pass: CountPass | None
    gpu: GpuState
    flags: list[str]
    process: Count = 0  # which of the case's processes this is
    planted_ms: dict[Key, NonNegative] = {}  # arm -> delay planted in each of its chunks
    busy: list[BusySample] = []
    host: HostSeries | None = None
    profile: Profile | None = None
    ceilings: Ceilings | None = None
    arms: dict[Key, ArmFacts] = {}
    output_errors: list[OutputError] = []
    frames: list[FrameSample] = []  # of a proof with an arm that allows an error
    prepared_s: NonNegative | None = None  # changing the pipeline of a case that is a variant
    described: dict[
        Key, DescribedWork
    ] = {}  # by part, of a profiled case whose pipeline describes it


class Failure(Strict, frozen=True, tag="failed", tag_field="status"):
    """A case that started and did not finish. It is a record too, and can be run again."""

    schema_version: int
    case: Case
    case_id: str
    started_utc: str
    category: Literal["input", "device", "memory", "killed", "timeout", "infrastructure", "bug"]
    message: str  # one line
    detail: str  # the last lines of output or the traceback
    exit_code: int | None
    provenance: dict[Key, Fact]
    partial: Result | None = None  # what had been measured until then
    process: Count = 0


Record = Result | Failure


FLAT = re.compile(rb"([\[{])\n\s+([^][{}]+?)\n\s*([\]}])")
BREAK = re.compile(rb"\n\s+")


def encode(value: msgspec.Struct) -> bytes:
    """JSON of a record part, indented for readable diffs, with a final newline.

    A list or object that holds no other stands on one line: samples are most of a record, and
    indenting each of them would double it.
    """
    text = msgspec.json.format(msgspec.json.encode(value), indent=1)
    return FLAT.sub(lambda match: match[1] + BREAK.sub(b" ", match[2]) + match[3], text) + b"\n"


def decode(blob: bytes, *, name: str) -> Record:
    """A validated record. Raises RecordError for damage, an unknown form or a newer version."""
    check_version(blob, name=name)
    try:
        record: Record = msgspec.json.decode(blob, type=Record)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise RecordError(
            f"record {name} is damaged ({error})", next_step="restore it or run the case again"
        ) from error
    return record


def check_version(blob: bytes, *, name: str) -> None:
    """Refuses by name what is not JSON, exceeds the limits or was made by a newer version."""
    if len(blob) > RECORD_LIMIT_BYTES:
        raise RecordError(
            f"{name} is larger than {RECORD_LIMIT_BYTES >> 20} MiB",
            next_step="it is no record of this program",
        )
    try:
        head: Any = parse_json(blob)
    except ValueError as error:
        raise RecordError(
            f"record {name} is damaged ({error})", next_step="restore it or run the case again"
        ) from error
    version = head.get("schema_version") if isinstance(head, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise RecordError(
            f"record {name} has no valid schema_version", next_step="restore it from its source"
        )
    if version > SCHEMA_VERSION:
        raise RecordError(
            f"record {name} has schema {version}, this version reads up to {SCHEMA_VERSION}",
            next_step=UPGRADE,
        )
