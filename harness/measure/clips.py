"""The clip that a case is fed with, and what the record says about it."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from harness.errors import ClipError
from harness.job import ClipFile, Job
from harness.presets import WorkloadConfig
from harness.record_parts import ClipUse
from harness.workload.inputs import Clip, ClipPart, clip_from_pixels, generated_clip

GENERATED_NAMES = {
    "video": "generated moving scene",
    "depth": "generated depth map of a moving scene",
    "mask": "generated moving mask",
}


def load_clip(
    job: Job, config: WorkloadConfig, device: torch.device, folder: Path
) -> tuple[Clip | None, list[ClipUse]]:
    """The case's clip on the device (None: text-only). What no file gives is generated.

    Raises ClipError for an exchange file that cannot be read.
    """
    mode = job.case.mode
    files: dict[str, ClipFile] = {file.role: file for file in job.clips}
    if mode == "text":
        return None, []
    if not files:
        clip = generated_clip(config, mode, device=device)
    else:
        pixels = {role: _read(folder / file.file, file) for role, file in files.items()}
        clip = clip_from_pixels(
            config,
            mode,
            device=device,
            video=pixels.get("video"),
            depth=pixels.get("depth"),
            mask=pixels.get("mask"),
        )
    return clip, [_use(part, files) for part in clip.parts]


def _read(path: Path, file: ClipFile) -> Tensor:
    """uint8 [T, C, H, W]."""
    try:
        with safe_open(path, "pt") as tensors:
            frames: Tensor = tensors.get_tensor("frames")
    except (OSError, SafetensorError) as error:
        raise ClipError(f"the decoded {file.role} clip cannot be read ({error})") from error
    return frames


def _use(part: ClipPart, files: dict[str, ClipFile]) -> ClipUse:
    if part.source == "generated":
        return ClipUse(
            role=part.role,
            source="generated",
            name=GENERATED_NAMES[part.role],
            sha256=part.sha256,
            frames_in_file=None,
            frames_used=part.frames,
            looped=False,
        )
    file = files["video" if part.source == "luma" else part.role]
    return ClipUse(
        role=part.role,
        source="file",
        name=f"{file.name} (its brightness as depth)" if part.source == "luma" else file.name,
        sha256=file.sha256,
        frames_in_file=file.frames_in_file,
        frames_used=part.frames,
        looped=file.looped or part.frames > file.frames_used,
    )
