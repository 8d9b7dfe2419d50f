from dataclasses import dataclass
from types import SimpleNamespace

from harness.measure.profiler import UNATTRIBUTED, summarise


@dataclass
class FakeEvent:
    """An event of torch's profiler, as far as it is used."""

    name: str
    start: float
    end: float
    id: int = 0
    device: str = "CPU"
    is_user_annotation: bool = False
    is_async: bool = False

    @property
    def device_type(self) -> SimpleNamespace:
        return SimpleNamespace(name=self.device)

    @property
    def time_range(self) -> SimpleNamespace:
        return SimpleNamespace(start=self.start, end=self.end)


EVENTS = [
    FakeEvent("aten::linear", 0, 20),
    FakeEvent("aten::addmm", 2, 18, id=7),
    FakeEvent("cudaLaunchKernel", 4, 6, id=100),
    FakeEvent("aten::addmm", 21, 30),
    FakeEvent("cudaLaunchKernel", 22, 24, id=101),
    FakeEvent("attention.cached_self", 40, 80, is_user_annotation=True),
    FakeEvent("sageattn", 42, 78, is_user_annotation=True),
    FakeEvent("cuLaunchKernel", 50, 52, id=102),  # Triton: no operator around it
    FakeEvent("aten::copy_", 60, 70),
    FakeEvent("cudaMemcpyAsync", 61, 63, id=103),
    FakeEvent("gemm", 30, 1030, id=100, device="CUDA"),
    FakeEvent("gemm", 1030, 1530, id=101, device="CUDA"),
    FakeEvent("qk_int8", 1530, 3530, id=102, device="CUDA"),
    FakeEvent("Memcpy DtoD", 3530, 3630, id=103, device="CUDA"),
    FakeEvent("orphan", 3630, 3730, id=999, device="CUDA"),
    FakeEvent("sageattn", 1530, 3630, id=5, device="CUDA", is_user_annotation=True),
    FakeEvent("attention.cached_self", 1530, 3630, device="CUDA", is_user_annotation=True),
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
    host = [event for event in EVENTS if event.device == "CPU"]
    counted = summarise(host, chunk=5, on_gpu=False)
    assert all(operator.device_ms is None for operator in counted.operators)
    assert counted.kernels == []
    assert counted.attention_kernels == {"cached_self": []}
