"""Small cases and jobs that a CPU runs in seconds."""

from typing import Any

from harness.job import Job
from harness.matrix import Case

SALT = "0123456789abcdef"


def small_case(**changes: Any) -> Case:
    fields: dict[str, Any] = {
        "kind": "e2e",
        "mode": "inpainting",
        "preset": "tiny",
        "width_px": 32,
        "height_px": 32,
        "device": "cpu",
        "blocks": 2,
        "chunks_per_block": 2,
        "warmup_max_chunks": 5,
    }
    return Case(**(fields | changes))


def small_job(*, clips: Any = (), **changes: Any) -> Job:
    return Job(case=small_case(**changes), salt=SALT, clips=list(clips))
