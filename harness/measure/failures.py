"""Turns what ended a case into a Failure record: its category, one line, and the traceback."""

import traceback
from pathlib import Path
from typing import Literal

import torch

from harness.errors import CaseError, ClipError, DeviceError, HarnessError, UsageError, WeightsError
from harness.job import Job
from harness.measure.own_pipeline import is_of_own
from harness.measure.redact import without_folders
from harness.measure.telemetry import GpuGoneError
from harness.privacy import host_scrubber
from harness.result import SCHEMA_VERSION, Fact, Failure

Category = Literal["input", "device", "memory", "killed", "timeout", "infrastructure", "bug"]

DETAIL_CHARACTERS = 8000
MESSAGE_CHARACTERS = 500
CUDA_ERROR = "CUDA error"
OUT_OF_MEMORY = ("CUDA out of memory", "CUDA error: out of memory")


def failure(
    job: Job, error: BaseException, *, started_utc: str, provenance: dict[str, Fact]
) -> Failure:
    """The record of a case that ended with `error`. Names and paths are removed from its texts."""
    clean = host_scrubber(Path(__file__).parents[2], {})
    lines = traceback.format_exception(error)
    kind = category(error)
    message = error.line if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
    return Failure(
        schema_version=SCHEMA_VERSION,
        case=job.case,
        case_id=job.case.id,
        started_utc=started_utc,
        category="input" if is_of_own(error) and kind == "bug" else kind,
        message=without_folders(clean(" ".join(message.split())))[:MESSAGE_CHARACTERS],
        detail=without_folders(clean("".join(lines)))[-DETAIL_CHARACTERS:],
        exit_code=None,
        provenance=provenance,
    )


def category(error: BaseException) -> Category:
    """Whose fault it is; anything unknown is ours."""
    if isinstance(error, GpuGoneError):
        return "device" if error.category == "device" else "infrastructure"
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return "memory"
    if isinstance(error, DeviceError):
        return "device"
    if isinstance(error, UsageError | ClipError | WeightsError | CaseError):
        return "input"
    if any(text in str(error) for text in OUT_OF_MEMORY):
        return "memory"  # also as the compiler wraps it
    if isinstance(error, RuntimeError) and CUDA_ERROR in str(error):
        return "device"
    return "bug"
