import pytest
import torch

from harness.errors import DeviceError, UsageError
from harness.measure.devices import (
    Gpu,
    architecture_fits,
    choose_gpu,
    select,
    why_no_cuda,
    with_prefix,
)
from tests.measure.cases import small_case

GPUS = [
    Gpu(0, "NVIDIA A", "GPU-aaaa-1", 80 * 2**30, (9, 0)),
    Gpu(1, "NVIDIA B", "GPU-bbbb-2", 24 * 2**30, (8, 9)),
    Gpu(2, "NVIDIA B", "GPU-bbbb-3", 24 * 2**30, (8, 9)),
]


def test_a_gpu_by_index_uuid_or_the_first() -> None:
    assert choose_gpu(GPUS, None) is GPUS[0]
    assert choose_gpu(GPUS, "1") is GPUS[1]
    assert choose_gpu(GPUS, "GPU-bbbb-3") is GPUS[2]
    assert choose_gpu(GPUS, "aaaa") is GPUS[0]


def test_a_mig_instance_is_found_though_torch_calls_it_a_gpu() -> None:
    assert choose_gpu(GPUS, "MIG-bbbb-2") is GPUS[1]


@pytest.mark.parametrize(("wanted", "problem"), [("7", "not there"), ("GPU-bbbb", "ambiguous")])
def test_a_gpu_that_is_not_there_is_named_with_the_choices(wanted: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as caught:
        choose_gpu(GPUS, wanted)
    assert "0 (NVIDIA A)" in caught.value.line


def test_without_a_gpu_the_reason_is_told() -> None:
    with pytest.raises(DeviceError, match="no GPU can be used"):
        choose_gpu([], None)
    if torch.version.cuda is None:
        assert "build without CUDA" in why_no_cuda()


def test_uuids_are_written_as_nvml_does() -> None:
    assert with_prefix("1234-5") == "GPU-1234-5"
    assert with_prefix("GPU-1234-5") == "GPU-1234-5"
    assert with_prefix("MIG-1234-5") == "MIG-1234-5"


@pytest.mark.parametrize(
    ("capability", "built", "fits"),
    [
        ((9, 0), ["sm_80", "sm_90"], True),
        ((8, 9), ["sm_80", "sm_90"], True),  # same generation, older minor version
        ((7, 0), ["sm_75", "sm_80"], False),
        ((12, 0), ["sm_90"], False),
        ((12, 0), ["sm_90", "compute_90"], True),  # PTX of an older generation
        ((9, 0), ["sm_90a"], True),
        ((10, 3), ["sm_100a"], False),  # code for one GPU alone
        ((10, 3), ["sm_100"], True),
        ((8, 0), [], False),
    ],
)
def test_whether_the_build_holds_code_for_a_gpu(
    capability: tuple[int, int], built: list[str], fits: bool
) -> None:
    assert architecture_fits(capability, built) is fits


def test_a_cpu_case_needs_no_gpu() -> None:
    device, gpu = select(small_case(), None)
    assert (device.type, gpu) == ("cpu", None)
