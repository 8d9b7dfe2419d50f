"""harness.store: written once, on disk before the next case, and read back or refused by name."""

import errno
import os
from pathlib import Path

import msgspec
import pytest

from harness import store
from harness.errors import RecordError, StorageError, UsageError
from harness.result import SCHEMA_VERSION, encode
from harness.run import Manifest
from harness.store import MANIFEST, RunFolder, all_runs
from tests import samples

EAGER, TEXT, DEPTH = samples.case(), samples.case(mode="text"), samples.case(mode="depth")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path, samples.manifest(EAGER, TEXT, DEPTH))


def test_a_run_lies_under_its_gpu_and_reads_back(folder: RunFolder, tmp_path: Path) -> None:
    assert folder.path == tmp_path / "cpu" / "20261123-080000-quick"
    done, failed = samples.result(EAGER), samples.failure(TEXT)
    assert folder.save(done).name == "e2e-inpainting-eager.json"
    assert folder.save(failed).name == "e2e-text-eager.failed-1.json"
    run = folder.load()
    assert run.manifest == samples.manifest(EAGER, TEXT, DEPTH)
    assert (run.results, run.failures) == ({EAGER.id: done}, {TEXT.id: failed})
    assert run.missing == [TEXT.id, DEPTH.id]


def test_the_last_failure_counts_until_a_result_replaces_it(folder: RunFolder) -> None:
    for attempt in range(1, 12):
        folder.save(samples.failure(TEXT, message=f"attempt {attempt}"))
    assert folder.load().failures[TEXT.id].message == "attempt 11"
    folder.save(samples.result(TEXT))
    run = folder.load()
    assert TEXT.id in run.results
    assert TEXT.id not in run.failures
    assert len(list((folder.path / "cases").glob("*.failed-*.json"))) == 11


def test_a_lost_attempt_is_not_written_over(folder: RunFolder) -> None:
    first = folder.save(samples.failure(TEXT))
    folder.save(samples.failure(TEXT))
    first.unlink()
    assert folder.save(samples.failure(TEXT)).name == "e2e-text-eager.failed-3.json"


def test_nothing_is_overwritten(folder: RunFolder, tmp_path: Path) -> None:
    saved = folder.save(samples.result(EAGER))
    before = saved.read_bytes()
    with pytest.raises(StorageError, match="never overwritten"):
        folder.save(samples.result(EAGER, flags=["other"]))
    with pytest.raises(StorageError, match=r"run\.json exists already"):
        RunFolder.create(tmp_path, samples.manifest())
    assert saved.read_bytes() == before
    assert sorted(path.name for path in saved.parent.iterdir()) == [saved.name]


def test_a_full_disk_is_one_clear_line_and_leaves_nothing_half_written(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    kept = folder.save(samples.result(TEXT))
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match=r"No space left on device\); free space.*--resume"):
        folder.save(samples.result(EAGER))
    assert list(kept.parent.iterdir()) == [kept]
    assert folder.load().missing == [EAGER.id, DEPTH.id]


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "cpu").write_text("in the way")
    with pytest.raises(StorageError, match=r"cannot write run\.json"):
        RunFolder.create(tmp_path, samples.manifest())


def test_leftovers_of_a_killed_save_do_not_disturb(folder: RunFolder) -> None:
    saved = folder.save(samples.result(EAGER))
    (saved.parent / ".saving-abc").write_bytes(b"{")
    (saved.parent / f"{TEXT.id}.failed-x.json").write_bytes(b"{")
    assert folder.load().missing == [TEXT.id, DEPTH.id]


def test_a_run_is_found_by_id_or_by_path(folder: RunFolder, tmp_path: Path) -> None:
    assert RunFolder.find(tmp_path, folder.path.name).path == folder.path
    assert RunFolder.find(tmp_path, str(folder.path)).path == folder.path


@pytest.mark.parametrize("name", ["nope", "", "a\0b", "x" * 5000])
def test_an_unknown_run_names_the_known_ones(
    folder: RunFolder, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"(not found under|x{80}).*known: 20261123-080000-quick"):
        RunFolder.find(tmp_path, name)


def test_an_id_on_two_gpus_is_ambiguous(folder: RunFolder, tmp_path: Path) -> None:
    RunFolder.create(tmp_path, samples.manifest(gpu_slug="other"))
    with pytest.raises(UsageError, match="ambiguous"):
        RunFolder.find(tmp_path, folder.path.name)


def test_all_runs_come_in_order_of_their_names(folder: RunFolder, tmp_path: Path) -> None:
    RunFolder.create(tmp_path, samples.manifest(run_id="20261122-235959-quick", gpu_slug="other"))
    assert [run.manifest.run_id for run in all_runs(tmp_path)] == [
        "20261122-235959-quick",
        "20261123-080000-quick",
    ]


