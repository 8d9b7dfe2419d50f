from collections import Counter

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from harness.measure.profiler import UNATTRIBUTED, Event, read_events, summarise


def event(
    name: str,
    start_us: int,
    end_us: int,
    id: int = 0,
    device: str = "CPU",
    is_user_annotation: bool = False,
) -> Event:
    return Event(name, 1000 * start_us, 1000 * end_us, id, device != "CPU", is_user_annotation)


EVENTS = [
    event("aten::linear", 0, 20),
    event("aten::addmm", 2, 18, id=7),
    event("cudaLaunchKernel", 4, 6, id=100),
    event("aten::addmm", 21, 30),
    event("cudaLaunchKernel", 22, 24, id=101),
    event("attention.cached_self", 40, 80, is_user_annotation=True),
    event("sageattn", 42, 78, is_user_annotation=True),
    event("cuLaunchKernel", 50, 52, id=102),  # Triton: no operator around it
    event("aten::copy_", 60, 70),
    event("cudaMemcpyAsync", 61, 63, id=103),
    event("gemm", 30, 1030, id=100, device="CUDA"),
    event("gemm", 1030, 1530, id=101, device="CUDA"),
    event("qk_int8", 1530, 3530, id=102, device="CUDA"),
    event("Memcpy DtoD", 3530, 3630, id=103, device="CUDA"),
    event("orphan", 3630, 3730, id=999, device="CUDA"),
    event("sageattn", 1530, 3630, id=5, device="CUDA", is_user_annotation=True),
    event("attention.cached_self", 1530, 3630, device="CUDA", is_user_annotation=True),
]


def test_a_kernel_belongs_to_the_innermost_operator_that_launched_it() -> None:
    counted = summarise(EVENTS, chunk=5, on_gpu=True)
    by_name = {operator.name: operator for operator in counted.operators}
    assert by_name["aten::addmm"].calls == 2
    assert by_name["aten::addmm"].device_ms == 1.5
    assert by_name["aten::linear"].device_ms == 0  # its time is that of the addmm inside
    assert by_name["sageattn"].device_ms == 2.0
    assert by_name["aten::copy_"].device_ms == 0.1
    assert by_name[UNATTRIBUTED].device_ms == 0.1


def test_operators_and_kernels_add_up_to_the_same_time() -> None:
    counted = summarise(EVENTS, chunk=5, on_gpu=True)
    kernels_ms = sum(kernel.device_ms for kernel in counted.kernels)
    assert kernels_ms == 3.7
    assert sum(operator.device_ms or 0 for operator in counted.operators) == kernels_ms
    assert counted.kernels[0].name == "qk_int8"
    assert {kernel.name: kernel.calls for kernel in counted.kernels}["gemm"] == 2


def test_named_ranges_on_the_device_are_no_kernels() -> None:
    counted = summarise(EVENTS, chunk=5, on_gpu=True)
    assert "sageattn" not in {kernel.name for kernel in counted.kernels}
    assert counted.attention_kernels == {"cached_self": ["Memcpy DtoD", "qk_int8"]}


def test_without_a_gpu_there_is_no_device_time() -> None:
    host = [each for each in EVENTS if not each.on_device]
    counted = summarise(host, chunk=5, on_gpu=False)
    assert all(operator.device_ms is None for operator in counted.operators)
    assert counted.kernels == []
    assert counted.attention_kernels == {"cached_self": []}


def test_events_are_those_of_torchs_own_list() -> None:
    cell = torch.randn(8, 8)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(3):
            with record_function("attention.cross"):
                cell @ cell + cell.double().float()
    events = read_events(profiler)
    theirs = [each for each in profiler.events() or [] if not each.is_async]
    assert Counter(each.name for each in events) == Counter(each.name for each in theirs)
    counted = summarise(events, chunk=4, on_gpu=False)
    calls = {operator.name: operator.calls for operator in counted.operators}
    assert (calls["aten::mm"], calls["aten::_to_copy"], calls["attention.cross"]) == (3, 6, 3)
    ranges = [each for each in events if each.is_user_annotation]
    assert {each.name for each in ranges} == {"attention.cross"}
    inside = [each for each in events if each.name == "aten::mm"]
    assert all(
        any(outer.start_ns <= each.start_ns <= each.end_ns <= outer.end_ns for outer in ranges)
        for each in inside
    )
