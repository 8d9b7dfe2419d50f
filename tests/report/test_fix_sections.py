"""The section of measured fixes, and runs of which every case is a variant."""

import shutil
from pathlib import Path

import msgspec
import pytest

from harness.analysis.fixes import PREDICTED
from harness.analysis.root_causes import root_causes
from harness.matrix import Case
from harness.report.material import Material
from harness.report.render import render_index, render_run
from harness.report.sections.fix_ranking import with_measured
from harness.result import Fact, Result, encode
from harness.store import RunFolder, result_name
from tests.records import build
from tests.report import made_fixes, made_limit
from tests.report.test_render import row_of, section

NAME = "Recommendations, measured"
RECORDED = Path(__file__).parents[2] / "reports" / "nvidia-h200" / "20261127-162601-fixes"
CACHE = "`paired-inpainting-cache`"


def variant_cases(name: str = "lossless") -> list[Case]:
    kept = (case for case in build.gpu_cases() if case.kind != "paired" and not case.compiled)
    return [msgspec.structs.replace(case, variant=name) for case in kept]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """With a profiled run of the same GPU beside it."""
    reports = tmp_path_factory.mktemp("reports")
    build.gpu_run(reports)
    return render_run(made_fixes.run(reports)).read_text()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without it, two fixes spoiled."""
    reports = tmp_path_factory.mktemp("reports")
    path = made_fixes.run(reports, worse={"ring-cache": 5.0, "lossless": 5.0})
    return render_run(path)


def test_a_run_without_variants_has_no_such_section(tmp_path: Path) -> None:
    assert NAME not in render_run(build.cpu_run(tmp_path)).read_text()


def test_prediction_stands_beside_the_measured_gain(report: str) -> None:
    text = section(report, NAME)
    row = next(row for row in text.splitlines() if "`ring-cache`: ring-buffer" in row)
    cells = [cell.strip() for cell in row.strip("|").split(" | ")]
    assert cells[3] == "20.0 % (20.0 % to 20.1 %)" and cells[5] == "faster"
    assert "(Copies of the KV cache)" in cells[6]
    assert "profile in run `20261123-080000-full`" in text
    assert cells[7] == "20.0 %"
    assert "| `lean-clean`: dead work of the clean pass dropped |" in text
    assert "no rule predicts this" in text


def test_the_stack_its_targets_and_its_floor(report: str) -> None:
    text = section(report, NAME)
    row = row_of(text, "ring cache")
    assert row[2:4] == ["364.5", "359.9 to 369.2"]
    assert row[4:7] == ["298.5", "20.0 %", "18.0 % (18.0 % to 18.0 %)"]
    assert row_of(text, "Wall time of a chunk")[1:3] == ["at most 200.0 ms", "at most 165.0 ms"]
    assert row_of(text, "Wall time of a chunk")[4:] == ["missed", "missed"]
    assert row_of(text, "Times as fast as the baseline")[4] == "met"
    assert "at the measured rate of matrix products: 131.6 ms." in text
    assert "figures/fixes.svg" in section(report, "Overview")
    overview = section(report, "Overview")
    assert "The stack `lossless` takes **226.9 ms** a chunk (95 % interval 224.0 ms to" in overview
    assert "Alone, `" in overview and "Fixes alone: " in overview


def test_other_modes_and_sizes_and_the_proof_of_another_mode(report: str) -> None:
    text = section(report, NAME)
    inpainting = row_of(text, "Inpainting")
    assert inpainting[1:3] == ["832x480", "`lossless`"]
    assert inpainting[-1] == "passes (1.02; at 512x512)"
    assert "authors state 20.7 FPS on one H100 at 832x480" in text
    assert row_of(text, "Depth")[-1] == "passes (1.02; Inpainting)"


def test_published_claims_get_a_measured_verdict(report: str) -> None:
    text = section(report, NAME)
    assert row_of(text, "won't help")[1:3] == ["torch.compile", "refuted: it helps"]
    assert row_of(text, "recommendation")[2] == "not measured in this run"


def test_what_fails_is_struck_out_with_its_error(alone: Path) -> None:
    text = section(alone.read_text(), NAME)
    row = next(row for row in text.splitlines() if "`ring-cache`: ring-buffer" in row)
    assert row.startswith("| – |")
    assert "| ~~439.7~~ |" in row
    assert "fails (8." in row
    assert "| ~~226.9~~ | ~~224.0 to 229.9~~ | ~~224.6~~ |" in row_line(text, "one CUDA graph")
    assert "The output of `lossless` is worse, so its time means nothing: fails (5." in text
    assert "1 struck out" in text


def row_line(text: str, start: str) -> str:
    return next(row for row in text.splitlines() if row.startswith(f"| {start} |"))


def test_a_fix_of_the_stack_without_a_row_is_named_with_its_proof(
    alone: Path, tmp_path: Path
) -> None:
    lead = "In the stack, and not measured alone in this run: "
    assert lead not in section(alone.read_text(), NAME)
    only = "paired-inpainting-stack,paired-inpainting-cache,quality-inpainting-alone*"
    text = section(render_run(made_fixes.run(tmp_path, only=only)).read_text(), NAME)
    told = next(row for row in text.splitlines() if row.startswith(lead))
    assert "`tae-explicit`: TAE with its memory as inputs and outputs. Its output: as the" in told
    assert "`lora-merged`" in told and "`ring-cache`" not in told


def test_without_a_profile_nothing_is_predicted_and_no_floor_drawn(alone: Path) -> None:
    text = section(alone.read_text(), NAME)
    assert "| no profile |" in text
    assert "Nothing is predicted: no run of this GPU has a profile" in text
    assert "The floor is left out: no run of this GPU has the rate" in text


def test_without_a_profile_of_the_baseline_the_floor_takes_the_rate_beside_another(
    tmp_path: Path,
) -> None:
    made_limit.run(tmp_path, name="floors")
    text = section(render_run(made_fixes.run(tmp_path)).read_text(), NAME)
    assert "Nothing is predicted" in text
    assert "at the measured rate of matrix products: 1" in text


def test_a_fact_that_differs_between_processes_is_marked(tmp_path: Path) -> None:
    path = made_fixes.run(tmp_path)
    for record in RunFolder(path).load().finished:
        commit = Fact(value=("b" if record.process == 2 else "a") * 40)
        fixes = "lora-merged, ring-cache" + ", once" * (record.case.kind == "paired")
        facts = {"git.commit": commit, "workload.fixes.lossless": Fact(value=fixes)}
        told = build.change(record, provenance={**record.provenance, **facts})
        (path / "cases" / result_name(record.case_id, record.process)).write_bytes(encode(told))
    text = render_run(path).read_text()
    assert row_of(section(text, "Test Setup"), "`git.commit`")[2] == "differs between processes"
    assert "(differs between processes)" in row_of(section(text, "Reproduce"), "Commit")[1]
    overview = section(text, "Overview")
    assert f"processes of one case ran with commits {'a' * 12} and {'b' * 12}. Next:" in overview
    stack = row_of(section(text, NAME), "one CUDA graph")
    assert stack[-1].endswith("; of other fixes by that name)")


def test_arms_that_the_power_cap_holds_are_told(report: str, tmp_path: Path) -> None:
    assert "held by the GPU's power cap" not in report
    copy = tmp_path / "nvidia-h200" / RECORDED.name
    first_ones = shutil.ignore_patterns("*.process-*")  # the run may go on
    shutil.copytree(RECORDED, copy, ignore=first_ones)
    text = section(render_run(copy).read_text(), NAME)
    assert "- `lossless` (Inpainting, 512x512) is held by the GPU's power cap: its SM clock" in text
    assert "of 1,980, at 711 W of 700; that costs at most 5.1 % of its GPU time here" in text
    assert "- `lossless` (Inpainting, 832x480) is held" in text and "- `base`" not in text
    held = text.split("Clock and power while the arms were timed")[1]
    assert row_of(held, "`base`")[3:] == ["1,980", "412", "3", "10", "17.9 %"]
    assert "in more than 50.0 % of its timed chunks" in held
    assert row_of(text.split("clock and power of every arm")[1], CACHE)[-2:] == ["1,980", "429"]
    assert "figures/power.svg" in text and (copy / "figures" / "power.svg").is_file()


def test_every_predicting_rule_exists(tmp_path: Path) -> None:
    material = Material(RunFolder(build.gpu_run(tmp_path)).load())
    result = material.profiled("inpainting")
    assert result is not None
    causes = root_causes(material.subject(result))
    ids = {cause.id for cause in (*causes.worth_it, *causes.too_small)}
    assert {rule for rules in PREDICTED.values() for rule in rules} <= ids


def test_measured_gains_rank_the_causes_and_refute_them(tmp_path: Path) -> None:
    profiled = [case for case in build.gpu_cases() if case.id == "e2e-inpainting-eager"]
    single = [case for case in made_fixes.cases() if case.label in ("cache", "work")]
    planned = [*profiled, *single]
    left = {**made_fixes.LEFT, "lora-merged": (1.0, 1.0)}
    records: list[Result] = [build.result(profiled[0])]
    records += [made_fixes.paired(case, n, left) for case in single for n in range(3)]
    path = build.store(tmp_path, build.manifest(planned), list(records))
    material = Material(RunFolder(path).load())
    result = material.profiled("inpainting")
    assert result is not None
    causes = root_causes(material.subject(result)).worth_it
    ranked = with_measured(material, causes)
    assert [cause.id for cause in ranked][:2] == ["cache_copies", "rope"]
    verdicts = {cause.id: cause.verdict for cause in ranked}
    assert (verdicts["cache_copies"], verdicts["lora"]) == ("confirmed", "refuted")
    text = section(render_run(path).read_text(), "Recommendations")
    useless = text.split("### What Won't Help")[1]
    assert "Unmerged LoRA, as far as measured: lora-merged gains" in useless


def test_a_run_of_a_variant_says_so_and_is_not_set_beside_published_figures(
    tmp_path: Path,
) -> None:
    cases = variant_cases()
    path = build.store(tmp_path, build.manifest(cases), build.results(cases))
    report = render_run(path).read_text()
    assert report.startswith("# LongLive + VACE + TAE on NVIDIA H200, variant lossless\n")
    assert "> Changed workload, variant lossless." in report
    assert "Inpainting, variant lossless: a steady chunk of" in section(report, "Overview")
    assert "| Inpainting, variant lossless, eager |" in report
    against = section(report, "Against the published report")
    assert "its figures and counts are its own" in against
    assert row_of(against, "Inpainting chunk, end to end")[2] == "–"
    assert "Operator counts" not in against
    assert "checked by this profile" not in against
    assert "| measurement, variant lossless |" in render_index(tmp_path)[-1].read_text()


def test_a_baseline_beside_a_variant_stays_the_one_that_is_told(tmp_path: Path) -> None:
    eager = next(case for case in build.gpu_cases() if case.id == "e2e-inpainting-eager")
    cases = [msgspec.structs.replace(eager, variant="lossless"), eager]
    path = build.store(tmp_path, build.manifest(cases), build.results(cases))
    report = render_run(path).read_text()
    assert "**Verdict.** Inpainting: a steady chunk of" in section(report, "Overview")
    assert "| Inpainting, variant lossless, eager |" in report
    assert row_of(section(report, "Against the published report"), "`aten::item`")[3] == "906"
