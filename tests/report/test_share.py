"""harness.report.share: a run leaves as one file, and comes in the same to the byte, or not."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import msgspec
import pytest

from harness.errors import HarnessError, PrivacyError, RecordError, ReportError, UsageError
from harness.origin import ADDED, origin
from harness.parcel import pack
from harness.report.render import render_index, render_run
from harness.report.share import ASIDE, add, share
from harness.result import Result, decode, encode
from harness.store import RunFolder
from tests.records import build
from tests.report.test_public import plant

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = build.cpu_run(tmp_path / "reports")
    (folder / "traces").mkdir()
    (folder / "traces/e2e-text-eager.json.gz").write_bytes(b"a trace")
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    reports = tmp_path / "elsewhere"
    reports.mkdir()
    return reports


def sent(run: Path) -> Path:
    """The run packed as it is, without the checks of `share`."""
    target = run.parents[2] / "parcel.tar.gz"
    target.unlink(missing_ok=True)
    pack(RunFolder(run), target)
    return target


def test_a_run_arrives_the_same_and_without_traces(
    run: Path, elsewhere: Path, tmp_path: Path
) -> None:
    said = share(run.parents[1], run.name, str(tmp_path / "x.tar.gz"))
    assert "name neither host nor user" in said
    report, *pages = add(elsewhere, str(tmp_path / "x.tar.gz"))
    there = elsewhere / "cpu" / run.name
    assert report == there / "report.md"
    assert pages[-1] == elsewhere / "README.md"
    assert run.name in pages[-1].read_text()
    names = {path.relative_to(run) for path in run.rglob("*") if path.is_file()}
    kept = {name for name in names if name.parts[0] != "traces"}
    arrived = {path.relative_to(there) for path in there.rglob("*") if path.is_file()}
    assert arrived == {*kept, Path(ADDED)}
    assert all((run / name).read_bytes() == (there / name).read_bytes() for name in kept)
    assert list(elsewhere.glob(f"{ASIDE}*")) == []


def test_the_index_tells_a_contributed_run_from_ours(run: Path, elsewhere: Path) -> None:
    *_, index = add(elsewhere, str(sent(run)), by="  R2 | <b>D2</b>\n")
    (row,) = (line for line in index.read_text().splitlines() if run.name in line)
    assert "| contributed by R2 " in row and "<b>" not in row
    ours = render_index(run.parents[1])[-1].read_text()
    (row,) = (line for line in ours.splitlines() if run.name in line)
    assert row.endswith("| ours |")
    packed = sent(elsewhere / "cpu" / run.name)
    with tarfile.open(packed) as archive:
        assert ADDED not in archive.getnames()


@pytest.mark.parametrize("by", ["x" * 61, "a\x1bb"])
def test_a_name_that_could_not_be_shown_is_refused(run: Path, elsewhere: Path, by: str) -> None:
    with pytest.raises(UsageError, match="--by"):
        add(elsewhere, str(sent(run)), by=by)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("blob", [b"{", b'{"added_utc": "yesterday"}', b'{"by": 1}'])
def test_a_damaged_origin_is_named(run: Path, blob: bytes) -> None:
    (run / ADDED).write_bytes(blob)
    with pytest.raises(RecordError, match=r"added\.json of run"):
        origin(RunFolder(run))


def test_what_names_its_host_is_not_packed(run: Path, tmp_path: Path) -> None:
    plant(run / "run.json", ("runtime_reason",), "as someone@example.org said")
    with pytest.raises(PrivacyError, match=r"run\.json at /runtime_reason holds a mail address"):
        share(run.parents[1], run.name, str(tmp_path / "x.tar.gz"))
    assert not (tmp_path / "x.tar.gz").exists()


def test_a_run_that_is_there_stays_as_it_is(run: Path) -> None:
    before = (run / "run.json").stat()
    with pytest.raises(UsageError, match="is there already, in cpu/"):
        add(run.parents[1], str(sent(run)))
    after = (run / "run.json").stat()  # reading may change the time of access
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert (run / "traces/e2e-text-eager.json.gz").exists()


def test_what_could_not_be_published_is_not_added(run: Path, elsewhere: Path) -> None:
    record = run / "cases/e2e-text-eager.json"
    whole = record.read_text()
    plant(record, ("flags",), "someone@example.org")
    with pytest.raises(RecordError, match="damaged"):
        add(elsewhere, str(damaged(run)))
    record.write_text(whole.replace('"flags": []', '"flags": ["someone@example.org"]'))
    with pytest.raises(PrivacyError, match="mail address"):
        add(elsewhere, str(sent(run)))
    result = decode(whole.encode(), name="whole")
    assert isinstance(result, Result)
    facts = {key: fact for key, fact in result.provenance.items() if key != "git.commit"}
    record.write_bytes(encode(msgspec.structs.replace(result, provenance=facts)))
    with pytest.raises(ReportError, match=r"neither git\.commit nor why"):
        add(elsewhere, str(sent(run)))
    assert list(elsewhere.iterdir()) == []


def damaged(run: Path) -> Path:
    """A parcel of a run that does not load, as a stranger could make it."""
    target = run.parents[2] / "damaged.tar.gz"
    with tarfile.open(target, "w:gz", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(run.glob("**/*.json")):
            archive.add(path, path.relative_to(run).as_posix())
    return target


def test_a_run_without_a_finished_case_is_not_added(run: Path, elsewhere: Path) -> None:
    for path in run.glob("cases/*.json"):
        path.unlink()
    with pytest.raises(UsageError, match="holds no finished case"):
        add(elsewhere, str(sent(run)))


def test_what_a_killed_one_left_is_removed(run: Path, elsewhere: Path) -> None:
    left = elsewhere / f"{ASIDE}x/unchecked/run"
    left.mkdir(parents=True)
    (left / "run.json").write_text("{")
    add(elsewhere, str(sent(run)))
    assert not left.exists()


def test_a_plan_of_another_name_leads_nowhere(run: Path, elsewhere: Path) -> None:
    for name in ("../../x", "/x", ".hidden"):
        plan = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps(plan | {"run_id": name}))
        with pytest.raises(HarnessError, match="invalid name"):
            add(elsewhere, str(damaged(run)))
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("gpu_slug", ["nvidia-h200", "comparisons", "cpu2"])
def test_a_run_cannot_come_in_among_those_of_another_gpu(
    run: Path, elsewhere: Path, gpu_slug: str
) -> None:
    plan = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(plan | {"gpu_slug": gpu_slug}))
    with pytest.raises(RecordError, match=rf"its plan is of {gpu_slug}, its record .* of cpu"):
        add(elsewhere, str(damaged(run)))
    assert list(elsewhere.iterdir()) == []


def test_a_run_under_another_name_is_known(run: Path) -> None:
    reports, name = run.parents[1], run.name
    plan = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(plan | {"run_id": "20261123-070000-other"}))
    parcel = damaged(run)
    (run / "run.json").write_text(json.dumps(plan))
    with pytest.raises(UsageError, match=f"is there already as {name}, in cpu/"):
        add(reports, str(parcel))


def test_what_is_wrong_is_told_with_the_file(run: Path, elsewhere: Path) -> None:
    (run / "run.json").write_text("{}")
    with pytest.raises(RecordError, match=r"^damaged\.tar\.gz: .*; nothing was added; ask"):
        add(elsewhere, str(damaged(run)))


def test_the_commands(run: Path, tmp_path: Path) -> None:
    render_run(run)

    def invoke(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "invoke", "-r", str(ROOT), *arguments],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True,
        )  # fmt: skip

    packed = invoke("share", "--run", str(run))
    assert packed.returncode == 0, packed.stderr
    file = tmp_path / f"cpu-{run.name}.tar.gz"
    assert f"invoke add --file {file.name}" in packed.stdout and file.is_file()
    again = invoke("share", "--run", str(run))
    assert (again.returncode, "never overwritten" in again.stderr) == (2, True)
    refused = invoke("add", "--file", "none.tar.gz")
    assert refused.returncode == 2, refused.stdout
    assert refused.stderr == "error: none.tar.gz cannot be read (No such file or directory); " \
        "check the path\n"  # fmt: skip
