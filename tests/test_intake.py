"""harness.intake: what strangers send is read within limits, or refused."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.intake import LARGEST, MOST_DEPTH, MOST_KEY, MOST_TEXT, parse_json, read_file
from harness.intake import refuse_links as refuse

LIMIT_BYTES = 1000


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"a" * LIMIT_BYTES)
    assert read_file(path, LIMIT_BYTES) == b"a" * LIMIT_BYTES
    path.write_bytes(b"a" * (LIMIT_BYTES + 1))
    with pytest.raises(ValueError, match="larger than"):
        read_file(path, LIMIT_BYTES)


def test_a_sparse_file_of_a_terabyte_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match="larger than"):
        read_file(path, LIMIT_BYTES)


def test_a_pipe_without_a_writer_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x")
    with pytest.raises(ValueError, match="no regular file"):
        read_file(tmp_path / "x", LIMIT_BYTES)


def test_devices_folders_and_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"{}")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("nowhere")
    for path in (tmp_path / "link", tmp_path / "dangling"):
        with pytest.raises(ValueError, match="link"):
            read_file(path, LIMIT_BYTES)
    with pytest.raises(ValueError, match="no regular file"):
        read_file(Path("/dev/zero"), LIMIT_BYTES)
    with pytest.raises((ValueError, OSError)):
        read_file(tmp_path, LIMIT_BYTES)
    with pytest.raises(OSError, match="No such file"):
        read_file(tmp_path / "none", LIMIT_BYTES)


def test_links_are_refused_at_every_step_below_the_root(tmp_path: Path) -> None:
    root = tmp_path / "run"
    (root / "a").mkdir(parents=True)
    (root / "a" / "file").write_text("")
    (root / "b").symlink_to(tmp_path)
    refuse(root, root / "a" / "file")
    refuse(root, root / "a" / "not there")
    with pytest.raises(ValueError, match="b is a link"):
        refuse(root, root / "b" / "run" / "a" / "file")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("NaN", "NaN is no number"),
        ('{"a": [Infinity]}', "Infinity is no number"),
        ("[-Infinity]", "-Infinity is no number"),
        ("1e999", "beyond"),
        ("[1e300]", "beyond"),
        ("[5e-324]", "beyond"),
        ("9" * 5000, "5000 digits"),
        ("-" + "9" * 40, "40 digits"),
        ('{"a": 1, "b": {"c": 2, "c": 2}}', "'c' is given twice"),
        ("[" * (MOST_DEPTH + 1) + "]" * (MOST_DEPTH + 1), "nested too deeply"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        (json.dumps("x" * (MOST_TEXT + 1)), "more than .* characters"),
        (json.dumps({"x" * (MOST_KEY + 1): 1}), "key has more than"),
        ("", "Expecting value"),
        ("\ufeff{}", "BOM"),
        ("{} {}", "Extra data"),
    ],
    ids=lambda text: text[:20],
)
def test_what_no_honest_file_holds_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(text.encode())


@pytest.mark.parametrize("blob", [b"\xff", b'"\xed\xa0\x80"', b'"\xc0\xaf"', "{}".encode("utf-16")])
def test_what_is_not_utf_8_is_refused(blob: bytes) -> None:
    with pytest.raises(ValueError, match=r"utf-8|Expecting"):
        parse_json(blob)


def test_the_limits_themselves_pass() -> None:
    document = [0, -0.0, LARGEST, 2**64, 1e-30, "x" * MOST_TEXT, {"k" * MOST_KEY: None}]
    assert parse_json(json.dumps(document).encode()) == document
    parse_json(b"[" * MOST_DEPTH + b"]" * MOST_DEPTH)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_a_document_comes_back_or_is_refused(document: object) -> None:
    try:
        found = parse_json(json.dumps(document).encode())
    except ValueError:
        return
    assert found == document


@given(st.binary(max_size=200))
def test_arbitrary_bytes_give_a_document_or_a_value_error(blob: bytes) -> None:
    try:
        parse_json(blob)
    except ValueError as error:
        assert str(error)
