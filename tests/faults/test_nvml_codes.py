"""NVML failing at every call with every documented code."""

from tests.faults import nvml_codes


def test_every_code_at_every_call_ends_as_the_table_says() -> None:
    assert nvml_codes.wrong() == []


def test_all_calls_and_codes_are_tried() -> None:
    assert len(nvml_codes.CODES) >= 30
    assert len(nvml_codes.calls()) >= 20
    assert nvml_codes.count() > 1000
