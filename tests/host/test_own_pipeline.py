"""A pipeline of one's own on the host: read, hashed and handed on, never executed."""

import hashlib
import tarfile
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.host.archives import packed
from harness.host.options import BenchOptions
from harness.host.own_pipeline import LIMIT_BYTES, prepare_pipeline
from harness.host.plan import Plan, new_plan, resumed_plan
from tests.host.test_plan import bare
from tests.samples import case, manifest

SOURCE = "open('executed', 'w')\n\ndef build(wish):\n    return wish\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "temporary"
    made.mkdir()
    return made


def write(tmp_path: Path, text: str | bytes = SOURCE, name: str = "My_pipe.py") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def planned(path: Path, folder: Path, **options: str) -> Plan:
    return new_plan(BenchOptions.parse({"pipeline": str(path), **options}), bare, folder, folder)


def test_the_copy_is_read_only_and_later_edits_do_not_reach_it(
    tmp_path: Path, folder: Path
) -> None:
    path = write(tmp_path)
    own = prepare_pipeline(path, folder)
    path.write_text("changed")
    assert (own.name, own.file) == ("my-pipe", "My_pipe.py")
    assert own.sha256 == hashlib.sha256(SOURCE.encode()).hexdigest()
    assert own.copy.read_text() == SOURCE
    assert own.copy.stat().st_mode & 0o777 == 0o444
    assert not list(tmp_path.rglob("executed"))


def test_it_stays_read_only_in_the_container_s_archive(tmp_path: Path, folder: Path) -> None:
    own, clip = prepare_pipeline(write(tmp_path), folder), write(folder, b"clip", "clip")
    files = {"job.json": b"{}"}
    with packed(files, [own.copy, clip], {}) as archive, tarfile.open(fileobj=archive) as tar:
        modes = {item.name: item.mode for item in tar}
    assert modes == {"job.json": 0o644, "pipeline.py": 0o444, "clip": 0o644}


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("pipe.txt", SOURCE, "'pipe.txt' is no name for a pipeline"),
        ("my pipe.py", SOURCE, "'my pipe.py' is no name"),
        (f"{'x' * 33}.py", SOURCE, "use up to 32 letters"),
        ("pipe.py", "def build(:", "is no Python, line 1"),
        ("pipe.py", b"\x00", "is no Python"),
        ("pipe.py", "def make(wish): ...", "has no function build(wish)"),
        ("pipe.py", b"#" * (LIMIT_BYTES + 1), "is larger than 1024 KiB"),
    ],
)
def test_what_cannot_be_a_pipeline_is_refused(
    tmp_path: Path, folder: Path, name: str, text: str | bytes, problem: str
) -> None:
    with pytest.raises(UsageError) as caught:
        prepare_pipeline(write(tmp_path, text, name), folder)
    assert problem in caught.value.line


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be read \(No such file"):
        prepare_pipeline(tmp_path / "none.py", tmp_path)


def test_the_plan_is_of_the_pipeline_alone(tmp_path: Path, folder: Path) -> None:
    plan = planned(write(tmp_path), folder)
    (only,) = plan.cases
    assert plan.pipeline is not None
    assert (plan.matrix, only.id, only.profile) == ("own", "e2e-own-my-pipe", True)
    assert only.pipeline_sha256 == plan.pipeline.sha256


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"weights": "w"}, "--weights is for the built-in workload"),
        ({"video": "v.mp4"}, "--video is for the built-in workload"),
        ({"variant": "ring-cache"}, "--variant is for the built-in workload"),
        ({"matrix": "full"}, "cannot be run with --pipeline"),
    ],
)
def test_options_of_the_built_in_workload_are_refused(
    tmp_path: Path, folder: Path, options: dict[str, str], problem: str
) -> None:
    with pytest.raises(UsageError) as caught:
        planned(write(tmp_path), folder, **options)
    assert problem in caught.value.line


def test_a_run_goes_on_with_the_same_file_only(tmp_path: Path, folder: Path) -> None:
    path = write(tmp_path)
    kept = manifest(*planned(path, folder).cases)
    options = BenchOptions(pipeline=str(path))
    (folder / "pipeline.py").unlink()
    resumed = resumed_plan(kept, options, bare, folder)
    assert resumed.pipeline is not None and resumed.pipeline.file == "My_pipe.py"
    path.write_text(SOURCE + "#")
    (folder / "pipeline.py").unlink()
    with pytest.raises(UsageError, match="pipeline 'my-pipe' of another content"):
        resumed_plan(kept, options, bare, folder)
    with pytest.raises(UsageError, match="give --pipeline the file as it was"):
        resumed_plan(kept, BenchOptions(), bare, folder)
    (folder / "pipeline.py").unlink()
    with pytest.raises(UsageError, match="leave --pipeline out"):
        resumed_plan(manifest(case()), options, bare, folder)


def test_the_command_shows_the_file_s_name_and_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "pipe.py"
    assert BenchOptions(pipeline=str(path)).placeholders == {path: "pipe.py"}
