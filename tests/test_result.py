"""harness.result: a record survives storage, and nothing else passes for one."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import RecordError
from harness.result import RECORD_LIMIT_BYTES, SCHEMA_VERSION, Record, Result, decode, encode
from tests import samples

RESULT = encode(samples.result())
FRAME = {
    "arm": "base",
    "chunk": 3,
    "frame": 11,
    "width_px": 2,
    "height_px": 2,
    "rgb": "00" * 12,
    "difference": "ff" * 4,
    "largest_difference": 0.1,
}
FAILURE = encode(samples.failure())


def changed(**changes: Any) -> bytes:
    return json.dumps(json.loads(RESULT) | changes).encode()


@pytest.mark.parametrize("record", [samples.result(), samples.failure()], ids=["ok", "failed"])
def test_a_record_survives_storage(record: Record) -> None:
    assert decode(encode(record), name="x.json") == record


def test_a_stored_record_reads_well_in_a_diff() -> None:
    assert RESULT.endswith(b"}\n")
    assert RESULT.count(b"\n") > 50


def test_a_frame_that_fits_is_read() -> None:
    record = decode(changed(frames=[FRAME]), name="x.json")
    assert isinstance(record, Result) and msgspec.to_builtins(record.frames) == [FRAME]


def test_a_newer_record_is_refused_by_name_and_version() -> None:
    blob = changed(schema_version=SCHEMA_VERSION + 1, something_new=1)
    with pytest.raises(RecordError, match=rf"x\.json has schema {SCHEMA_VERSION + 1}.*upgrade"):
        decode(blob, name="x.json")


@pytest.mark.parametrize("version", [None, "1", 0, -1, True, 1.5, 10**30])
def test_a_version_that_is_none_is_refused(version: object) -> None:
    with pytest.raises(RecordError, match=r"x\.json"):
        decode(changed(schema_version=version), name="x.json")


@pytest.mark.parametrize(
    "changes",
    [
        {"surprise": 1},
        {"status": "great"},
        {"chunks": [{"chunk": -1}]},
        {"case_id": 5},
        {"provenance": {"torch": {"value": []}}},
        {"memory": {"allocated_peak_bytes": -1}},
        {"provenance": {"a/b": {"value": 1}}},
        {"provenance": {"a\u202eb": {"value": 1}}},
        {"phases": [{"name": "steady", "start_s": 2.0, "end_s": 1.0}]},
        {"phases": [{"name": "steady", "start_s": 1e10, "end_s": 2e10}]},
        {"gpu": {**json.loads(RESULT)["gpu"], "series": {"t_s": [1.0], "fields": {"x": []}}}},
        {"chunks": [{**json.loads(RESULT)["chunks"][0], "wall_ms": 0.0}]},
        {"chunks": [{**json.loads(RESULT)["chunks"][0], "frames": 2**70}]},
        {"frames": [FRAME | {"rgb": "00" * 11}]},
        {"frames": [FRAME | {"rgb": "0g" * 12}]},
        {"frames": [FRAME | {"rgb": "00 " * 8}]},
        {"frames": [FRAME | {"difference": "00" * 5}]},
        {"frames": [FRAME | {"difference": None}]},
        {"frames": [FRAME | {"arm": None}]},
        {"frames": [FRAME | {"width_px": 0, "rgb": "", "difference": ""}]},
        {"frames": [FRAME | {"width_px": 129 * 4, "rgb": "00" * 129 * 12}]},
        {"frames": [FRAME | {"largest_difference": 1.1}]},
        {"flags": [float("nan")]},
        {"flags": ["\ud800"]},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_a_field_that_does_not_fit_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RecordError, match=r"record x\.json is damaged"):
        decode(changed(**changes), name="x.json")


@pytest.mark.parametrize(
    "blob", [b"", b"null", b"[]", b"{", RESULT[:-20], b"[" * 100_000, b"\xff", b"1e999"]
)
def test_what_is_no_record_is_refused(blob: bytes) -> None:
    with pytest.raises(RecordError, match=r"x\.json"):
        decode(blob, name="x.json")


def test_a_key_given_twice_is_refused() -> None:
    blob = RESULT.replace(b'"case_id"', b'"case_id": "x", "case_id"', 1)
    with pytest.raises(RecordError, match="'case_id' is given twice"):
        decode(blob, name="x.json")


def test_a_record_beyond_the_size_limit_is_refused_unread() -> None:
    with pytest.raises(RecordError, match=r"x\.json is larger than 8 MiB"):
        decode(b"[" * (RECORD_LIMIT_BYTES + 1), name="x.json")


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_refused(blob: bytes) -> None:
    with pytest.raises(RecordError):
        decode(blob, name="x.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.sampled_from([RESULT, FAILURE]), st.data(), JSON)
def test_a_replaced_field_gives_a_record_or_a_record_error(
    blob: bytes, data: st.DataObject, value: object
) -> None:
    fields = json.loads(blob)
    fields[data.draw(st.sampled_from(sorted(fields)))] = value
    decode_or_refuse(json.dumps(fields).encode())


@given(st.sampled_from([RESULT, FAILURE]), st.data(), st.binary(min_size=1, max_size=3))
def test_damaged_bytes_give_a_record_or_a_record_error(
    blob: bytes, data: st.DataObject, noise: bytes
) -> None:
    at = data.draw(st.integers(0, len(blob)))
    decode_or_refuse(blob[:at] + noise + blob[at + len(noise) :])


def decode_or_refuse(blob: bytes) -> None:
    try:
        record = decode(blob, name="x.json")
    except RecordError as error:
        assert "x.json" in error.line
    else:
        assert decode(encode(record), name="again") == record
