"""harness.matrices: what the built-in matrices hold, and which files are refused."""

import os
import tempfile
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cost_memory import GIB, memory_need
from harness.errors import UsageError
from harness.expansion import Settings, expand
from harness.matrices import MATRICES, NEEDS, load_matrix
from harness.variants import FIXES, STACKS, WRONG
from tests.expanded import CPU, GPU, ids, one

LIMIT = ("leave-one-out", "vae", "growth", "cold-start", "fastest", "floors", "beyond")
ON_GPU = ("fixes", *LIMIT, "limit")
OWN = Settings(preset="full", device="cuda", pipeline="mine", pipeline_sha256="ab" * 32)


def write(folder: Path, text: str | bytes) -> str:
    path = folder / "m.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_the_quick_matrix_covers_what_the_report_tells() -> None:
    assert ids(MATRICES["quick"]) == [
        "isolated-inpainting-eager",
        "isolated-inpainting-compiled",
        "e2e-inpainting-eager",
        "e2e-depth-eager",
        "e2e-text-eager",
        "e2e-inpainting-compiled",
    ]


@pytest.mark.parametrize("name", [name for name in MATRICES if name not in ON_GPU])
def test_a_built_in_matrix_expands_everywhere_in_a_stable_order(name: str) -> None:
    matrix = load_matrix(name)
    assert matrix.name == name
    gpu, cpu = (OWN, msgspec.structs.replace(OWN, device="cpu")) if name == "own" else (GPU, CPU)
    assert ids(matrix, gpu) == ids(matrix, cpu) == list(dict.fromkeys(ids(matrix, gpu)))


@pytest.mark.parametrize("name", ON_GPU)
def test_a_matrix_of_a_gpu_is_refused_on_a_cpu_in_one_line(name: str) -> None:
    assert ids(load_matrix(name)) == list(dict.fromkeys(ids(load_matrix(name))))
    with pytest.raises(UsageError, match="needs a GPU"):
        expand(load_matrix(name), CPU)


def test_the_matrix_limit_is_its_parts() -> None:
    parts = {name for part in LIMIT for name in ids(MATRICES[part])}
    assert set(ids(MATRICES["limit"])) == parts


def test_the_matrix_of_fixes_has_every_fix_and_its_proof_and_needs_a_gpu() -> None:
    cases = expand(MATRICES["fixes"], GPU)
    timed = {arm for case in cases if case.kind == "paired" for arm in case.arms}
    judged = {arm for case in cases if case.kind == "quality" for arm in case.arms}
    # SDPA as such is the yardstick of the proof: every proof has it anyway.
    on_the_stack = {"fp8-linears", "fp8-attention", "fused-keys", "one-pass-rows", "whole-waves"}
    unmeasured = {"attention-sdpa", "wan-compiled", *on_the_stack, *WRONG}
    assert timed == {"base", *STACKS, *FIXES, *NEEDS} - unmeasured
    joined = {name for name in NEEDS if "+" in name}  # their parts are judged
    assert judged == timed - joined | set(WRONG)
    with pytest.raises(UsageError, match="needs a GPU for"):
        expand(MATRICES["fixes"], CPU)


def test_every_case_of_the_fixes_and_the_limit_fits_a_gpu_of_80_gb() -> None:
    free_bytes = 79.2 * GIB  # as seen on an H100 in use by nothing else
    cases = [one for name in ("fixes", "limit") for one in expand(MATRICES[name], GPU)]
    too_large = {one.id for one in cases if memory_need(one).least_bytes > 0.95 * free_bytes}
    assert too_large == set()


def test_the_type_is_an_axis_and_an_option() -> None:
    both = one(dtype=["bfloat16", "float16"])
    assert ids(both) == ["e2e-inpainting-eager", "e2e-inpainting-eager-float16"]
    asked = Settings(preset="full", device="cuda", dtype="float16")
    assert ids(one(), asked) == ["e2e-inpainting-eager-float16"]
    assert ids(one(dtype=["bfloat16"]), asked) == ["e2e-inpainting-eager"]
    assert all(case.dtype == "float16" for case in expand(MATRICES["full"], asked))


def test_a_variant_takes_the_place_of_the_baseline_and_leaves_its_comparisons_out() -> None:
    cases = expand(MATRICES["full"], msgspec.structs.replace(CPU, variant="ring-cache"))
    assert {case.variant for case in cases} == {"ring-cache"}
    assert not any(case.compiled or "compiled" in case.arms for case in cases)
    assert "e2e-text-eager-ring-cache" in [case.id for case in cases]
    with pytest.raises(UsageError, match="variant 'lossless' needs a GPU"):
        expand(MATRICES["quick"], msgspec.structs.replace(CPU, variant="lossless"))


