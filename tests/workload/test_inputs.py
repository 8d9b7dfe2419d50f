"""harness.workload.inputs: what reaches the pipeline, and where it says it came from."""

import time

import pytest
import torch
from torch import Tensor

from harness.errors import ClipError
from harness.presets import CPU_ATTENTION, PRESETS, WorkloadConfig
from harness.workload.autoencoder import Tae
from harness.workload.context import ContextEncoder
from harness.workload.inputs import Clip, clip_from_pixels, generated_clip
from harness.workload.scene import Scene
from harness.workload.weights_vae import seed_vae

CPU = torch.device("cpu")
HEIGHT, WIDTH = 32, 48


def config(*, height: int = HEIGHT, width: int = WIDTH, seed: int = 42) -> WorkloadConfig:
    return WorkloadConfig(
        model=PRESETS["tiny"].model,
        height_px=height,
        width_px=width,
        dtype="float32",
        attention=CPU_ATTENTION,
        seed=seed,
    )


def pixels(frames: int, channels: int, *, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (frames, channels, HEIGHT, WIDTH)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def sources(clip: Clip) -> list[tuple[str, str, int]]:
    return [(part.role, part.source, part.frames) for part in clip.parts]


def test_a_generated_depth_clip_is_control_frames_without_a_mask() -> None:
    clip = generated_clip(config(), "depth", device=CPU)
    assert clip.frames.shape == (8, 1, 3, 12, HEIGHT, WIDTH) and clip.frames.dtype == torch.float32
    assert clip.mask is None
    assert torch.equal(clip.frames[:, :, 0], clip.frames[:, :, 2])
    assert -1 <= clip.frames.min() < -0.5 and 0.5 < clip.frames.max() <= 1
    assert sources(clip) == [("depth", "generated", 96)]


def test_a_generated_inpainting_clip_has_a_soft_mask() -> None:
    clip = generated_clip(config(), "inpainting", device=CPU, chunks=2)
    assert clip.mask is not None
    assert clip.mask.shape == (2, 1, 1, 12, HEIGHT, WIDTH)
    assert clip.mask.min() == 0 and clip.mask.max() == 1
    assert bool(((clip.mask > 0.2) & (clip.mask < 0.8)).any())
    assert sources(clip) == [("video", "generated", 24), ("mask", "generated", 24)]


def test_pixels_keep_their_order_and_value() -> None:
    video, mask = pixels(24, 3), pixels(24, 1)
    clip = clip_from_pixels(config(), "inpainting", device=CPU, video=video, mask=mask)
    frames, chunk_mask = clip.chunk(1)
    torch.testing.assert_close(frames[0, :, 5], video[17].float() / 255 * 2 - 1)
    assert chunk_mask is not None
    torch.testing.assert_close(chunk_mask[0, :, 5], mask[17].float() / 255)
    again, _ = clip.chunk(3)
    assert torch.equal(again, frames)
    assert sources(clip) == [("video", "file", 24), ("mask", "file", 24)]


def test_what_is_not_given_is_generated() -> None:
    video = pixels(36, 3)
    clip = clip_from_pixels(config(), "inpainting", device=CPU, video=video)
    assert sources(clip) == [("video", "file", 36), ("mask", "generated", 36)]
    scene = Scene(height=HEIGHT, width=WIDTH, frames=36, seed=42)
    assert clip.mask is not None
    torch.testing.assert_close(clip.mask[2, 0, :, 0], scene.mask()[24].float() / 255)
    only_mask = clip_from_pixels(config(), "inpainting", device=CPU, mask=pixels(12, 1))
    assert sources(only_mask) == [("video", "generated", 12), ("mask", "file", 12)]


def test_depth_prefers_a_depth_map_and_else_takes_the_luma_of_the_video() -> None:
    video, depth = pixels(12, 3), pixels(12, 1)
    both = clip_from_pixels(config(), "depth", device=CPU, video=video, depth=depth)
    assert sources(both) == [("depth", "file", 12)]
    torch.testing.assert_close(both.frames[0, 0, 1], depth[:, 0].float() / 255 * 2 - 1)
    alone = clip_from_pixels(config(), "depth", device=CPU, video=video)
    assert sources(alone) == [("depth", "luma", 12)]
    red, green, blue = video.float().unbind(1)
    luma = (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255 * 2 - 1
    torch.testing.assert_close(alone.frames[0, 0, 0], luma, atol=0.005, rtol=0)


def test_the_longest_clip_counts_and_shorter_ones_are_repeated() -> None:
    mask = pixels(12, 1)
    clip = clip_from_pixels(config(), "inpainting", device=CPU, video=pixels(36, 3), mask=mask)
    assert clip.mask is not None and len(clip.mask) == len(clip.frames) == 3
    assert torch.equal(clip.mask[2], clip.mask[0])


def test_a_clip_that_the_mode_does_not_use_changes_nothing() -> None:
    plain = generated_clip(config(), "inpainting", device=CPU)
    with_depth = clip_from_pixels(config(), "inpainting", device=CPU, depth=pixels(12, 1))
    assert with_depth.sha256 == plain.sha256


def test_the_hash_follows_pixels_and_seed() -> None:
    hashes = {
        generated_clip(config(), "depth", device=CPU).sha256,
        generated_clip(config(), "inpainting", device=CPU).sha256,
        generated_clip(config(seed=7), "inpainting", device=CPU).sha256,
        clip_from_pixels(config(), "inpainting", device=CPU, video=pixels(12, 3)).sha256,
        clip_from_pixels(config(), "inpainting", device=CPU, video=pixels(12, 3, seed=1)).sha256,
    }
    assert len(hashes) == 5
    assert generated_clip(config(), "depth", device=CPU).sha256 in hashes


def test_another_video_gives_another_context() -> None:
    vae = Tae()
    seed_vae(vae, 42)
    generated = generated_clip(config(), "inpainting", device=CPU, chunks=1)
    given = clip_from_pixels(config(), "inpainting", device=CPU, video=pixels(12, 3))
    contexts = [ContextEncoder(vae).encode(*clip.chunk(0)) for clip in (generated, given)]
    assert (contexts[0] - contexts[1]).abs().max() > 0.1


@pytest.mark.parametrize(
    "video",
    [
        pixels(12, 3).float(),
        pixels(12, 1),
        pixels(12, 3)[..., :16],
        pixels(13, 3),
        pixels(12, 3)[:0],
    ],
    ids=["dtype", "channels", "size", "part of a chunk", "empty"],
)
def test_pixels_of_another_form_are_refused(video: Tensor) -> None:
    with pytest.raises(ClipError, match="video clip"):
        clip_from_pixels(config(), "inpainting", device=CPU, video=video)


def test_text_only_takes_no_clip() -> None:
    with pytest.raises(ValueError, match="text"):
        generated_clip(config(), "text", device=CPU)


def test_eight_chunks_of_full_size_are_quick_to_draw() -> None:
    began_s = time.process_time()
    generated_clip(config(height=512, width=512), "inpainting", device=CPU)
    assert time.process_time() - began_s < 20  # about 3 s on one idle core
