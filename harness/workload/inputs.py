"""What a pipeline is fed with: clips as tensors on the device, 12 frames a chunk from the first on.

Generated clips are seeded; clips from files arrive as pixels that the host decoded. Every clip says
what it was made of.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from harness.errors import ClipError
from harness.presets import GENERATED_CHUNKS, WorkloadConfig
from harness.workload.scene import Scene

LUMA = (0.2126, 0.7152, 0.0722)  # of red, green, blue
CHANNELS = {"video": 3, "depth": 1, "mask": 1}


@dataclass(frozen=True)
class ClipPart:
    """One ingredient of a clip.

    `source` "luma": no depth map was given, so the brightness of the given video stands in for it.
    """

    role: Literal["video", "depth", "mask"]
    source: Literal["generated", "file", "luma"]
    sha256: str  # of the uint8 pixels [T,C,H,W] as they are used
    frames: int


@dataclass(frozen=True)
class Clip:
    """A clip by chunks, in the pipeline's dtype and on its device."""

    frames: Tensor  # [n,1,3,12,H,W] in [-1,1]
    mask: Tensor | None  # [n,1,1,12,H,W] in [0,1]; None: control frames, all is generated
    parts: tuple[ClipPart, ...]

    @property
    def sha256(self) -> str:
        """Of the hashes of the parts: changes with any pixel."""
        return hashlib.sha256("".join(part.sha256 for part in self.parts).encode()).hexdigest()

    def chunk(self, index: int) -> tuple[Tensor, Tensor | None]:
        """Frames [1,3,12,H,W] and mask [1,1,12,H,W] of chunk `index`; the clip plays in a loop."""
        position = index % len(self.frames)
        return self.frames[position], None if self.mask is None else self.mask[position]


def generated_clip(
    config: WorkloadConfig, mode: str, *, device: torch.device, chunks: int = GENERATED_CHUNKS
) -> Clip:
    """A seeded clip: the depth map of a moving scene, or the scene itself under a moving mask."""
    frames = chunks * config.model.pixel_frames_per_chunk
    return _assemble(config, mode, {}, frames, device)


def clip_from_pixels(
    config: WorkloadConfig,
    mode: str,
    *,
    device: torch.device,
    video: Tensor | None = None,
    depth: Tensor | None = None,
    mask: Tensor | None = None,
) -> Clip:
    """A clip from uint8 pixels [T,3 or 1,H,W] of the case's size; what is not given is generated.

    Inpainting uses video and mask. Depth uses the depth map, or the luma of the video where only a
    video is given. T is a multiple of 12; the longest clip counts and shorter ones are repeated.
    Raises ClipError for pixels of another form.
    """
    given = {"video": video, "depth": depth, "mask": mask}
    pixels = {role: value for role, value in given.items() if value is not None}
    for role, value in pixels.items():
        _check_form(config, role, value)
    used = ("video", "mask") if mode == "inpainting" else ("video", "depth")
    lengths = [len(value) for role, value in pixels.items() if role in used]
    default_frames = GENERATED_CHUNKS * config.model.pixel_frames_per_chunk
    return _assemble(config, mode, pixels, max(lengths, default=default_frames), device)


def _check_form(config: WorkloadConfig, role: str, pixels: Tensor) -> None:
    per_chunk = config.model.pixel_frames_per_chunk
    want = (CHANNELS[role], config.height_px, config.width_px)
    if pixels.dtype != torch.uint8 or tuple(pixels.shape[1:]) != want or not len(pixels):
        raise ClipError(
            f"{role} clip: pixels {list(pixels.shape)} of {pixels.dtype}, "
            f"not uint8 [frames, {', '.join(map(str, want))}]",
            next_step="decode it again at the case's size",
        )
    if len(pixels) % per_chunk:
        raise ClipError(
            f"{role} clip: {len(pixels)} frames are no multiple of {per_chunk}",
            next_step="loop or cut it to whole chunks",
        )


def _assemble(
    config: WorkloadConfig, mode: str, given: dict[str, Tensor], frames: int, device: torch.device
) -> Clip:
    scene = Scene(height=config.height_px, width=config.width_px, frames=frames, seed=config.seed)
    dtype: torch.dtype = getattr(torch, config.dtype)
    per_chunk = config.model.pixel_frames_per_chunk
    if mode == "depth":
        part, depth = _depth_part(scene, given, frames)
        return Clip(_frames_by_chunk(depth, per_chunk, dtype, device), None, (part,))
    if mode != "inpainting":
        raise ValueError(f"mode '{mode}' takes no clip; depth and inpainting do")
    video = _repeated(given["video"], frames) if "video" in given else scene.video()
    mask = _repeated(given["mask"], frames) if "mask" in given else scene.mask()
    parts = (
        _part("video", "file" if "video" in given else "generated", video),
        _part("mask", "file" if "mask" in given else "generated", mask),
    )
    masks = _by_chunk(mask, per_chunk, device)
    return Clip(
        _frames_by_chunk(video, per_chunk, dtype, device),
        torch.stack([(chunk.float() / 255).to(dtype) for chunk in masks]),
        parts,
    )


def _depth_part(scene: Scene, given: dict[str, Tensor], frames: int) -> tuple[ClipPart, Tensor]:
    if "depth" in given:
        depth = _repeated(given["depth"], frames)
        return _part("depth", "file", depth), depth
    if "video" in given:
        weights = torch.tensor(LUMA).view(3, 1, 1)
        video = _repeated(given["video"], frames)
        lumas = [(frame * weights).sum(0, keepdim=True).round() for frame in video]
        luma = torch.stack(lumas).to(torch.uint8)
        return _part("depth", "luma", luma), luma
    depth = scene.depth()
    return _part("depth", "generated", depth), depth


def _part(
    role: Literal["video", "depth", "mask"],
    source: Literal["generated", "file", "luma"],
    pixels: Tensor,
) -> ClipPart:
    digest = hashlib.sha256(pixels.contiguous().numpy().data).hexdigest()
    return ClipPart(role=role, source=source, sha256=digest, frames=len(pixels))


def _repeated(pixels: Tensor, frames: int) -> Tensor:
    return pixels[torch.arange(frames) % len(pixels)]


def _by_chunk(pixels: Tensor, per_chunk: int, device: torch.device) -> list[Tensor]:
    """uint8 [T,C,H,W] -> chunks [1,C,12,H,W] on the device, still 8 bits."""
    chunks = torch.split(pixels, per_chunk)
    return [chunk.to(device).transpose(0, 1)[None] for chunk in chunks]


def _frames_by_chunk(
    pixels: Tensor, per_chunk: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """uint8 [T,3 or 1,H,W] -> [n,1,3,12,H,W] in [-1,1]; one channel is repeated to three."""
    repeats = (1, 3 // pixels.shape[1], 1, 1, 1)
    chunks = _by_chunk(pixels, per_chunk, device)
    return torch.stack([(c.float() / 255 * 2 - 1).to(dtype).repeat(repeats) for c in chunks])
