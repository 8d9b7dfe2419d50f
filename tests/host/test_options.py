from pathlib import Path

import pytest

from harness.errors import StorageError, UsageError
from harness.host.options import BenchOptions, keep, parse_cpus, recall, state_path


def test_none_stands_for_the_default() -> None:
    assert BenchOptions.parse({"matrix": "quick", "gpu": None, "offline": False}) == BenchOptions()


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"runtime": "podman"}, "--runtime 'podman' is unknown; choose one of auto, docker, local"),
        ({"device": "tpu"}, "--device 'tpu'"),
        ({"dtype": "float8"}, "--dtype 'float8' is unknown; choose one of bfloat16, float16"),
        ({"preset": "huge"}, "--preset 'huge'"),
        ({"size": "100x64"}, "not a multiple of 16"),
        ({"wheelhouse": "/nonexistent"}, "is no folder"),
        ({"colour": "red"}, "colour"),
        ({"budget": "soon"}, "--budget 'soon' is no number of minutes"),
        ({"budget": "-1"}, "--budget '-1' is no number of minutes"),
        ({"processes": "many"}, "--processes 'many' is no number from 1 to 50"),
        ({"processes": "0"}, "--processes '0'"),
        ({"processes": "51"}, "--processes '51'"),
    ],
)
def test_options_are_checked(given: dict[str, str], problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        BenchOptions.parse(given)
    assert problem in caught.value.line


def test_a_list_of_cpus() -> None:
    assert parse_cpus("0-3,8") == {0, 1, 2, 3, 8}
    for text in ("", "3-1", "a", "1,", "-1", "99999"):
        with pytest.raises(UsageError, match="is no list of CPUs"):
            parse_cpus(text)


def test_numbers_of_a_run() -> None:
    options = BenchOptions.parse({"budget": "1.5", "processes": "4"})
    assert (options.budget_min, options.process_count) == (1.5, 4)
    assert (BenchOptions().budget_min, BenchOptions().process_count) == (None, None)


def test_paths_are_published_as_placeholders(tmp_path: Path) -> None:
    options = BenchOptions(video="a.mp4", weights=str(tmp_path))
    assert options.placeholders == {Path("a.mp4"): "<video>", tmp_path: "<weights>"}
    assert BenchOptions(matrix="mine.toml").placeholders == {}
    outside = str(tmp_path / "mine.toml")
    assert BenchOptions(matrix=outside).placeholders == {Path(outside): "<matrix>"}
    assert options.clips == {"video": Path("a.mp4")}


def test_a_run_s_options_survive_for_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = state_path("run-1", {"XDG_STATE_HOME": str(tmp_path)})
    monkeypatch.chdir(tmp_path)
    keep(BenchOptions(video="a.mp4", gpu="1"), path)
    assert path.stat().st_mode & 0o077 == 0
    recalled = recall({"matrix": "quick", "gpu": None, "resume": "run-1"}, path)
    assert recalled.video == str(tmp_path / "a.mp4")
    assert recalled.gpu == "1"
    assert recall({"video": "b.mp4"}, path).video == "b.mp4"


def test_the_cases_that_were_asked_for_once_are_not_asked_for_again(tmp_path: Path) -> None:
    """The run's plan holds them; repeated, it is whole."""
    keep(BenchOptions(only="e2e-*", gpu="1"), tmp_path / "run.json")
    assert recall({}, tmp_path / "run.json") == BenchOptions(gpu="1")
    assert recall({"only": "paired-*"}, tmp_path / "run.json").only == "paired-*"


def test_a_run_of_another_machine_has_defaults(tmp_path: Path) -> None:
    assert recall({"resume": "run-1"}, tmp_path / "no.json").video is None


def test_state_that_cannot_be_kept_or_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("{")
    with pytest.raises(StorageError, match="cannot be kept"):
        keep(BenchOptions(), tmp_path / "file" / "run.json")
    with pytest.raises(StorageError, match="damaged"):
        recall({}, tmp_path / "file")
