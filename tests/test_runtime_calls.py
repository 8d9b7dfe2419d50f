import pytest

from harness.runtime_calls import by_role, makes_work, role_of


@pytest.mark.parametrize(
    ("name", "role", "work"),
    [
        ("cudaLaunchKernel", "launch", True),
        ("cuLaunchKernelEx", "launch", True),
        ("cudaGraphLaunch", "launch", True),
        ("cudaLaunchHostFunc", "other", False),
        ("cudaMemcpyAsync", "copy", True),
        ("cudaMemsetAsync", "copy", True),
        ("cudaMemcpy", "sync", True),
        ("cudaStreamSynchronize", "sync", False),
        ("cudaDeviceSynchronize", "sync", False),
        ("cudaMalloc", "memory", False),
        ("cudaFree", "memory", False),
        ("cuMemCreate", "memory", False),
        ("cudaStreamIsCapturing", "other", False),
        ("cudaFuncGetAttributes", "other", False),
    ],
)
def test_what_a_call_does(name: str, role: str, work: bool) -> None:
    assert (role_of(name), makes_work(name)) == (role, work)


def test_calls_are_added_up_by_what_they_do() -> None:
    made = by_role({"cudaLaunchKernel": 3, "cuLaunchKernel": 2, "cudaFree": 1})
    assert (made["launch"], made["memory"], made["sync"]) == (5, 1, 0)
