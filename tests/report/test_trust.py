"""The section "How far to trust this": of a self-check, and of a run with one beside it."""

from pathlib import Path

import pytest

from harness.report.render import render_run
from tests.records import build

SECTION = "\n## How far to trust this\n"


def trust_of(path: Path) -> str:
    return render_run(path).read_text().split(SECTION, 1)[1].split("\n## ", 1)[0]


def row_of(text: str, *parts: str) -> list[str]:
    rows = (row for row in text.splitlines() if row.startswith("|"))
    row = next(row for row in rows if all(part in row for part in parts))
    return [cell.strip() for cell in row.strip("|").split(" | ")]


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("reports")
    return trust_of(build.selfcheck_run(folder, build.Knobs(host_sd=0.05, host_noise=0.05)))


def test_a_selfcheck_speaks_of_itself(noisy: str) -> None:
    assert "From this run of 2026-11-25, 5 fresh processes. Targets: met " in noisy
    assert "![Every arm of the self-check against its base" in noisy


def test_targets_stand_beside_what_was_measured(noisy: str) -> None:
    row = row_of(noisy, "fresh containers, GPU-busy time in cycles")
    assert row[0] == "T2"
    assert row[2].endswith(" %")
    assert row[3:] == ["–", "1.0 %", "met"]
    assert row_of(noisy, "container against bare host, wall time")[3].count("%") == 2


def test_a_missed_target_has_its_cause_below(noisy: str) -> None:
    assert row_of(noisy, "fresh containers, wall time |")[-1] == "**missed**"
    causes = noisy.split("Why a target was missed", 1)[1]
    assert "the host: GPU-busy time keeps the target with" in causes
    assert "it moves with the run queue: Spearman's rho" in causes
    assert "a p below 0.01 and reaches 0.3 either way" in causes


def test_planted_delays_are_shown_by_both_times(noisy: str) -> None:
    row = row_of(noisy, "`delay5`")
    assert row[2] == "5.0 %"
    assert row[3].startswith("1.05")
    assert row[5] == "slower"
    assert row[-2:] == ["slower", "**as expected**"]
    assert row_of(noisy, "`again`")[1:3] == ["–", "–"]
    assert "GPU-busy time decides" in noisy


def test_a_missing_delay_is_told(tmp_path: Path) -> None:
    text = trust_of(build.selfcheck_run(tmp_path, build.Knobs(delay_factor=0.0)))
    assert row_of(text, "`delay5`")[-1] == "**not as expected**"


def test_a_cpu_has_columns_for_wall_time_alone(tmp_path: Path) -> None:
    text = trust_of(build.selfcheck_run(tmp_path, device="cpu"))
    assert "GPU-busy / base" not in text
    assert "Wall time decides: a CPU has no GPU-busy time" in text
    assert "not measured: a CPU has no SM clock" in text


def test_why_there_is_no_bare_case(tmp_path: Path) -> None:
    text = trust_of(build.selfcheck_run(tmp_path, bare=False))
    outcome = f"not measured: {build.BARE_REASON}"
    assert row_of(text, "container against bare host, wall time")[-1] == outcome


def test_another_run_takes_the_selfcheck_beside_it(tmp_path: Path) -> None:
    full = build.gpu_run(tmp_path)
    assert "Not measured yet on this GPU; `invoke selfcheck` does." in trust_of(full)
    selfcheck = build.selfcheck_run(tmp_path)
    text = trust_of(full)
    assert "From the self-check `20261125-080000-selfcheck` of 2026-11-25" in text
    assert (full / "figures" / "trust.svg").is_file()
    assert row_of(text, "compiled over eager")[-1] == "met"  # of the run itself
    assert row_of(trust_of(selfcheck), "compiled over eager")[-1] == "met"  # of the run beside


def test_the_newest_selfcheck_counts(tmp_path: Path) -> None:
    full = build.gpu_run(tmp_path)
    build.selfcheck_run(tmp_path)
    build.selfcheck_run(tmp_path, run_id="20261201-080000-selfcheck")
    assert "From the self-check `20261201-080000-selfcheck`" in trust_of(full)


def test_a_selfcheck_of_another_gpu_does_not(tmp_path: Path) -> None:
    full = build.gpu_run(tmp_path)
    build.selfcheck_run(tmp_path, gpu_slug="nvidia-l40s")
    assert "Not measured yet" in trust_of(full)


@pytest.mark.parametrize("file", ["run.json", "cases/isolated-inpainting-eager.json"])
def test_a_damaged_selfcheck_is_told_and_harms_nothing(tmp_path: Path, file: str) -> None:
    full = build.gpu_run(tmp_path)
    broken = build.selfcheck_run(tmp_path)
    (broken / file).write_text("{")
    text = trust_of(full)
    assert "Run `20261125-080000-selfcheck` beside this one is left out: " in text
    assert "is damaged" in text
    assert "Not measured yet on this GPU" in text


def test_an_older_selfcheck_stands_in_for_a_damaged_one(tmp_path: Path) -> None:
    full = build.gpu_run(tmp_path)
    broken = build.selfcheck_run(tmp_path, run_id="20261201-080000-selfcheck")
    build.selfcheck_run(tmp_path)
    (broken / "run.json").write_text("{")
    text = trust_of(full)
    assert "Run `20261201-080000-selfcheck` beside this one is left out" in text
    assert "From the self-check `20261125-080000-selfcheck`" in text


def test_rendering_twice_gives_the_same_section(tmp_path: Path) -> None:
    path = build.selfcheck_run(tmp_path)
    first, figure = trust_of(path), (path / "figures" / "trust.svg").read_bytes()
    assert trust_of(path) == first
    assert (path / "figures" / "trust.svg").read_bytes() == figure