def test_a_damaged_record_is_named(folder: RunFolder) -> None:
    saved = folder.save(samples.result(EAGER))
    saved.write_bytes(saved.read_bytes()[:100])
    with pytest.raises(RecordError, match=r"quick/cases/e2e-inpainting-eager\.json is damaged"):
        folder.load()


def test_a_record_of_another_case_is_refused(folder: RunFolder) -> None:
    saved = folder.save(samples.result(EAGER))
    saved.rename(saved.with_name(f"{TEXT.id}.json"))
    with pytest.raises(RecordError, match="of another case"):
        folder.load()


def test_a_file_that_is_too_large_is_no_record(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.save(samples.result(EAGER))
    monkeypatch.setattr(store, "RECORD_LIMIT_BYTES", 10)
    with pytest.raises(RecordError, match="is larger than"):
        folder.load()


def test_a_folder_without_a_plan_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"run\.json cannot be read"):
        RunFolder(tmp_path).load()


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (samples.manifest(schema_version=SCHEMA_VERSION + 1), "upgrade vace-bench"),
        (samples.manifest(run_id="../elsewhere"), "invalid name '../elsewhere'"),
        (samples.manifest(gpu_slug="a\n"), "invalid name"),
    ],
)
def test_a_plan_that_cannot_be_trusted_is_refused(
    tmp_path: Path, plan: Manifest, message: str
) -> None:
    (tmp_path / MANIFEST).write_bytes(encode(plan))
    with pytest.raises(RecordError, match=message):
        RunFolder(tmp_path).load()


def test_a_damaged_plan_is_named(tmp_path: Path) -> None:
    plan = msgspec.to_builtins(samples.manifest()) | {"runtime": "cloud"}
    (tmp_path / MANIFEST).write_bytes(msgspec.json.encode(plan))
    with pytest.raises(RecordError, match=r"run\.json of run .* is damaged"):
        RunFolder(tmp_path).load()


def test_no_file_of_a_run_is_read_through_a_link(folder: RunFolder, tmp_path: Path) -> None:
    saved = folder.save(samples.result(EAGER))
    secret = tmp_path / "secret.json"
    saved.rename(secret)
    saved.symlink_to(secret)
    with pytest.raises(RecordError, match="is a link, which is not followed"):
        folder.load()
    saved.unlink()
    saved.symlink_to("/dev/zero")
    with pytest.raises(RecordError, match="is a link"):
        folder.load()


def test_no_folder_of_a_run_is_a_link(folder: RunFolder, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    folder.save(samples.result(EAGER))
    (folder.path / "cases").rename(elsewhere)
    (folder.path / "cases").symlink_to(elsewhere)
    (folder.path / "traces").symlink_to(elsewhere)
    before = sorted(elsewhere.iterdir())
    with pytest.raises(RecordError, match="cases is a link"):
        folder.load()
    with pytest.raises(StorageError, match=r"cases is a link.*remove the link"):
        folder.save(samples.result(TEXT))
    with pytest.raises(StorageError, match="traces is a link"):
        folder.trace(EAGER.id)
    assert sorted(elsewhere.iterdir()) == before


def test_a_plan_that_is_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / MANIFEST)
    with pytest.raises(RecordError, match="no regular file"):
        RunFolder(tmp_path).load()


def test_records_that_are_too_much_together_are_refused(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.save(samples.result(EAGER))
    folder.save(samples.result(TEXT))
    monkeypatch.setattr(store, "RUN_LIMIT_BYTES", 3000)
    with pytest.raises(RecordError, match=r"records of run .* are larger than"):
        folder.load()


def test_a_record_under_the_name_of_another_process_is_refused(folder: RunFolder) -> None:
    saved = folder.save(samples.result(EAGER, process=2))
    saved.rename(saved.with_name(f"{EAGER.id}.json"))
    with pytest.raises(RecordError, match="of another process"):
        folder.load()


def test_the_index_refuses_a_run_whose_plan_names_another_folder(
    folder: RunFolder, tmp_path: Path
) -> None:
    folder.path.rename(folder.path.with_name("20261123-080000-other"))
    with pytest.raises(RecordError, match="20261123-080000-other is that of cpu/20261123"):
        list(all_runs(tmp_path))


@pytest.mark.parametrize(
    "changes",
    [
        {"cases": []},
        {"cases": [msgspec.to_builtins(EAGER)] * 2},
        {"matrix": "a|b"},
        {"created_utc": "yesterday"},
        {"expected_s": -1},
        {"facts": {"a/b": {"value": 1}}},
        {"facts": {"": {"value": 1}}},
        {"surprise": 1},
    ],
    ids=str,
)
def test_a_plan_with_a_field_that_does_not_fit_is_refused(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    plan = msgspec.to_builtins(samples.manifest()) | changes
    (tmp_path / MANIFEST).write_bytes(msgspec.json.encode(plan))
    with pytest.raises(RecordError, match=r"run\.json of run .* is damaged"):
        RunFolder(tmp_path).load()
