"""harness.parcel: what a stranger packs is a plan with its records, or is refused in one line."""

import gzip
import io
import os
import random
import tarfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from harness import parcel
from harness.errors import HarnessError, RecordError, StorageError
from harness.parcel import pack, unpack
from harness.result import encode
from harness.store import RunFolder
from tests import samples

PLAN = encode(samples.manifest())
RECORD = encode(samples.result())
NAME = "cases/e2e-inpainting-eager.json"


def made(tmp_path: Path, *members: tuple[tarfile.TarInfo, bytes], tail: bytes = b"") -> Path:
    """A parcel of any members, each with the content that it says it has."""
    blob = io.BytesIO()
    with tarfile.open(fileobj=blob, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for item, content in members:
            archive.addfile(item, io.BytesIO(content))
    target = tmp_path / "parcel.tar.gz"
    target.write_bytes(gzip.compress(blob.getvalue() + tail))
    return target


def item(name: str, content: bytes = b"", **changes: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in changes.items():
        setattr(info, key, value)
    return info, content


def folder(tmp_path: Path) -> Path:
    empty = tmp_path / "unpacked"
    empty.mkdir(exist_ok=True)
    return empty


def test_a_run_is_packed_to_the_same_bytes_and_unpacked(tmp_path: Path) -> None:
    long = samples.case(mode="text", label="", variant="baseline")
    run = RunFolder.create(tmp_path / "reports", samples.manifest(samples.case(), long))
    run.save(samples.result())
    run.save(samples.failure(long))
    (run.path / "cases/notes.json").write_text("{}")  # not a record of the run
    for name in ("a.tar.gz", "b.tar.gz"):
        assert pack(run, tmp_path / name) == 3
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()
    received = unpack(tmp_path / "a.tar.gz", folder(tmp_path))
    assert received.load().results == run.load().results
    assert received.load().failures == run.load().failures
    assert not (received.path / "cases/notes.json").exists()
    with pytest.raises(StorageError, match=r"a\.tar\.gz exists already"):
        pack(run, tmp_path / "a.tar.gz")


def test_names_longer_than_a_header_arrive(tmp_path: Path) -> None:
    arms = ("base", *(f"delay{number}" for number in range(1, 16)))
    case = samples.case(kind="paired", arms=arms)
    assert len(case.id) > 100
    run = RunFolder.create(tmp_path / "reports", samples.manifest(case))
    run.save(samples.failure(case))
    pack(run, tmp_path / "a.tar.gz")
    assert unpack(tmp_path / "a.tar.gz", folder(tmp_path)).load().failures


@pytest.mark.parametrize(
    "name",
    [
        "../escape.json",
        "/etc/escape.json",
        "cases/../../escape.json",
        "cases/e2e-text-eager.json",
        "cases/e2e-inpainting-eager.failed-0.json",
        "cases/e2e-inpainting-eager.process-2.failed-1.json",
        "cases/e2e-inpainting-eager.process-51.json",
        "cases/" + "x" * 150,
        "report.md",
        "traces/e2e-inpainting-eager.json.gz",
    ],
)
def test_only_names_that_the_plan_gives_are_written(tmp_path: Path, name: str) -> None:
    file = made(tmp_path, item("run.json", PLAN), item(name, b"{}"))
    with pytest.raises(RecordError, match="is no record of its plan"):
        unpack(file, folder(tmp_path))
    assert [path.name for path in folder(tmp_path).rglob("*")] == ["run.json"]
    assert not list(tmp_path.rglob("escape.json"))


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.DIRTYPE,
        tarfile.CONTTYPE,
        tarfile.GNUTYPE_SPARSE,
        tarfile.GNUTYPE_LONGLINK,
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
    ],
)
def test_nothing_but_plain_files(tmp_path: Path, kind: bytes) -> None:
    file = made(tmp_path, item(NAME, type=kind, linkname="/etc/passwd"), item("run.json", PLAN))
    with pytest.raises(RecordError, match="is no plain file"):
        unpack(file, folder(tmp_path))
    assert list(folder(tmp_path).iterdir()) == []


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(text: str, *members: tuple[tarfile.TarInfo, bytes], tail: bytes = b"") -> None:
        with pytest.raises(RecordError, match=text):
            unpack(made(tmp_path, *members, tail=tail), folder(tmp_path))

    plan = item("run.json", PLAN)
    refused("twice", plan, plan)
    refused(r"holds no run\.json", item(NAME, RECORD))
    refused("something follows its end", plan, tail=b"x" * 20_000)
    refused("something follows its end", plan, tail=b"\0" * 20_000)
    refused("larger than 8192 KiB", item("run.json", b" " * (8 * 2**20 + 1)))
    monkeypatch.setattr(parcel, "MOST_FILES", 2)
    refused("more than 2 files", *(item(f"cases/{name}.json") for name in "abc"))
    monkeypatch.setattr(parcel, "RUN_LIMIT_BYTES", 2**20)
    refused("unpacks to more than 1 MiB", item("a", b" " * 2**19), item("b", b" " * 2**20))
    monkeypatch.setattr(parcel, "PARCEL_LIMIT_BYTES", 100)
    refused("larger than 0 KiB", plan)


