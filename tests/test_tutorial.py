"""docs/tutorial.md: every command in it runs, for real or in dry mode, in the order given.

The blocks are one script in a copy of the project, so that what one sets the next one has. The
block that sets up is not run: it is the README's, which CI's own set-up is held to.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "tutorial.md").read_text()
BLOCK = re.compile(r"^<!-- tutorial: (\w+) -->\n```sh\n(.*?)^```$", re.M | re.S)
DRY = " --dry-run"
FOLDERS = ("harness", "locks", "templates", "docs")


def blocks() -> list[tuple[str, str]]:
    return [(how, text) for how, text in BLOCK.findall(TEXT)]


def test_every_block_says_how_it_is_tested() -> None:
    assert len(blocks()) == len(re.findall(r"^```sh$", TEXT, re.M))
    assert {how for how, _ in blocks()} == {"setup", "run", "dry"}


def test_the_set_up_is_the_readmes() -> None:
    (setup,) = (text for how, text in blocks() if how == "setup")
    readme = (ROOT / "README.md").read_text()
    found = re.search(r"^<!-- command: bench -->\n```sh\n(.*?)^```$", readme, re.M | re.S)
    assert found is not None
    assert setup.strip() == found[1].rpartition(" &&\n")[0].strip()


def script() -> str:
    lines = ["set -eux"]
    for how, text in blocks():
        if how == "run":
            lines.append(text)
        elif how == "dry":
            lines += [line + DRY for line in text.splitlines()]
    return "\n".join(lines)


@pytest.mark.slow
def test_every_command_of_the_tutorial_works(tmp_path: Path) -> None:
    """On the CPU, without an engine."""
    for folder in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    for name in ("tasks.py", "Dockerfile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".vace-bench-commit").write_text("0123456789abcdef" * 2 + "01234567 clean\n")
    program = tmp_path / ".venv" / "bin" / "invoke"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m invoke "$@"\n')
    program.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "DOCKER_CONTEXT"}
    environment |= {
        "DOCKER_HOST": "unix:///nonexistent/docker.sock",
        "CUDA_VISIBLE_DEVICES": "",
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(tmp_path),
    }
    answer = subprocess.run(
        ["bash", "-c", script()],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert (tmp_path / "mine.tar.gz").is_file()
    assert "name neither host nor user" in answer.stdout
    assert re.search(
        r"(?m)^\d{8}-\d{6}-mine$", answer.stdout
    )  # a quiet run prints its report alone
    (run,) = (tmp_path / "reports" / "cpu").iterdir()
    assert f"repeats run {run.name}" in answer.stdout
