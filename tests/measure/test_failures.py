import pytest
import torch

from harness.errors import CaseError, ClipError, DeviceError, HarnessError, UsageError, WeightsError
from harness.measure.failures import category, failure
from harness.measure.telemetry import GpuGoneError
from tests.measure.cases import small_job


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"), "memory"),
        (MemoryError(), "memory"),
        (RuntimeError("CUDA error: out of memory"), "memory"),
        (ValueError("backend failed: CUDA out of memory. Tried to allocate"), "memory"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "device"),
        (RuntimeError("shape mismatch"), "bug"),
        (DeviceError("no GPU"), "device"),
        (WeightsError("missing key"), "input"),
        (ClipError("empty"), "input"),
        (UsageError("no such thing"), "input"),
        (CaseError("sage needs a GPU"), "input"),
        (GpuGoneError("lost", "device"), "device"),
        (GpuGoneError("unknown error", "infrastructure"), "infrastructure"),
        (ZeroDivisionError("division by zero"), "bug"),
    ],
)
def test_each_error_has_its_category(error: Exception, expected: str) -> None:
    assert category(error) == expected


def fail(error: Exception) -> Exception:
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


def test_the_message_is_one_line_with_the_next_step() -> None:
    error = fail(WeightsError("key 'a.b' has\nanother shape", next_step="download it again"))
    assert isinstance(error, HarnessError)
    record = failure(small_job(), error, started_utc="2026-01-01T00:00:00+00:00", provenance={})
    assert record.message == "key 'a.b' has another shape; download it again"
    assert record.detail.startswith("Traceback")


def test_a_bug_names_its_kind_and_keeps_its_traceback_without_folders() -> None:
    error = fail(KeyError("x"))
    record = failure(small_job(), error, started_utc="2026-01-01T00:00:00+00:00", provenance={})
    assert (record.category, record.message) == ("bug", "KeyError: 'x'")
    assert 'File "<project>/tests/measure/test_failures.py"' in record.detail
