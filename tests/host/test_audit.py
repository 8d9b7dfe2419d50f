"""harness.host.audit: what pip-audit could not ask about is never clean."""

import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from harness.errors import AuditError
from harness.host import audit
from harness.host.audit import judge

ROOT = Path(__file__).resolve().parents[2]
CLEAN: dict[str, Any] = {"name": "jinja2", "version": "3.1.6", "vulns": []}
# As pip-audit 2.10 wrote it: for a package with a finding, and behind a mirror without advisories.
FOUND: dict[str, Any] = {
    "name": "jinja2",
    "version": "3.1.5",
    "vulns": [
        {
            "id": "GHSA-cpwx-vrp4-4pq7",
            "fix_versions": ["3.1.6"],
            "aliases": ["CVE-2025-27516"],
            "description": "An oversight in how the sandboxed environment ...",
        }
    ],
}
SKIPPED: dict[str, Any] = {
    "name": "jinja2",
    "skip_reason": "Dependency not found on PyPI and could not be audited: jinja2 (3.1.6)",
}


def test_nothing_found_is_exit_code_0() -> None:
    answer = judge([CLEAN], "")
    assert (answer.exit_code, answer.text) == (
        0,
        "1 packages audited, 0 findings to be dealt with",
    )


def test_a_finding_is_exit_code_1_with_what_fixes_it() -> None:
    answer = judge([CLEAN, FOUND], "")
    assert answer.exit_code == 1
    assert "jinja2 3.1.5: GHSA-cpwx-vrp4-4pq7, CVE-2025-27516: fixed in 3.1.6" in answer.text


@pytest.mark.parametrize("name", ["GHSA-cpwx-vrp4-4pq7", "CVE-2025-27516"])
def test_a_finding_that_is_explained_is_told_and_passes(name: str) -> None:
    answer = judge([FOUND], f"- {name}: the sandbox is not used")
    assert answer.exit_code == 0
    assert "explained in docs/audit.md" in answer.text


def test_a_package_that_was_skipped_is_an_error() -> None:
    with pytest.raises(AuditError, match=r"1 of 2 packages could not be audited \(jinja2"):
        judge([CLEAN, SKIPPED], "")


def test_no_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: Any) -> "subprocess.CompletedProcess[str]":
        return subprocess.CompletedProcess(command, 1, "", "Traceback\nNo module named pip_audit\n")

    monkeypatch.setattr(audit.subprocess, "run", run)
    with pytest.raises(AuditError, match="No module named pip_audit"):
        audit.audit(ROOT)


def test_every_lock_and_torch_itself_are_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def run(command: list[str], **_: Any) -> "subprocess.CompletedProcess[str]":
        files = [Path(b) for a, b in pairwise(command) if a == "--requirement"]
        asked.extend(file.read_text() for file in files)
        return subprocess.CompletedProcess(command, 0, '{"dependencies": []}', "")

    monkeypatch.setattr(audit.subprocess, "run", run)
    assert audit.audit(ROOT).exit_code == 0
    text = "\n".join(asked)
    for name in ("docker==", "jinja2==", "sympy==", "torch==2.13.0", "sageattention==1.0.6"):
        assert name in text


def test_only_the_section_of_explanations_excuses() -> None:
    page = (ROOT / audit.EXPLAINED).read_text()
    told = audit.section(page)
    assert "CVE-2026-4538" in told
    assert "CVE-2026-24747" in page
    assert "CVE-2026-24747" not in told
