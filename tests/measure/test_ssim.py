"""harness.measure.ssim: equal frames, the published formula by hand, less for more noise."""

import pytest
import torch

from harness.measure.ssim import C1, similarity


def test_equal_frames_are_wholly_similar_and_noise_makes_them_less() -> None:
    generator = torch.Generator().manual_seed(4)
    clip = torch.rand(2, 16, 20, 3, generator=generator)
    noise = torch.randn(clip.shape, generator=generator)
    scale = [similarity(clip, (clip + share * noise).clamp(0, 1)) for share in (0.0, 0.05, 0.5)]
    assert scale[0] == pytest.approx(1, abs=1e-12)
    assert 1 > scale[1] > 0.8 > scale[2] > 0


def test_flat_frames_differ_by_their_means_alone() -> None:
    dark, light = torch.full((1, 11, 11, 3), 0.2), torch.full((1, 11, 11, 3), 0.6)
    by_hand = (2 * 0.2 * 0.6 + C1) / (0.2**2 + 0.6**2 + C1)
    assert similarity(dark, light) == pytest.approx(by_hand, rel=1e-6)


def test_frames_smaller_than_a_window_are_refused() -> None:
    small = torch.zeros(1, 8, 20, 3)
    with pytest.raises(ValueError, match="smaller than a window"):
        similarity(small, small)
