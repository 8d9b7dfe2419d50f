"""How cost grows in the report: GPU-busy errors, what breaks first, how the map predicts."""

import shutil
from pathlib import Path

import pytest

from harness.analysis.growth import growth_axes
from harness.report.figures_limit import fps_maps
from harness.report.material import Material, case_label
from harness.report.render import render_run
from harness.store import RunFolder
from tests.report.made_growth import OWN, place, run
from tests.report.test_render import row_of, section

RECORDED = Path(__file__).parents[2] / "reports" / "nvidia-h200" / "20261128-181142-growth"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> str:
    copy = tmp_path_factory.mktemp("reports") / RECORDED.name
    return render_run(Path(shutil.copytree(RECORDED, copy))).read_text()


def growth(report: str) -> str:
    text = section(report, "Down to the limit").split("### How cost grows")[1]
    return text.split("\n### ")[0]


def told(report: str, variant: str) -> str:
    (line,) = (one for one in growth(report).splitlines() if one.startswith(f"- `{variant}`: "))
    return line.removeprefix(f"- `{variant}`: ")


def reaches(report: str, axis: str) -> list[str]:
    """Of the baseline on one axis, a rate each."""
    text = growth(report).split("Where real time holds")[1]
    return row_of(text, f"{axis} | `baseline`")[2:]


def test_errors_by_wall_and_by_gpu_busy_time_stand_beside_one_another(recorded: str) -> None:
    times = growth(recorded).split("Memory and energy")[0]
    assert row_of(times, "320x320 | `baseline`")[2:] == [
        *("683.6", "17.98", "164.4", "-75.9 %", "168.3", "-20.8 %")
    ]
    assert row_of(times, "512x512 | `baseline`")[4:] == ["its base", "–", "434.3", "–"]
    errors = growth(recorded).split("the preset's own point left out:")[1]
    assert row_of(errors, "Window of the KV cache, latent frames | `baseline`")[2:] == [
        *("2", "19.1 %", "-29.5 %", "3", "0.47 %", "-0.87 %", "3")
    ]
    assert "By GPU-busy time, of 12 points with more arithmetic" in errors


def test_memory_and_energy_have_tables_of_their_own(recorded: str) -> None:
    memory = growth(recorded).split("Memory and energy")[1]
    assert row_of(memory, "1024x1024 | `lossless`")[2:] == [
        "14.54 GiB",
        "14.49 GiB",
        "33.92 GiB",
        "30.54 GiB",
        "87.10",
    ]


def test_rates_with_the_same_answer_are_told_together(recorded: str) -> None:
    first = "16, 24 and 30 FPS break first with the size of a frame, at 1024x1024."
    assert told(recorded, "lossless") == told(recorded, "fastest") == first
    overview = section(recorded, "Overview")
    assert f"- Real time of `lossless`: {first}" in overview


def test_the_own_point_that_lacks_a_rate_is_told_with_its_rate(recorded: str) -> None:
    assert told(recorded, "baseline") == (
        "16 FPS breaks first with the size of a frame, at 832x480; "
        "24 and 30 FPS do not hold at the preset's own point (22.35 FPS)."
    )
    own = "not at the own point, 4 (22.35 FPS); holds at 1"
    assert reaches(recorded, "Denoising steps") == ["up to 4; breaks at 8", own, own]
    nowhere = "not at the own point, 512x512 (22.35 FPS), nor at any other"
    assert reaches(recorded, "Size of a frame")[1:] == [nowhere, nowhere]


def test_a_cheaper_point_that_fails_is_not_hidden(tmp_path: Path) -> None:
    names = ("832x480", "1024x1024", "steps1", "steps8", "window3", "window24")
    rates = {OWN: 32.0, place("320x320"): 20.0, **{place(name): 31.0 for name in names}}
    report = render_run(run(tmp_path, rates)).read_text()
    line = told(report, "baseline")
    assert line.startswith(
        "16 FPS holds at every point; 24 and 30 FPS hold at the preset's own point and above; "
        "with the size of a frame at 320x320, 24 and 30 FPS do not hold although the arithmetic "
        "is less (20.00 FPS, the GPU busy for "
    )
    assert line.endswith(" % of a chunk).")
    assert reaches(report, "Size of a frame") == [
        "at every point, up to 1024x1024",
        *["up to 1024x1024; not at 320x320, cheaper by arithmetic"] * 2,
    ]


def test_without_busy_time_nothing_stands_in_its_place(tmp_path: Path) -> None:
    report = render_run(run(tmp_path, {}, busy=False)).read_text()
    times = growth(report).split("Memory and energy")[0]
    assert row_of(times, "320x320 | `baseline`")[6:] == ["–", "–"]
    errors = growth(report).split("the preset's own point left out:")[1]
    assert row_of(errors, "Size of a frame | `baseline`")[6:] == ["–", "–", "–"]
    assert "By wall time, of " in errors


def test_the_map_predicts_a_row_from_its_own_measured_field() -> None:
    material = Material(RunFolder(RECORDED).load())
    sizes = growth_axes(material.results)[0]
    found = fps_maps(material)[0]
    for row, point in zip(found.fields, sizes.points, strict=True):
        assert row[3].measured and row[3].fps == point.fps
        rates = [field.fps for field in row]
        assert rates == sorted(rates, reverse=True)
    small = found.fields[0]
    assert [field.measured for field in small] == [False] * 3 + [True] + [False] * 4
    assert small[7].fps < small[3].fps * 0.6  # twice the steps, of its own rate
    assert [field.measured for field in found.fields[1]] == [n in (0, 3, 7) for n in range(8)]


def test_one_step_is_told_as_one() -> None:
    results = Material(RunFolder(RECORDED).load()).results
    labels = {one.case_id: case_label(one).text for one in results}
    assert ", 1 step," in labels["e2e-inpainting-eager-steps1-warm"]
    assert ", 8 steps," in labels["e2e-inpainting-eager-steps8-warm"]
