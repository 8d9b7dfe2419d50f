"""harness.compact: a large record takes less room, and is read like any other or refused."""

import gzip
from pathlib import Path

import pytest

from harness import compact, store
from harness.compact import compacted, read_document
from harness.errors import RecordError, StorageError
from harness.store import RunFolder
from tests import samples

EAGER, TEXT = samples.case(), samples.case(mode="text")
LIMIT = 1 << 16


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    folder = RunFolder.create(tmp_path, samples.manifest(EAGER, TEXT))
    large, small = folder.save(samples.result(EAGER)), folder.save(samples.failure(TEXT))
    monkeypatch.setattr(store, "COMPACT_FROM_BYTES", large.stat().st_size)
    assert small.stat().st_size < large.stat().st_size
    return folder


def test_a_compacted_run_says_the_same(folder: RunFolder) -> None:
    before = folder.load()
    (done,) = folder.compact()
    assert done.name == "e2e-inpainting-eager.json.gz"
    assert sorted(path.name for path in done.parent.iterdir()) == [
        "e2e-inpainting-eager.json.gz",
        "e2e-text-eager.failed-1.json",
    ]
    assert folder.load() == before
    assert folder.compact() == []


def test_a_compacted_failure_is_still_known(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "COMPACT_FROM_BYTES", 1)
    before = folder.load()
    assert len(folder.compact()) == 2
    assert folder.load() == before
    assert folder.load().failures
    assert folder.save(samples.failure(TEXT)).name == "e2e-text-eager.failed-2.json"


def test_a_compacted_record_is_not_written_again(folder: RunFolder) -> None:
    folder.compact()
    with pytest.raises(StorageError, match="never overwritten"):
        folder.save(samples.result(EAGER, flags=["other"]))


def test_a_compaction_that_was_cut_off_loses_nothing(folder: RunFolder) -> None:
    before = folder.load()
    half = folder.path / "cases" / "e2e-inpainting-eager.json.gz"
    half.write_bytes(b"half")
    assert folder.load() == before
    folder.compact()
    assert folder.load() == before
    assert [path.name for path in half.parent.glob(f"{EAGER.id}*")] == [half.name]


def test_the_same_document_makes_the_same_bytes() -> None:
    assert compacted(b"{}" * 99) == compacted(b"{}" * 99)
    assert gzip.decompress(compacted(b"{}")) == b"{}"


@pytest.mark.parametrize(
    ("blob", "why"),
    [
        (b"no gzip", "damaged"),
        (compacted(bytes(LIMIT + 1)), "larger than 64 KiB"),
        (compacted(b"{}")[:-1], "cut off"),
        (compacted(b"{}") * 2, "goes on after its end"),
        (b"", "cut off"),
    ],
)
def test_what_is_no_wrapped_document_is_refused(tmp_path: Path, blob: bytes, why: str) -> None:
    path = tmp_path / "a.json.gz"
    path.write_bytes(blob)
    with pytest.raises(ValueError, match=why):
        read_document(path, LIMIT)


def test_a_bomb_is_refused_by_the_run_without_being_unpacked(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (done,) = folder.compact()
    done.write_bytes(compacted(bytes(1 << 26)))
    monkeypatch.setattr(compact.gzip, "decompress", lambda *_: pytest.fail("unpacked whole"))
    with pytest.raises(RecordError, match="larger than 8192 KiB"):
        folder.load()
