"""Real clips: video, depth and mask files decoded and resized here, before anything is timed.

A clip becomes uint8 frames [T,C,H,W] of the case's size (stretched to it, bilinear) in a
safetensors file: at most 8 chunks of 12 frames, looped up to a whole chunk if the file is shorter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.error import FFmpegError
from av.video.reformatter import Interpolation
from safetensors.numpy import save_file

from harness.errors import ClipError, StorageError
from harness.host.digest import file_sha256
from harness.job import ClipFile, ClipRole

FRAMES_PER_CHUNK = 12
MAX_FRAMES = 8 * FRAMES_PER_CHUNK
Frames = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Decoded:
    """The frames a clip file gave, [T,C,H,W] at the case's size, and what the file itself holds."""

    frames: Frames
    frames_in_file: int
    frame_size: tuple[int, int]  # (width, height) in the file


def prepare_clips(
    paths: Mapping[ClipRole, Path], size: tuple[int, int], folder: Path
) -> tuple[list[ClipFile], list[Path]]:
    """Decodes the given files for one (width_px, height_px) into `folder`.

    Raises ClipError for a file that is missing, cannot be decoded, or does not fit the others.
    """
    descriptions: list[ClipFile] = []
    files: list[Path] = []
    sizes: dict[ClipRole, tuple[int, int]] = {}
    for role, path in paths.items():
        clip = decode(path, role, size)
        sizes[role] = clip.frame_size
        frames = loop(clip.frames)
        target = folder / f"{role}-{size[0]}x{size[1]}.safetensors"
        try:
            save_file({"frames": frames}, target)
        except OSError as error:
            raise StorageError(f"decoded clips cannot be stored ({error.strerror})") from error
        used = len(clip.frames)
        descriptions.append(
            ClipFile(
                role=role,
                file=target.name,
                name=path.name,
                sha256=file_sha256(path),
                frames_in_file=clip.frames_in_file,
                frames_used=used,
                looped=len(frames) != used,
            )
        )
        files.append(target)
    _check_mask_size(sizes)
    return descriptions, files


def decode(path: Path, role: ClipRole, size: tuple[int, int]) -> Decoded:
    """The first frames of a file's video stream, resized. Raises ClipError."""
    if not path.is_file():
        raise ClipError(f"{role} file '{path}' not found", next_step="check the path")
    width_px, height_px = size
    pixel_format = "rgb24" if role == "video" else "gray"
    taken: list[Frames] = []
    packets = 0
    frame_size = (0, 0)
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ClipError(f"{role} file '{path}' holds no video stream")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for packet in container.demux(stream):
                packets += bool(packet.size)  # counting packets needs no decoding
                for frame in packet.decode() if len(taken) < MAX_FRAMES else ():
                    if isinstance(frame, av.VideoFrame) and len(taken) < MAX_FRAMES:
                        frame_size = frame_size if taken else (frame.width, frame.height)
                        small = frame.reformat(
                            width_px, height_px, pixel_format, interpolation=Interpolation.BILINEAR
                        )
                        taken.append(small.to_ndarray().astype(np.uint8, copy=False))
    except (FFmpegError, OSError, ValueError) as error:
        raise ClipError(
            f"{role} file '{path}' cannot be decoded ({error})",
            next_step="give a file that ffmpeg can read",
        ) from error
    if not taken:
        raise ClipError(f"{role} file '{path}' holds no frames")
    frames = np.stack(taken)  # [T,H,W,3] or [T,H,W]
    frames = frames[:, None] if frames.ndim == 3 else frames.transpose(0, 3, 1, 2)  # [T,C,H,W]
    in_file = max(packets, len(taken)) if len(taken) == MAX_FRAMES else len(taken)
    return Decoded(np.ascontiguousarray(frames), in_file, frame_size)


def loop(frames: Frames) -> Frames:
    """Repeats a clip from its start up to a whole number of chunks. [T,C,H,W] -> [12 n,C,H,W]."""
    count = -(-len(frames) // FRAMES_PER_CHUNK) * FRAMES_PER_CHUNK
    return np.ascontiguousarray(frames[np.arange(count) % len(frames)])


def _check_mask_size(sizes: Mapping[ClipRole, tuple[int, int]]) -> None:
    if "mask" in sizes and "video" in sizes and sizes["mask"] != sizes["video"]:
        mask, video = ("x".join(str(side) for side in sizes[role]) for role in ("mask", "video"))
        raise ClipError(
            f"the mask's frames are {mask}, its video's are {video}",
            next_step="give a mask of the video's frame size",
        )
