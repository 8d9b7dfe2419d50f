"""The stored runs under reports/: they load, stay small, and tell nothing about a host."""

import json
import re
from pathlib import Path

import pytest

from harness.compact import document_name, read_document
from harness.report.compare import compare_runs
from harness.report.public import EXCERPT_LIMIT_BYTES, TRACES
from harness.store import RunFolder, runs

REPORTS = Path(__file__).resolve().parent.parent / "reports"
# The runs of two models of GPU fill 12 MiB; the next ones need room, and a clone stays quick.
LIMIT_BYTES = 20 * 2**20
FULL_UUID = re.compile(r"(GPU|MIG)-[0-9a-f]{8}-[0-9a-f]{4}-")
HOST_PATH = re.compile(r"/(home|root|Users|mnt|work)/\w")

STORED = runs(REPORTS)
COMPARISONS = sorted(path.parent for path in REPORTS.glob("comparisons/*/comparison.json"))


def test_all_stored_runs_together_stay_small() -> None:
    files = [path for path in REPORTS.rglob("*") if path.is_file() and path.parent.name != TRACES]
    assert sum(path.stat().st_size for path in files) < LIMIT_BYTES


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.name)
def test_a_stored_run_loads(path: Path) -> None:
    run = RunFolder(path).load()
    assert (run.manifest.run_id, run.manifest.gpu_slug) == (path.name, path.parent.name)


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.name)
def test_a_stored_run_names_no_gpu_and_no_path_of_a_host(path: Path) -> None:
    for file in path.rglob("*"):
        if document_name(file).endswith((".json", ".md")) and file.parent.name != TRACES:
            text = read_document(file, EXCERPT_LIMIT_BYTES).decode()
            assert not FULL_UUID.search(text), file.name
            assert not HOST_PATH.search(text), file.name


@pytest.mark.parametrize("path", COMPARISONS, ids=lambda path: path.name)
def test_a_stored_comparison_is_what_its_runs_say(path: Path, tmp_path: Path) -> None:
    kept = json.loads((path / "comparison.json").read_text())
    across = ",".join(kept["across"]) or None
    compare_runs(REPORTS, a=kept["a"], b=kept["b"], across=across, out=str(tmp_path))
    for name in ("comparison.json", "comparison.md"):
        assert (path / name).read_text() == (tmp_path / name).read_text()
