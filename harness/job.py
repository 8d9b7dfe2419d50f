"""What crosses the border between the host and the measured process, in both directions.

The host writes `job.json` (or `preflight.json`) into an exchange folder, the measured process
answers with `record.json` (or `devices.json`) beside it, and prints one Progress a line on stdout.
"""

from typing import Literal

import msgspec

from harness.matrix import Case
from harness.strict import Strict

JOB_FILE = "job.json"
RECORD_FILE = "record.json"
PREFLIGHT_FILE = "preflight.json"
DEVICES_FILE = "devices.json"
TRACE_FILE = "trace.json.gz"  # of a profiled case, beside its record
PIPELINE_FILE = "pipeline.py"  # the user's own pipeline
NOTE = "note: "  # a problem that begins so does not stop a run


ClipRole = Literal["video", "depth", "mask"]


class ClipFile(Strict, frozen=True):
    """A decoded clip in the exchange folder: safetensors with one uint8 tensor `frames` [T,C,H,W].

    C is 3 for video, 1 for depth and mask. T is a multiple of 12 and already looped.
    """

    role: ClipRole
    file: str  # name inside the exchange folder
    name: str  # the user's file name, without its folder
    sha256: str  # of the user's file
    frames_in_file: int
    frames_used: int
    looped: bool


class Job(Strict, frozen=True):
    """One case to measure."""

    case: Case
    salt: str  # for hashing identifiers that a published record must not hold
    clips: list[ClipFile] = []
    weights_dir: str | None = None  # as the measured process sees it
    gpu: str | None = None  # index or UUID of the GPU to use; null: the first
    process: int = 0  # which of the case's processes this is
    pipeline: str | None = None  # file name of the user's own pipeline, for the record
    limit_s: float | None = (
        None  # after which the process ends itself, with its stack as last words
    )


class PreflightRequest(Strict, frozen=True):
    """Questions before the first case: which devices, do the cases fit, do the weights load."""

    cases: list[Case]
    weights_dir: str | None = None
    gpu: str | None = None


class GpuDevice(Strict, frozen=True):
    """One GPU as torch and NVML see it."""

    index: int
    name: str
    uuid: str  # full; never written into a record
    total_bytes: int
    free_bytes: int
    capability: tuple[int, int]
    driver: str | None
    utilisation_percent: int | None


class Devices(Strict, frozen=True):
    """The answer to a PreflightRequest. A problem is one line of text, most important first."""

    torch_version: str
    torch_cuda: str | None
    gpus: list[GpuDevice]
    problems: list[str]
    python_version: str
    cpu_count: int


class Progress(Strict, frozen=True):
    """One line of progress on stdout."""

    phase: str
    done: int
    total: int
    text: str = ""


def parse_progress(line: str) -> Progress | None:
    """A Progress, or None where the line is something else that a library printed."""
    try:
        return msgspec.json.decode(line, type=Progress)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
