"""`invoke compare` and `invoke gate` as a user runs them: output, error line and exit code."""

import json
from pathlib import Path

import pytest

from tests.host.conftest import Invoke
from tests.host.test_tasks import one_line
from tests.report.made_runs import EAGER, SDPA, run


@pytest.fixture
def stored(project: Path) -> Path:
    """Runs a, b (as fast), c (slower), d (one process) and e (another GPU) under reports/."""
    reports = project / "reports"
    only = (EAGER, SDPA)
    run(reports, "a", only=only)
    run(reports, "b", only=only)
    run(reports, "c", only=only, of_case={EAGER: 1.05})
    run(reports, "d", only=only, processes=1, matrix="quick")
    run(reports, "e", only=only, gpu_slug="nvidia-l40s", facts={"gpu.name": "NVIDIA L40S"})
    return reports


def test_compare(invoke: Invoke, stored: Path, tmp_path: Path) -> None:
    folder = str(stored / "nvidia-h200" / "a")
    for arguments, code, last in [
        (("--a", folder, "--b", folder), 0, "next: `invoke gate"),
        (("--a", "a", "--b", "c"), 4, f"next: {EAGER} is slower; `invoke compare --a a:"),
        (("--a=a", "--b=d"), 3, "next: `invoke bench --matrix quick --processes 5`"),
        (("--a", f"a:{EAGER}", "--b", f"a:{SDPA}"), None, "next: "),
        (("--a", "a", "--b", "e", "--across", "gpu"), 0, "next: "),
    ]:
        answer = invoke("compare", *arguments)
        assert answer.returncode == code or (code is None and answer.returncode in (0, 3)), answer
        assert answer.stderr == ""
        assert answer.stdout.splitlines()[0] == "# Comparison of run B with run A"
        assert answer.stdout.splitlines()[-1].startswith(last)


def test_compare_keeps_both_forms(invoke: Invoke, stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    answer = invoke("compare", "--a", "a", "--b", "c", "--out", str(out), "--json")
    assert answer.returncode == 4
    assert json.loads(answer.stdout)["call"] == "slower"
    assert sorted(path.name for path in out.iterdir()) == ["comparison.json", "comparison.md"]
    assert json.loads((out / "comparison.json").read_text()) == json.loads(answer.stdout)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("compare", "--a", "a"), "two runs are needed; give --a RUN and --b RUN"),
        (("compare", "--a", "a", "--b", "z"), "run 'z' not found"),
        (("compare", "--a", "a:nothing", "--b", "b"), f"no case 'nothing'; finished are: {EAGER}"),
        (("compare", "--a", "a", "--b", "e"), "gpu.name: NVIDIA H200 against NVIDIA L40S"),
        (("gate", "--baseline", "a", "--max-regression", "3"), "write e.g. 3% or 0.03"),
        (("gate", "--baseline", "e"), "make one with `invoke bench --matrix full`"),
    ],
)
def test_one_line_and_exit_code_2(
    invoke: Invoke, stored: Path, arguments: tuple[str, ...], text: str
) -> None:
    assert text in one_line(invoke(*arguments))


def test_gate(invoke: Invoke, stored: Path) -> None:
    for arguments, code, word in [
        (("--baseline", "a", "--run", "a"), 0, "passed"),
        (("--baseline", "a"), 4, "regressed"),  # c is the newest like it
        (("--baseline", "a", "--max-regression", "10%"), 0, "passed"),
        (("--baseline", "a", "--run", "d"), 3, "undecided"),
    ]:
        answer = invoke("gate", *arguments)
        assert answer.returncode == code, (answer.stdout, answer.stderr)
        *_, summary, step = answer.stdout.splitlines()
        assert summary.startswith("gate: ") and summary.endswith(word)
        assert step.startswith("next: `invoke ")
