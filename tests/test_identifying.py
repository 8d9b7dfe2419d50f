"""harness.identifying: what names a host or its user is found, and ordinary text is not."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.identifying import Found, Names, is_ordinary, names_of_host

NAMES = Names({"lovelace": "host name", "ada.b": "user name", "Ada Byron": "user name", "vm": "x"})


def found(text: str) -> list[tuple[str, str]]:
    return [(one.kind, one.text) for one in NAMES.find(text)]


@pytest.mark.parametrize(
    ("text", "kind", "what"),
    [
        ("ran on lovelace at night", "host name", "lovelace"),
        ("LOVELACE.example", "host name", "LOVELACE"),
        ("by ada.b, again", "user name", "ada.b"),
        ("author: Ada Byron", "user name", "Ada Byron"),
        ("see /home/charles/x.py", "path of a host", "/home/charles/x.py"),
        ("cc -I /data/team7/include", "path of a host", "/data/team7/include"),
        ('File "/mnt/x/x.py", line 3', "path of a host", "/mnt/x/x.py"),
        ("(/Users/ada/clip.mp4)", "path of a host", "/Users/ada/clip.mp4"),
        ("/run/media/charles/disk", "path of a host", "/run/media/charles/disk"),
        ("/tmp/charles/x", "path of a host", "/tmp/charles/x"),
        ("~charles/x", "path of a host", "~charles/x"),
        (r"C:\Users\charles", "path of a host", r"C:\U"),
        ("serial: 1324021012345", "serial number", "1324021012345"),
        ("S/N 0A12-B34", "serial number", "0A12-B34"),
        ("board 1560220012345 of", "serial number", "1560220012345"),
        ("GPU-01234567-89ab-cdef-0123-456789abcdef", "full UUID", None),
        ("MIG-0123456789abcdef0123456789abcdef", "full UUID", None),
        ("01234567-89AB-CDEF-0123-456789ABCDEF", "full UUID", None),
        ("eth0 02:42:AC:11:00:02 up", "hardware address", "02:42:AC:11:00:02"),
        ("ada@example.org", "mail address", "ada@example.org"),
    ],
)
def test_what_identifies_is_found(text: str, kind: str, what: str | None) -> None:
    assert (kind, what) in found(text) or (what is None and kind in dict(found(text)))


def test_a_long_text_takes_no_longer_than_it_is_long() -> None:
    start_s = time.process_time()
    assert found("ab" * 50_000) == []
    assert time.process_time() - start_s < 2


@pytest.mark.parametrize(
    "text",
    [
        "lovelaces and xada.by",
        "the vm is called vm",
        "milliseconds/chunk, and/or 3/4, cases/e2e.json#/chunks/*/wall_ms",
        "/usr/lib/x86_64-linux-gnu/libcuda.so.580 and /opt/vace-bench/install.json",
        "https://example.org/home/page",
        "<project>/harness/x.py and <home>/.cache",
        "serial numbers are never recorded",
        "commit 0123456789abcdef0123456789abcdef01234567",
        "1324021012345.5 ns, 9324021012345",
        "96.00.A5.00.03 12:30:45 2026-11-25T01:10:41Z",
        "sha256:" + "5a" * 32,
        "torch 2.13.0+cu130 by 10.3.0.26",
    ],
)
def test_ordinary_text_is_no_finding(text: str) -> None:
    assert found(text) == []


def test_a_finding_is_shown_masked() -> None:
    assert Found("user name", "charles").masked == "ch*****"
    assert Found("path of a host", "/home/" + "x" * 100).masked == "/h********"
    assert Found("user name", "ab").masked == "ab*"


@given(st.text(min_size=3, alphabet=st.characters(categories=["L", "N"])), st.text(max_size=5))
def test_every_long_enough_name_is_found_as_a_word(name: str, around: str) -> None:
    names = Names({name: "user name"})
    there = [one.text for one in names.find(f"{around} {name} {around}")]
    assert name in there or is_ordinary(name)


def test_this_hosts_names_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "ada")
    monkeypatch.setenv("HOME", str(tmp_path / "ada"))
    monkeypatch.setattr("socket.gethostname", lambda: "lovelace.example.org")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (tmp_path / "sys/class/dmi/id").mkdir(parents=True)
    (tmp_path / "sys/class/dmi/id/board_serial").write_text("ABC1234\n")
    names = names_of_host(tmp_path)
    assert names["ada"] == "user name"
    assert names["lovelace"] == names["lovelace.example.org"] == "host name"
    assert names["0123456789abcdef0123456789abcdef"] == "machine id"
    assert names["ABC1234"] == "serial number"
    assert names[str(tmp_path / "ada")] == "path of a host"
