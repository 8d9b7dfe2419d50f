import hashlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from safetensors.numpy import load_file

from harness.errors import ClipError
from harness.host.clips import decode, loop, prepare_clips
from harness.job import ClipRole

SIZE = (64, 48)


def video(path: Path, *, frames: int, size: tuple[int, int] = (96, 64), level: int = 255) -> Path:
    """A real video file of one grey level whose last frame is black."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(16))
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            value = 0 if number == frames - 1 else level
            pixels = np.full((size[1], size[0], 3), value, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_a_short_clip_is_looped_to_whole_chunks(tmp_path: Path) -> None:
    path = video(tmp_path / "short.mp4", frames=15)
    (clip,), (file,) = prepare_clips({"video": path}, SIZE, tmp_path)
    frames = load_file(file)["frames"]
    assert frames.dtype == np.uint8
    assert frames.shape == (24, 3, 48, 64)
    assert (clip.frames_in_file, clip.frames_used, clip.looped) == (15, 15, True)
    assert frames[14].max() < 16 and frames[15].min() > 240  # black, then the first frame again
    assert clip.name == "short.mp4"
    assert clip.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert clip.file == file.name


def test_a_long_clip_is_cut_after_eight_chunks(tmp_path: Path) -> None:
    path = video(tmp_path / "long.mp4", frames=120, size=(32, 32))
    (clip,), (file,) = prepare_clips({"video": path}, SIZE, tmp_path)
    assert load_file(file)["frames"].shape[0] == 96
    assert (clip.frames_in_file, clip.frames_used, clip.looped) == (120, 96, False)


@pytest.mark.parametrize("role", ["depth", "mask"])
def test_depth_and_mask_have_one_channel_of_full_range(tmp_path: Path, role: ClipRole) -> None:
    path = video(tmp_path / "one.mp4", frames=12)
    frames = decode(path, role, SIZE).frames
    assert frames.shape == (12, 1, 48, 64)
    assert frames[0].min() >= 253 and frames[-1].max() <= 2


def test_a_mask_fits_its_video(tmp_path: Path) -> None:
    frames = video(tmp_path / "video.mp4", frames=12)
    mask = video(tmp_path / "mask.mp4", frames=12)
    other = video(tmp_path / "other.mp4", frames=12, size=(48, 64))
    descriptions, _ = prepare_clips({"video": frames, "mask": mask}, SIZE, tmp_path)
    assert [clip.role for clip in descriptions] == ["video", "mask"]
    with pytest.raises(ClipError, match="mask's frames are 48x64, its video's are 96x64"):
        prepare_clips({"video": frames, "mask": other}, SIZE, tmp_path)


def test_files_that_cannot_be_used_are_one_line(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(video(tmp_path / "whole.mp4", frames=12).read_bytes()[:200])
    for path, problem in ((tmp_path / "no.mp4", "not found"), (text, "decoded"), (cut, "decoded")):
        with pytest.raises(ClipError, match=problem) as caught:
            decode(path, "video", SIZE)
        assert path.name in caught.value.line


def test_a_file_without_video_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        silence.rate = 8000
        container.mux(stream.encode(silence))
    with pytest.raises(ClipError, match="no video stream"):
        decode(path, "video", SIZE)


@pytest.mark.parametrize(("count", "looped"), [(1, 12), (12, 12), (13, 24), (96, 96)])
def test_loop_starts_again_from_the_first_frame(count: int, looped: int) -> None:
    frames = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)
    got = loop(frames)
    assert len(got) == looped
    assert [int(value) for value in got.ravel()] == [index % count for index in range(looped)]
