"""harness.measure.quality on a CPU: a real proof of output, over a hard cut and a recache."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from harness.job import ClipFile
from harness.measure import quality
from harness.measure.session import run_job
from harness.record_parts import FrameSample, OutputError
from harness.result import Result, decode, encode
from tests.measure.cases import small_job

LIMIT = 1.25


def ignore(_: object) -> None:
    """Progress that nobody looks at."""


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "CHUNKS_AFTER_PROMPT", 2)


def prove(folder: Path, mode: str, *arms: str) -> dict[str, list[OutputError]]:
    record = run_job(
        small_job(kind="quality", mode=mode, arms=("base", *arms), stretch=6), folder, ignore
    )
    assert isinstance(record, Result), record.detail
    assert decode(encode(record), name="x") == record
    found: dict[str, list[OutputError]] = {}
    for error in record.output_errors:
        found.setdefault(error.arm, []).append(error)
    return found


def worst(errors: list[OutputError], yardstick: list[OutputError]) -> float:
    return max(
        getattr(error, name) / getattr(measure, name)
        for error, measure in zip(errors, yardstick, strict=True)
        for name in ("flow", "x0", "keys", "values")
    )


def test_right_variants_pass_and_wrong_ones_fail_over_a_hard_cut(tmp_path: Path) -> None:
    right, wrong = "lora-merged+ring-cache+rope-real+once", "wrong-ring-slot"
    found = prove(tmp_path, "inpainting", right, wrong, "wrong-no-lora", "wrong-stale-text")
    yardstick = found[quality.YARDSTICK]
    events = [error.event for error in yardstick]
    assert events == ["first", *["filling"] * 3, *["steady"] * 2, "hard cut", "filling"]
    assert worst(found["base"], yardstick) == 1  # the same kernels on a CPU
    assert worst(found[right], yardstick) < LIMIT
    for name in (wrong, "wrong-no-lora", "wrong-stale-text"):
        assert worst(found[name], yardstick) > 2 * LIMIT
    # The mistakes show where they happen: the ring's once it is full, the text's after its change.
    assert worst(found[wrong][:3], yardstick[:3]) == 1
    assert worst(found["wrong-stale-text"][:6], yardstick[:6]) < LIMIT
    assert all(error.latent_cosine > 0.99 for error in found[right])
    for error in found[right]:
        assert error.flow_cosine is not None and error.frame_ssim is not None
        # Both of the same vectors: where lengths are about equal, error is the angle.
        assert error.flow_cosine == pytest.approx(1 - error.flow**2 / 2, abs=0.02)
        assert 0.9 < error.frame_ssim < 1


def square_error(sample: FrameSample) -> float:
    """Of what it adds to the float32 run's picture, modulo 256."""
    added = torch.tensor(list(bytes.fromhex(sample.rgb))).to(torch.int8).double()
    return float(added.square().mean())


def test_frames_of_a_proof_differ_as_its_errors_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What allows an error needs a GPU: here a wrong variant counts as such."""
    monkeypatch.setattr(quality, "is_bounded", lambda name: name == "wrong-no-lora")
    case = {"kind": "quality", "arms": ("base", "lora-merged", "wrong-no-lora"), "stretch": 2}
    record = run_job(small_job(**case), tmp_path, ignore)
    assert isinstance(record, Result), record.detail
    assert decode(encode(record), name="x") == record
    reference, *arms = record.frames
    assert reference.arm is None
    assert [one.arm for one in arms] == [*case["arms"], quality.YARDSTICK]
    psnr_db = {one.arm: one.frame_psnr_db for one in record.output_errors if one.chunk == 1}
    for one in arms:
        assert (one.chunk, one.frame, one.width_px, one.height_px) == (1, 11, 32, 32)
        assert 0 < one.largest_difference < 1
    by_psnr = sorted(arms, key=lambda one: psnr_db[one.arm] or 0)
    assert by_psnr[0].arm == "wrong-no-lora"
    off = [square_error(one) for one in by_psnr]
    assert off[0] > 10 * max(off[1:])
    assert by_psnr[0].largest_difference == max(one.largest_difference for one in arms)


def test_no_frames_of_a_video_of_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "is_bounded", lambda name: name == "lora-merged")
    frames = torch.zeros(24, 3, 32, 32, dtype=torch.uint8)
    (tmp_path / "video.safetensors").write_bytes(save({"frames": frames}))
    clip = ClipFile(
        role="video",
        file="video.safetensors",
        name="mine.mp4",
        sha256="ab" * 32,
        frames_in_file=24,
        frames_used=24,
        looped=False,
    )
    case = {"kind": "quality", "arms": ("base", "lora-merged"), "stretch": 1}
    record = run_job(small_job(clips=[clip], **case), tmp_path, ignore)
    assert isinstance(record, Result), record.detail
    assert record.output_errors and not record.frames


def test_a_recache_is_a_part_of_the_proof(tmp_path: Path) -> None:
    found = prove(tmp_path, "text", "ring-cache+once", "wrong-stale-text")
    yardstick = found[quality.YARDSTICK]
    assert [error.event for error in yardstick][-2:] == ["recache", "steady"]
    assert worst(found["ring-cache+once"], yardstick) < LIMIT
    assert worst(found["wrong-stale-text"], yardstick) > 2 * LIMIT
