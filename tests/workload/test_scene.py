"""harness.workload.scene: a moving picture, seeded, with no jump where it starts again."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from harness.workload.scene import Scene

FRAMES = 24


def scene(seed: int = 42, *, height: int = 64, width: int = 96) -> Scene:
    return Scene(height=height, width=width, frames=FRAMES, seed=seed)


def test_the_seed_decides_the_pixels() -> None:
    for draw in (Scene.video, Scene.depth, Scene.mask):
        assert torch.equal(draw(scene()), draw(scene()))
        assert not torch.equal(draw(scene()), draw(scene(7)))


@pytest.mark.parametrize(("height", "width"), [(64, 96), (16, 16), (32, 512)])
def test_shapes(height: int, width: int) -> None:
    drawn = scene(height=height, width=width)
    assert drawn.video().shape == (FRAMES, 3, height, width)
    assert drawn.depth().shape == drawn.mask().shape == (FRAMES, 1, height, width)
    assert drawn.video().dtype == drawn.depth().dtype == drawn.mask().dtype == torch.uint8


@pytest.mark.parametrize("draw", [Scene.video, Scene.depth])
def test_every_frame_is_lively(draw: Callable[[Scene], Tensor]) -> None:
    pixels = draw(scene()).float()
    assert pixels.std(dim=(-2, -1)).min() > 15
    assert _change(pixels).min() > 1  # every frame differs from the one before
    assert pixels.flatten().unique().numel() > 150


def test_a_loop_has_no_jump() -> None:
    for draw in (Scene.video, Scene.depth, Scene.mask):
        change = _change(draw(scene()).float())
        assert change[0] < 2 * change[1:].max()  # frame 0 after the last frame


@pytest.mark.parametrize("seed", [0, 1, 42, 1234])
def test_every_mask_frame_keeps_and_generates_and_has_soft_edges(seed: int) -> None:
    mask = scene(seed).mask().flatten(1)
    assert bool(((mask == 0).sum(1) > 100).all())
    assert bool(((mask == 255).sum(1) > 100).all())
    assert bool((((mask > 0) & (mask < 255)).sum(1) > 20).all())


def _change(pixels: Tensor) -> Tensor:
    return (pixels - pixels.roll(1, 0)).abs().mean(dim=(1, 2, 3))
