import base64
import re
import struct

import numpy as np
import pytest

from harness.report.plots_frames import COLUMNS, FrameColumn, _head, frames_figure

IMAGE = re.compile(r'<image xlink:href="data:image/png;base64,([A-Za-z0-9+/=]+)" ([^>]*)/>')


def columns(count: int, *, side_px: tuple[int, int] = (8, 8)) -> list[FrameColumn]:
    """The float32 run's, and arms that are alike."""
    ramp = np.linspace(0, 255, side_px[0] * side_px[1]).reshape(side_px)
    picture = np.repeat(ramp[..., None], 3, axis=2).astype(np.uint8)
    arm = FrameColumn("an arm (Depth, $512x512)", picture, ramp / 100)
    return [FrameColumn("float32", picture, None), *[arm] * (count - 1)]


def chunks(png: bytes) -> list[bytes]:
    """Names of a PNG's chunks."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    names, at = [], 8
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        names.append(png[at + 4 : at + 8])
        at += size + 12
    return names


def test_the_figure_is_the_same_every_time() -> None:
    assert frames_figure(columns(3)) == frames_figure(columns(3))


@pytest.mark.parametrize("count", [2, 5, COLUMNS, COLUMNS + 1])
def test_every_picture_is_there_at_its_own_size_and_says_nothing_else(count: int) -> None:
    """A frame each, a difference for all but the float32 run, and the key; no date, no version."""
    images = IMAGE.findall(frames_figure(columns(count)).decode())
    assert len(images) == 2 * count
    for data, rest in images:
        assert set(chunks(base64.b64decode(data))) == {b"IHDR", b"IDAT", b"IEND"}
        assert " id=" not in f" {rest}"  # equal pictures would share it
    sizes = [rest.split("width=")[1] for _, rest in images]
    assert sizes.count('"8" height="8"') == 2 * count - 1


@pytest.mark.parametrize("side_px", [(1, 128), (128, 1), (1, 1)])
def test_any_shape_can_be_drawn(side_px: tuple[int, int]) -> None:
    assert b"nan" not in frames_figure(columns(4, side_px=side_px))


def test_equal_frames_can_be_drawn() -> None:
    first, arm = columns(2)
    same = FrameColumn(arm.name, arm.picture, np.zeros((8, 8)))
    assert b"nan" not in frames_figure([first, same])


def test_long_names_are_wrapped_where_their_parts_meet() -> None:
    assert _head("fastest-without-fp8-attention") == "fastest-without-\nfp8-attention"
    assert _head("lossless+fused-keys+one-pass-rows") == "lossless+fused-\nkeys+one-pass-rows"
    assert max(map(len, _head("x" * 500).split("\n"))) < 30
    assert len(_head("x" * 500).split("\n")) == 4
