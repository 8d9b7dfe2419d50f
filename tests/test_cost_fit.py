"""What fits a GPU, and the smaller cases that are offered in its place."""

from harness.cost_fit import least_bytes, misfits, offers, tight
from harness.cost_memory import GIB, memory_need
from harness.matrix import Case
from tests.test_cost_memory import case


def fits(offered: Case, free_gib: float) -> bool:
    return memory_need(offered).least_bytes <= free_gib * GIB


def test_what_fits_is_not_mentioned() -> None:
    assert list(misfits([case()], 12 * GIB)) == []
    assert list(misfits([], 0)) == []


def test_a_case_that_cannot_fit_is_one_line_with_smaller_ones() -> None:
    (line,) = misfits([case()], 9 * GIB)
    assert "e2e-inpainting-eager needs 9.5 GiB, 9.0 GiB are free" in line
    assert "it would fit with size 480x480 (9.0 GiB), or window 9 (9.0 GiB)" in line
    assert "\n" not in line


def test_an_offer_is_the_largest_that_fits() -> None:
    size, window = offers(case(), 9 * GIB)
    assert fits(size.case, 9) and fits(window.case, 9)
    assert not fits(case(width_px=size.case.width_px + 16, height_px=size.case.width_px + 16), 9)
    assert not fits(case(window=window.case.window + 3), 9)


def test_an_offered_size_keeps_the_shape() -> None:
    (size, *_) = offers(case(width_px=832, height_px=480), 9 * GIB)
    assert size.case.width_px % 16 == size.case.height_px % 16 == 0
    assert abs(size.case.width_px / size.case.height_px - 832 / 480) < 0.1


def test_fewer_arms_are_offered() -> None:
    stack = case(kind="paired", arms=("base", "lora-merged", "rope-real", "once"))
    texts = [offer.text for offer in offers(stack, 18 * GIB)]
    assert any(text.startswith("its first 3 arms") for text in texts)
    (line,) = misfits([stack], 15 * GIB)
    assert "arms base and lora-merged alone" in line


def test_nothing_smaller_is_told() -> None:
    (line,) = misfits([case()], 5 * GIB)
    assert "no size or window of it would fit" in line


def test_other_cases_and_those_that_fit_are_named() -> None:
    cases = [case(), case(mode="text", width_px=64, height_px=64), case(vae="wanvae")]
    first, others, fitting = misfits(cases, 9 * GIB)
    assert first.startswith("GPU memory is too small: e2e-inpainting-eager-wanvae")
    assert others == "too large as well: e2e-inpainting-eager (9.5 GiB)"
    assert fitting == "what fits: --only 'e2e-text-eager-64x64'"


def test_a_tight_gpu_is_told() -> None:
    (line,) = tight([case()], 10 * GIB)
    assert "needs 9.5 GiB at least and takes 10.7 GiB" in line
    assert list(tight([case()], 12 * GIB)) == []


def test_a_cpu_and_another_pipeline_have_no_estimate() -> None:
    own = case(mode="own", pipeline="mine", pipeline_sha256="0" * 64)
    assert least_bytes(case(device="cpu")) is None
    assert least_bytes(own) is None
    assert least_bytes(case()) == memory_need(case()).least_bytes