def test_the_full_matrix_holds_the_quick_one() -> None:
    compiled = {"e2e-inpainting-compiled"}  # measured as an arm beside its base there
    assert set(ids(MATRICES["quick"])) - compiled < set(ids(MATRICES["full"]))


def test_an_unknown_matrix_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown matrix 'nope'; choose one of quick, full"):
        load_matrix("nope")


def test_a_users_matrix_has_the_form_of_the_built_in_ones(tmp_path: Path) -> None:
    text = """
        name = "mine"
        [[cases]]
        kind = ["e2e"]
        mode = ["depth", "inpainting"]
        vae = ["tae", "wanvae"]
        size = ["256x256"]
    """
    assert ids(load_matrix(write(tmp_path, text))) == [
        "e2e-depth-eager-256x256",
        "e2e-depth-eager-256x256-wanvae",
        "e2e-inpainting-eager-256x256",
        "e2e-inpainting-eager-256x256-wanvae",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name = 'x'\ncases = []",
        "name = 'x'\n[[cases]]\nkind = ['e2e']\nmode = ['sepia']",
        "name = 'x'\n[[cases]]\nkind = []\nmode = ['depth']",
        "name = 'x'\n[[cases]]\nkind = ['e2e']\nmode = ['depth']\nseed = []",
        "name = 'x'\n[[cases]]\nkind = ['e2e']\nmode = ['depth']\nspeed = 11",
        "name = 'x'\n[[cases]]\nkind = ['e2e']\nmode = ['depth']\nblocks = 0",
        'name = "x\\n"\n[[cases]]\nkind = ["e2e"]\nmode = ["depth"]',
        "name = '../x'\n[[cases]]\nkind = ['e2e']\nmode = ['depth']",
        "x = " + "[" * 100_000,
        b"\xff\xfe",
        "name = 'x'\n[[cases]]\nkind = ['e2e']\nmode = ['depth']\nwarmup_max_s = nan",
        "name = 'x'\n[[cases]]\nkind = ['e2e']\nmode = ['depth']\nmeasure_max_s = inf",
        "name = 'x'\n[[cases]]\nkind = ['e2e']\nmode = ['depth']\nseed = [" + "9" * 5000 + "]",
        "name = 'x'\nname = 'y'",
        "a = {" + "a={" * 20_000,
        ".".join(["a"] * 30_000) + " = 1",
        "#" * 70_000,
    ],
    ids=lambda text: repr(text[-40:]),
)
def test_a_matrix_file_that_does_not_fit_is_refused(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(UsageError, match=r"m\.toml"):
        load_matrix(write(tmp_path, text))


def test_lists_whose_product_would_fill_the_memory_are_refused(tmp_path: Path) -> None:
    seeds = ", ".join(map(str, range(900)))
    text = f"""
        name = "bomb"
        [[cases]]
        kind = [{"'e2e', " * 900}]
        mode = [{"'depth', " * 900}]
        vae = [{"'tae', " * 900}]
        seed = [{seeds}]
    """
    began_s = time.process_time()
    with pytest.raises(UsageError, match=r"has 656100000000 combinations, at most 1000"):
        expand(load_matrix(write(tmp_path, text)), Settings(preset="tiny", device="cpu"))
    assert time.process_time() - began_s < 2


def test_more_arms_than_a_file_name_holds_are_refused(tmp_path: Path) -> None:
    arms = ", ".join(f"'delay{number}'" for number in range(1, 80))
    text = f"name = 'x'\n[[cases]]\nkind = ['paired']\nmode = ['depth']\narms = ['base', {arms}]"
    with pytest.raises(UsageError, match=r"length <= 40 - at `\$\.cases\[0\]\.arms`"):
        load_matrix(write(tmp_path, text))


def test_a_device_or_a_pipe_is_no_matrix(tmp_path: Path) -> None:
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    (tmp_path / "loop.toml").symlink_to("loop.toml")
    os.mkfifo(tmp_path / "pipe.toml")
    for name in ("zero.toml", "loop.toml", "pipe.toml"):
        with pytest.raises(UsageError, match=f"matrix file .*{name}"):
            load_matrix(str(tmp_path / name))


@pytest.mark.parametrize("name", ["missing.toml", ".toml", "a\0b.toml"])
def test_a_matrix_file_that_cannot_be_read_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="matrix file"):
        load_matrix(name)


@given(
    st.one_of(st.binary(max_size=200), st.text("[]{}='\"\n.,x1_# ", max_size=60).map(str.encode))
)
def test_no_matrix_file_causes_anything_but_a_usage_error(blob: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.raises(UsageError):
        load_matrix(write(Path(folder), blob))