def bomb(blob: bytes) -> bytes:
    """Zeros without end: 64 MiB from 64 KiB, and no header among them."""
    return gzip.compress(blob + b"\0" * 2**26)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda blob: b"no archive", "Not a gzipped file"),
        (lambda blob: gzip.compress(b""), "cut off"),
        (lambda blob: gzip.compress(blob[:700]), "cut off"),
        (lambda blob: gzip.compress(blob[:1000] + b"x" * 512 + blob[1512:]), "."),
        (lambda blob: gzip.compress(blob)[:-20], "."),
        (lambda blob: gzip.compress(blob)[:-5] + b"xxxxx", "."),
        (bomb, "something follows"),
    ],
)
def test_damage(tmp_path: Path, change: Callable[[bytes], bytes], text: str) -> None:
    file = made(tmp_path, item("run.json", PLAN), item(NAME, RECORD))
    file.write_bytes(change(gzip.decompress(file.read_bytes())))
    with pytest.raises(RecordError, match=text):
        unpack(file, folder(tmp_path))


def test_sizes_that_no_file_has(tmp_path: Path) -> None:
    file = made(tmp_path, item("run.json", PLAN))
    blob = bytearray(gzip.decompress(file.read_bytes()))
    for size in (b"\xff" * 12, b"\x80" + b"\xff" * 11, b"77777777777\0"):
        blob[124:136] = size
        blob[148:156] = b" " * 8
        blob[148:156] = b"%06o\0 " % sum(blob[:512])
        file.write_bytes(gzip.compress(bytes(blob)))
        with pytest.raises(RecordError, match="larger than"):
            unpack(file, folder(tmp_path))


def test_a_pipe_or_a_folder_is_no_parcel(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", ".", "none"):
        with pytest.raises(RecordError):
            unpack(tmp_path / name, folder(tmp_path))


def test_whatever_is_changed_is_refused_in_one_line_or_loads(tmp_path: Path) -> None:
    file = made(tmp_path, item("run.json", PLAN), item(NAME, RECORD))
    blob = gzip.decompress(file.read_bytes())
    random_ = random.Random(8)
    outcomes = set()
    for number in range(300):
        changed = bytearray(blob)
        for _ in range(random_.choice((1, 1, 4))):
            changed[random_.randrange(512)] = random_.randrange(256)
        if number % 2:  # with a checksum that fits
            changed[148:156] = b" " * 8
            changed[148:156] = b"%06o\0 " % sum(changed[:512])
        file.write_bytes(gzip.compress(bytes(changed), 1))
        target = tmp_path / f"unpacked-{number}"
        target.mkdir()
        try:
            unpack(file, target).load()
            outcomes.add("loads")
        except HarnessError as error:
            assert error.line.isprintable()
            outcomes.add("refused")
        with suppress(OSError, zlib.error):
            assert {path.name for path in target.rglob("*")} <= {
                "run.json", "cases", "e2e-inpainting-eager.json"
            }  # fmt: skip
    assert outcomes == {"loads", "refused"}
