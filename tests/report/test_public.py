"""harness.report.public: a run that says too much is refused, with the place and nothing more."""

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.errors import PrivacyError
from harness.identifying import Names, names_of_host
from harness.report.public import check_public, scan
from harness.report.render import render_all, render_run
from harness.store import runs
from tests.records import build
from tests.report import made_limit

ROOT = Path(__file__).resolve().parents[2]
NAMES = Names({"lovelace": "host name", "charles": "user name"})
UUID = "GPU-01234567-89ab-cdef-0123-456789abcdef"
CASE = "cases/e2e-text-eager.json"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = build.cpu_run(tmp_path / "reports")
    render_run(folder)
    return folder


def plant(file: Path, path: tuple[str | int, ...], text: str) -> None:
    """Puts a text at a place of a JSON file."""
    document: Any = json.loads(file.read_text())
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = text
    file.write_text(json.dumps(document))


def test_a_run_that_names_nobody_passes(run: Path) -> None:
    assert check_public(run, NAMES) == len([path for path in run.rglob("*") if path.is_file()])


def test_frames_name_nobody_by_chance(tmp_path: Path) -> None:
    """Enough noise to spell a name of three letters, and paths, in base64."""
    folder = made_limit.run(tmp_path, name="fastest", processes=1)
    noise = random.Random(1)
    for record in (folder / "cases").glob("quality-*.json"):
        proof = json.loads(record.read_text())
        for frame in proof["frames"]:
            frame |= {"width_px": 128, "height_px": 128, "rgb": noise.randbytes(3 * 128**2).hex()}
            frame["difference"] = frame["arm"] and noise.randbytes(128**2).hex()
        record.write_text(json.dumps(proof))
    render_run(folder, web=True)
    check_public(folder, Names({"vax": "host name"}))
    figure = folder / "figures" / "frames.svg"
    figure.write_text(figure.read_text().replace("<image ", '<image title="/home/charles/x" ', 1))
    with pytest.raises(PrivacyError, match=r"frames\.svg at line"):
        check_public(folder, NAMES)


@pytest.mark.parametrize(
    ("text", "kind", "masked"),
    [
        ("made on lovelace", "host name", "lo******"),
        ("made by Charles", "user name", "Ch*****"),
        ("/home/someone/x.py", "path of a host", "/h********"),
        ("serial number 1324021012345", "serial number", "13********"),
        (UUID, "full UUID", "01********|GP********"),
        ("02:42:ac:11:00:02", "hardware address", "02********"),
        ("someone@example.org", "mail address", "so********"),
    ],
)
@pytest.mark.parametrize(
    ("file", "path", "where"),
    [
        ("run.json", ("facts", "git.commit", "value"), "/facts/git.commit/value"),
        ("run.json", ("command", 2), "/command/2"),
        (CASE, ("provenance", "torch.version", "value"), "/provenance/torch.version/value"),
        (CASE, ("flags",), "/flags"),
    ],
)
def test_each_kind_is_found_in_each_place(
    run: Path, text: str, kind: str, masked: str, file: str, path: tuple[str | int, ...], where: str
) -> None:
    plant(run / file, path, text)
    with pytest.raises(PrivacyError) as caught:
        check_public(run, NAMES)
    line = caught.value.line
    assert f"{run.name}: {file} at {where} holds a {kind} (" in line
    assert any(f"({one})" in line for one in masked.split("|"))
    assert text.split()[-1] not in line


def test_keys_and_names_of_files_are_scanned(run: Path) -> None:
    plant(run / CASE, ("provenance", "lovelace"), "x")
    with pytest.raises(PrivacyError, match="at a key of /provenance holds a host name"):
        check_public(run, NAMES)
    (run / CASE).rename(run / "cases/charles.json")
    with pytest.raises(PrivacyError, match=r"cases/ch\*+\.json at its name holds a user name"):
        check_public(run, NAMES)


@pytest.mark.parametrize("name", ["report.md", "figures/stages.svg"])
def test_pages_and_figures_are_scanned_as_they_are_read(run: Path, name: str) -> None:
    page = run / name
    lines = page.read_text().count("\n") + 1
    page.write_text(page.read_text() + "<!-- someone&#64;example.org -->\n")
    with pytest.raises(PrivacyError, match=rf"{name} at line {lines} holds a mail address"):
        check_public(run, NAMES)


def test_escapes_hide_nothing(run: Path) -> None:
    text = (run / CASE).read_text().replace('"flags": []', '"flags": ["\\u006covelace"]')
    assert "lovelace" not in text and "u006c" in text
    (run / CASE).write_text(text)
    with pytest.raises(PrivacyError, match="host name"):
        check_public(run, NAMES)


@pytest.mark.parametrize(
    "blob", [b"\xff\xfe", b"{", b'{"a": 1, "a": 2}', b"[" * 100_000], ids=lambda blob: blob[:4]
)
def test_what_cannot_be_read_is_not_passed(run: Path, blob: bytes) -> None:
    (run / CASE).write_bytes(blob)
    with pytest.raises(PrivacyError, match=rf"{CASE} cannot be scanned .*remove it before"):
        check_public(run, NAMES)


def test_a_file_of_another_kind_or_a_link_is_not_passed(run: Path) -> None:
    (run / "notes.bin").write_bytes(b"lovelace")
    with pytest.raises(PrivacyError, match=r"notes\.bin cannot be scanned \(is no file of a run"):
        check_public(run, NAMES)
    (run / "notes.bin").unlink()
    (run / "x.json").symlink_to("/etc/hostname")
    with pytest.raises(PrivacyError, match=r"x\.json is a link"):
        check_public(run, NAMES)


def test_traces_stay_out_as_they_do_in_version_control(run: Path) -> None:
    before = check_public(run, NAMES)
    (run / "traces").mkdir()
    (run / "traces/e2e.json.gz").write_bytes(b"lovelace")
    assert check_public(run, NAMES) == before


def test_every_stored_run_is_public() -> None:
    names = Names(names_of_host())
    for path in runs(ROOT / "reports"):
        assert check_public(path, names) >= 4  # plan, a record, report, a figure


def test_the_index_is_scanned_too(run: Path) -> None:
    reports = run.parents[1]
    pages = render_all(reports)
    assert [line.partition(" ")[0] for line in scan(pages)] == [
        f"{run.name}:",
        f"{run.parent.name}/README.md",
        f"{reports.name}/README.md",
    ]
    (reports / "README.md").write_text(UUID)
    with pytest.raises(PrivacyError, match=r"README\.md at line 1 holds a full UUID"):
        list(scan(pages))


def test_the_command_says_it_in_one_line(run: Path) -> None:
    command = [sys.executable, "-m", "invoke", "report", "--run", str(run), "--public"]
    environment = os.environ | {"USER": "charles"}
    answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert re.search(rf"{run.name}: \d+ files name neither host nor user", answer.stdout)
    plant(run / "run.json", ("runtime_reason",), "charles said so")
    answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert answer.returncode == 2
    (line,) = answer.stderr.splitlines()
    assert line.startswith(f"error: run {run.name}: ")
    assert "run.json at /runtime_reason holds a user name (ch*****)" in line
    assert "charles" not in line
