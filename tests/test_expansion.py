"""harness.expansion: which cases come of a matrix, in which order, what is refused."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.expansion import CPU_EFFORT, Settings, expand, parse_size
from harness.matrices import MATRICES
from harness.matrix import Axes, Matrix
from tests import samples
from tests.expanded import CPU, GPU, ids, one

OWN = Settings(preset="full", device="cuda", pipeline="mine", pipeline_sha256="ab" * 32)


@pytest.mark.parametrize(
    ("axes", "settings", "problem"),
    [
        ({"mode": ["own"]}, GPU, "give --pipeline FILE"),
        ({"mode": ["own", "text"]}, OWN, "write mode = ['own']"),
        ({"mode": ["own"], "kind": ["isolated"]}, OWN, "kind is for the built-in workload"),
        ({"mode": ["own"], "compiled": [True]}, OWN, "compiled is for the built-in workload"),
        ({"mode": ["own"], "plant": ["items"]}, OWN, "plant is for the built-in workload"),
        ({"mode": ["own"], "steps": [8]}, OWN, "steps is for the built-in workload"),
        ({"mode": ["own"], "window": [24]}, OWN, "window is for the built-in workload"),
        ({"mode": ["own"], "stretch": 60}, OWN, "stretch is for the built-in workload"),
    ],
)
def test_a_pipeline_of_one_s_own_has_cases_of_its_own(
    axes: dict[str, object], settings: Settings, problem: str
) -> None:
    with pytest.raises(UsageError) as caught:
        expand(one(**axes), settings)
    assert problem in caught.value.line


def test_the_id_of_an_own_case_names_the_pipeline() -> None:
    seeds = one(mode=["own"], seed=[42, 7])
    assert ids(seeds, OWN) == ["e2e-own-mine", "e2e-own-mine-seed7"]


def test_steps_window_and_stretch_stand_in_the_id_where_they_differ() -> None:
    grown = ids(one(steps=[4, 8], window=[12, 24]))
    assert grown == [
        "e2e-inpainting-eager",
        "e2e-inpainting-eager-window24",
        "e2e-inpainting-eager-steps8",
        "e2e-inpainting-eager-steps8-window24",
    ]
    longer = one(kind=["quality"], arms=["base", "ring-cache"], stretch=60)
    assert ids(longer) == ["quality-inpainting-ring-cache-stretch60"]
    first = [case.first_steady_chunk for case in expand(one(window=[3, 12, 24]), GPU)]
    assert first == [1, 4, 8]


@pytest.mark.parametrize("axes", [{"steps": [9]}, {"window": [4]}, {"window": [27]}])
def test_steps_and_windows_that_no_workload_has_are_refused(axes: dict[str, list[int]]) -> None:
    with pytest.raises(msgspec.ValidationError):
        one(**axes)


def test_a_variant_of_the_other_autoencoder_is_refused() -> None:
    for axes in (
        {"vae": ["wanvae"], "variant": ["tae-compiled"]},
        {"kind": ["paired"], "arms": ["base", "wan-compiled"]},
    ):
        with pytest.raises(UsageError, match="and the case has the"):
            expand(one(**axes), GPU)


@pytest.mark.parametrize(
    "axes", [{"vae": ["wanvae"]}, {"variant": ["fastest"]}], ids=["wanvae", "fp8"]
)
def test_what_is_of_bfloat16_alone_is_refused_in_float16(axes: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="needs bfloat16, and the case is float16"):
        ids(one(dtype=["float16"], **axes))


def test_a_case_id_spells_out_what_differs_from_the_defaults() -> None:
    plain = samples.case()
    odd = samples.case(
        width_px=128, compiled=True, vae="wanvae", attention="sdpa", warm_cache=True, seed=7
    )
    assert plain.id == "e2e-inpainting-eager"
    assert odd.id == "e2e-inpainting-compiled-128x64-wanvae-sdpa-warm-seed7"


def test_a_cpu_case_takes_less_effort_unless_the_matrix_says_otherwise() -> None:
    [slow] = expand(one(), GPU)
    [quick] = expand(one(), CPU)
    [asked] = expand(one(blocks=3), CPU)
    assert quick.blocks == CPU_EFFORT["blocks"] < slow.blocks
    assert (asked.blocks, asked.chunks_per_block) == (3, CPU_EFFORT["chunks_per_block"])


def test_the_size_comes_from_the_matrix_then_the_option_then_the_preset() -> None:
    option = Settings(preset="tiny", device="cpu", size="32x48")
    sizes = [
        (case.width_px, case.height_px)
        for matrix, settings in [(one(size=["16x96"]), option), (one(), option), (one(), CPU)]
        for case in expand(matrix, settings)
    ]
    assert sizes == [(16, 96), (32, 48), (64, 64)]


def test_only_keeps_what_matches() -> None:
    settings = Settings(preset="tiny", device="cpu", only="*-text-*")
    assert ids(MATRICES["quick"], settings) == ["e2e-text-eager"]


def test_only_takes_several_patterns_and_keeps_the_order_of_the_matrix() -> None:
    settings = Settings(preset="tiny", device="cpu", only="*-compiled,*-text-*,e2e-text-*")
    assert [case.id for case in expand(MATRICES["quick"], settings)] == [
        "isolated-inpainting-compiled",
        "e2e-text-eager",
        "e2e-inpainting-compiled",
    ]


def test_each_pattern_of_only_must_match() -> None:
    settings = Settings(preset="tiny", device="cpu", only="e2e-*,nothing")
    with pytest.raises(UsageError, match="--only 'nothing' matches no case of matrix 'quick'"):
        expand(MATRICES["quick"], settings)


def test_only_matching_nothing_names_the_cases() -> None:
    settings = Settings(preset="tiny", device="cpu", only="nothing")
    with pytest.raises(UsageError, match=r"'nothing' matches no case.*e2e-text-eager"):
        expand(MATRICES["quick"], settings)


def test_one_id_with_two_settings_is_refused_and_a_plain_repeat_is_not() -> None:
    entry = Axes(kind=("e2e",), mode=("depth",))
    longer = msgspec.structs.replace(entry, blocks=9)
    assert ids(Matrix(name="x", cases=[entry, entry])) == ["e2e-depth-eager"]
    with pytest.raises(UsageError, match="e2e-depth-eager twice"):
        expand(Matrix(name="x", cases=[entry, longer]), GPU)


@pytest.mark.parametrize("axes", [{"compiled": [True]}, {"kind": ["isolated"]}])
def test_text_only_has_no_vace_branch_to_compile_or_isolate(axes: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="a text-only case cannot be"):
        expand(one(mode=["text"], **axes), GPU)


@pytest.mark.parametrize("backend", ["sage", "flex"])
def test_a_gpu_kernel_is_refused_on_a_cpu(backend: str) -> None:
    with pytest.raises(UsageError, match=f"attention '{backend}' needs a GPU"):
        expand(one(attention=[backend]), CPU)


@pytest.mark.parametrize(("text", "size"), [("512x512", (512, 512)), ("16X4096", (16, 4096))])
def test_a_size_is_width_by_height(text: str, size: tuple[int, int]) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("500x512", "500 is not a multiple of 16 up to 4096; use e.g. 496"),
        ("512x0", "0 is not a multiple of 16"),
        ("8000x512", "use e.g. 4096"),
        ("512", "not of the form WxH"),
        ("-16x16", "not of the form WxH"),
        ("512x512\n", "not of the form WxH"),
    ],
)
def test_a_size_that_does_not_fit_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_size(text)


@given(st.text(max_size=12))
def test_a_size_is_a_size_or_a_usage_error(text: str) -> None:
    try:
        width_px, height_px = parse_size(text)
    except UsageError:
        return
    assert width_px % 16 == height_px % 16 == 0


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"kind": ["e2e", "paired"], "arms": ["base", "again"]}, "has no other kind"),
        (
            {"kind": ["paired"], "arms": ["base", "again"], "compiled": [True]},
            "not compiled as a whole",
        ),
        ({"arms": ["base", "again"]}, "arms are for kind paired"),
        ({"kind": ["paired"], "arms": ["base"]}, "needs different arms, 'base' first"),
        ({"kind": ["paired"], "arms": ["again", "base"]}, "needs different arms, 'base' first"),
        ({"kind": ["paired"], "arms": ["base", "base"]}, "needs different arms, 'base' first"),
        ({"kind": ["paired"], "mode": ["text"], "arms": ["base", "compiled"]}, "no compiled arm"),
        ({"kind": ["quality"], "arms": ["base", "again"]}, "no variant whose output"),
        ({"kind": ["paired"], "arms": ["base", "wrong-no-lora"]}, "wrong on purpose"),
        ({"kind": ["paired"], "arms": ["base", "ring-cash"]}, "unknown variant 'ring-cash'"),
        ({"kind": ["isolated"], "profile": True}, "only end-to-end cases have a profile"),
    ],
)
def test_arms_that_make_no_comparison_are_refused(axes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        expand(one(**axes), GPU)


def test_the_id_of_a_paired_case_names_the_arms_after_the_base() -> None:
    matrix = one(kind=["paired"], mode=["depth"], arms=["base", "delay5", "again"], bare=True)
    assert ids(matrix) == ["paired-depth-delay5-again-bare"]


def test_processes_of_the_run_go_before_those_of_the_matrix() -> None:
    settings = Settings(preset="full", device="cuda", processes=4)
    counts = {case.kind: case.processes for case in expand(MATRICES["full"], settings)}
    assert counts == {"isolated": 1, "e2e": 4, "paired": 4}
