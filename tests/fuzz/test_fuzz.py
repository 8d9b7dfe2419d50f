"""Every loader: its corpus is accepted, old crashers are refused, and fuzzing finds no new one.

VACE_BENCH_FUZZ_S is the time for each loader in seconds, 5 unless set.
"""

import importlib.util
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError
from tests.fuzz.campaign import CORPUS, Campaign, CannotFuzzError
from tests.fuzz.loaders import LOADERS
from tests.fuzz.mutation import MUTATIONS

SECONDS = float(os.environ.get("VACE_BENCH_FUZZ_S", "5"))
FUZZED = ("record", "matrix", "trace")
REGRESSIONS = Path(__file__).parent / "regressions"
# A CPU's trace has no device events, and the loader goes on to read it as a GPU's.
REFUSED = {"one.json.gz"}
MOST_CORPUS_BYTES = 80_000

needs_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this platform"
)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", files(CORPUS), ids=lambda path: path.name)
def test_the_corpus_is_accepted(path: Path) -> None:
    loader = LOADERS[path.parent.name]
    if path.name in REFUSED:
        with pytest.raises(HarnessError, match="no device events"):
            loader(path.read_bytes())
    else:
        loader(path.read_bytes())


def test_the_corpus_stays_small_and_covers_every_loader() -> None:
    assert sum(path.stat().st_size for path in files(CORPUS)) < MOST_CORPUS_BYTES
    assert {path.name for path in CORPUS.iterdir()} == set(FUZZED)


@pytest.mark.parametrize("path", files(REGRESSIONS), ids=lambda path: path.name)
def test_what_once_crashed_is_refused_or_read(path: Path) -> None:
    try:
        LOADERS[path.parent.name](path.read_bytes())
    except HarnessError as error:
        assert error.line.isprintable()


@pytest.mark.parametrize("path", files(CORPUS), ids=lambda path: path.name)
def test_changes_that_know_the_format_are_the_same_for_a_seed(path: Path) -> None:
    mutation, blob = MUTATIONS[path.parent.name], path.read_bytes()
    changed = [mutation(blob, seed) for seed in range(100)]
    assert changed == [mutation(blob, seed) for seed in range(100)]
    assert len(set(changed)) > 50


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(files(CORPUS)), st.integers(0, 2**32 - 1), st.binary(max_size=3))
def test_a_changed_file_is_accepted_or_refused(path: Path, seed: int, noise: bytes) -> None:
    """On every platform, without coverage to guide it."""
    name = path.parent.name
    blob = MUTATIONS[name](path.read_bytes(), seed) or path.read_bytes()
    at = seed % (len(blob) + 1) if noise else 0
    with suppress(HarnessError):
        LOADERS[name](blob[:at] + noise + blob[at + len(noise) :])


@needs_atheris
@pytest.mark.parametrize("name", FUZZED)
def test_fuzzing_finds_no_crash(name: str, tmp_path: Path) -> None:
    campaign = Campaign(name, SECONDS, 1, tmp_path)
    campaign.run(print)
    print(campaign.row)
    told = [path.read_text() for path in tmp_path.glob("*.txt")]
    assert campaign.crashes == 0, "\n".join(told)
    assert campaign.counts["executions"] > 10
    assert campaign.edges > 100


@needs_atheris
def test_a_planted_crash_is_found_and_kept(tmp_path: Path) -> None:
    """Behind two comparisons of a byte each: coverage leads there."""
    campaign = Campaign("planted", 120, 3, tmp_path)
    campaign.run(print, stop_at_crash=True)
    assert campaign.crashes > 0
    (crash,) = tmp_path.glob("crash-ZeroDivisionError-planted-*[0-9]")
    assert crash.read_bytes().startswith(b"BG")
    assert "planted" in crash.with_name(f"{crash.name}.txt").read_text()
    assert "| planted | 3 |" in campaign.row


@needs_atheris
def test_an_input_that_ends_the_process_is_a_crash_too(tmp_path: Path) -> None:
    campaign = Campaign("deadly", 60, 1, tmp_path)
    campaign.run(print, stop_at_crash=True)
    assert campaign.deaths > 0
    assert list(tmp_path.glob("death-*.txt"))


@needs_atheris
def test_a_worker_that_does_not_start_is_told(tmp_path: Path) -> None:
    with pytest.raises(CannotFuzzError, match="unknown"):
        Campaign("unknown", 5, 1, tmp_path).run(print)


@needs_atheris
def test_the_command_ends_with_a_row_of_the_table(tmp_path: Path) -> None:
    command = [*(sys.executable, "-m", "tests.fuzz", "--loader", "matrix", "--seconds", "2")]
    answer = subprocess.run(
        [*command, "--state", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines()[-1].startswith("| matrix | 1 | ")
