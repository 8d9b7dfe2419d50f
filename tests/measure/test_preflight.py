from pathlib import Path

import pytest
import torch

from harness.job import PreflightRequest
from harness.matrix import Case
from harness.measure import preflight as module
from harness.measure.devices import Gpu
from harness.measure.preflight import (
    NOTE,
    memory_problems,
    preflight,
    type_problems,
    variant_problems,
)
from tests.measure.cases import small_case

GPU = Gpu(0, "NVIDIA Fake", "GPU-1", 16 * 2**30, (9, 0))


@pytest.fixture
def fake_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that torch sees and NVML describes."""
    monkeypatch.setattr(module, "list_gpus", lambda: [GPU])
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (12 * 2**30, 16 * 2**30))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_80", "sm_90"])
    monkeypatch.setattr(
        module,
        "_read_nvml",
        lambda _: {"gpu.driver": "580.1", "utilisation_percent": 3, "memory_used_bytes": 2**20},
    )


def test_a_cpu_run_has_no_problem() -> None:
    devices = preflight(PreflightRequest(cases=[small_case()]))
    assert devices.problems == []
    assert devices.torch_version == str(torch.__version__)
    assert devices.cpu_count >= 1


def test_cuda_without_a_gpu_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "list_gpus", list)
    (problem,) = preflight(PreflightRequest(cases=[small_case(device="cuda")])).problems
    assert problem.startswith("no GPU can be used")
    assert "\n" not in problem


def full_case(**changes: object) -> Case:
    return small_case(
        **{"preset": "full", "width_px": 512, "height_px": 512, "device": "cuda", **changes}
    )


def test_memory_that_is_too_small_names_needed_free_and_what_would_fit() -> None:
    cases = [small_case(device="cuda"), full_case()]
    first, fitting = memory_problems(cases, 9 * 2**30)
    assert "e2e-inpainting-eager needs 9.5 GiB, 9.0 GiB are free" in first
    assert "it would fit with size 480x480" in first
    assert fitting == "what fits: --only 'e2e-inpainting-eager-32x32'"
    assert list(memory_problems(cases, 80 * 2**30)) == []


def test_memory_that_is_tight_is_a_note() -> None:
    (line,) = memory_problems([full_case()], 10 * 2**30)
    assert line.startswith(f"{NOTE}GPU memory is tight")


def test_a_gpu_without_bfloat16_is_told_and_float16_is_the_way() -> None:
    old, newer = (Gpu(0, "Tesla T4", "GPU-1", 2**34, capability) for capability in ((7, 5), (8, 0)))
    (line,) = type_problems([full_case(), full_case(mode="text")], old)
    assert line.startswith("e2e-inpainting-eager: Tesla T4 has compute capability 7.5 and no bf")
    assert "--dtype float16" in line
    assert list(type_problems([full_case(dtype="float16")], old)) == []
    assert list(type_problems([full_case()], newer)) == []


@pytest.mark.usefixtures("fake_gpu")
def test_an_old_gpu_runs_float16_cases_only(monkeypatch: pytest.MonkeyPatch) -> None:
    old = Gpu(0, "NVIDIA Old", "GPU-1", 16 * 2**30, (7, 5))
    monkeypatch.setattr(module, "list_gpus", lambda: [old])
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75"])
    ask = lambda dtype: preflight(PreflightRequest(cases=[full_case(dtype=dtype)]))  # noqa: E731
    assert ask("float16").problems == []
    (problem,) = ask("bfloat16").problems
    assert "no bfloat16" in problem


@pytest.mark.usefixtures("fake_gpu")
def test_the_gpu_is_described() -> None:
    (gpu,) = preflight(PreflightRequest(cases=[small_case()])).gpus
    assert (gpu.uuid, gpu.driver, gpu.utilisation_percent) == ("GPU-1", "580.1", 3)
    assert gpu.free_bytes == 12 * 2**30


@pytest.mark.usefixtures("fake_gpu")
def test_the_preflight_s_own_context_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    used = iter([2**30, 2**30 + 2**29])  # before and after CUDA was asked
    monkeypatch.setattr(module, "_read_nvml", lambda _: {"memory_used_bytes": next(used)})
    (gpu,) = preflight(PreflightRequest(cases=[small_case()])).gpus
    assert gpu.free_bytes == 12 * 2**30 + 2**29


@pytest.mark.usefixtures("fake_gpu")
def test_a_backend_that_is_missing_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    cases = [small_case(preset="full", device="cuda", mode=mode) for mode in ("depth", "text")]
    (problem,) = preflight(PreflightRequest(cases=cases)).problems
    assert "sageattention is not installed" in problem


@pytest.mark.usefixtures("fake_gpu")
def test_a_gpu_too_old_for_the_build_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_100"])
    case = small_case(device="cuda", attention="sdpa")
    problems = preflight(PreflightRequest(cases=[case])).problems
    assert "compute capability 9.0" in problems[0]


@pytest.mark.usefixtures("fake_gpu")
def test_a_busy_gpu_is_a_note_and_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_read_nvml", lambda _: {"utilisation_percent": 93})
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_100"])
    case = small_case(device="cuda", attention="sdpa")
    problems = preflight(PreflightRequest(cases=[case])).problems
    assert problems[-1] == NOTE + "gpu shared: 93 % busy before the case"
    assert not problems[0].startswith(NOTE)


@pytest.mark.usefixtures("fake_gpu")
def test_telemetry_that_is_off_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_read_nvml", lambda _: {module.NO_TELEMETRY: "NVML: not found"})
    case = small_case(device="cuda", attention="sdpa", preset="full")
    problems = preflight(PreflightRequest(cases=[case])).problems
    assert NOTE + "the GPU's state cannot be sampled: NVML: not found" in problems


def test_checkpoints_are_looked_at(tmp_path: Path) -> None:
    case = small_case(weights="checkpoint")
    (nowhere,) = preflight(PreflightRequest(cases=[case])).problems
    assert "--weights" in nowhere
    request = PreflightRequest(cases=[case, case], weights_dir=str(tmp_path))
    (missing,) = preflight(request).problems
    assert "longlive_base.pt" in missing


@pytest.mark.usefixtures("fake_gpu")
def test_an_unknown_gpu_is_a_problem() -> None:
    request = PreflightRequest(cases=[small_case(device="cuda")], gpu="5")
    (problem,) = preflight(request).problems
    assert "GPU '5' is not there" in problem


def test_a_fix_that_the_gpu_is_too_old_for_is_told_once() -> None:
    arms = ("base", "lossless", "fastest")
    kinds = ("paired", "quality")
    cases = [small_case(preset="full", device="cuda", kind=kind, arms=arms) for kind in kinds]
    older = list(variant_problems(cases, "NVIDIA A100", (8, 0)))
    assert older == [
        f"paired-inpainting-lossless-fastest-32x32: fix '{fix}' needs compute capability 9.0, "
        "NVIDIA A100 has 8.0; leave the case out with --only"
        for fix in ("fp8-linears", "fp8-attention")
    ]


def test_a_package_that_a_fix_calls_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [small_case(preset="full", device="cuda", kind="paired", arms=("base", "fastest"))]
    installed = {"nvidia-cudnn-frontend": "1.18.0"}
    monkeypatch.setattr(module.metadata, "version", lambda name: installed[name])
    assert list(variant_problems(cases, "NVIDIA H200", (9, 0))) == []

    def missing(name: str) -> str:
        raise module.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(module.metadata, "version", missing)
    (problem,) = variant_problems(cases, "NVIDIA H200", (9, 0))
    assert problem.endswith(
        "fix 'fp8-attention' needs nvidia-cudnn-frontend, which is not installed; "
        "build the image anew, or install it"
    )
