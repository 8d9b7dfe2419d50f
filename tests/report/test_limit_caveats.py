"""What the section of the limit says against its own numbers."""

import re
import shutil
from pathlib import Path

from harness.report.render import render_run
from tests.report import made_limit
from tests.report.test_render import section

FLOORS = Path(__file__).parents[2] / "reports" / "nvidia-h200" / "20261128-175804-floors"


def test_an_error_budget_says_what_seeded_weights_leave_open(tmp_path: Path) -> None:
    seeded = made_limit.run(tmp_path / "seeded", name="fastest")
    real = made_limit.run(tmp_path / "real", name="fastest")
    for path in (real / "run.json", *(real / "cases").glob("*.json")):
        text = path.read_text()
        path.write_text(re.sub(r'"weights": ?"seeded"', '"weights": "checkpoint"', text))
    reports = [render_run(path).read_text() for path in (seeded, real)]
    for words in ("no drift, with seeded weights.", "The weights are seeded random values"):
        assert [words in report for report in reports] == [True, False]


def test_a_kind_below_its_floor_is_named_with_the_reason(tmp_path: Path) -> None:
    report = render_run(Path(shutil.copytree(FLOORS, tmp_path / FLOORS.name))).read_text()
    text = section(report, "Down to the limit")
    told = re.findall(r"Below the floor: (.*?)\. Such a floor", text)
    assert told == ["attention by 1.092 ms", "attention by 3.693 ms"]
    assert ", merged LoRA of rank 256" in report


def test_memory_of_arms_is_said_to_hold_those_before(tmp_path: Path) -> None:
    for name in ("fastest", "vae"):
        text = render_run(made_limit.run(tmp_path / name, name=name)).read_text()
        assert text.count("Peak memory is of the whole process") == 1
