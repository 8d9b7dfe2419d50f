"""The section of the limit, whole and in parts, and what the overview says of it."""

import shutil
from pathlib import Path

import msgspec
import pytest

from harness.matrices_limit import TRIED
from harness.report.render import render_run
from tests.records import build, stacks
from tests.report import made_fixes, made_limit
from tests.report.test_render import row_of, section

NAME = "Down to the limit"
RECORDED = Path(__file__).parents[2] / "reports" / "nvidia-h200" / "20261128-174746-fastest"
FIGURES = ("vae.svg", "leave_out.svg", "growth.svg", "growth_map.svg")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the fixes alone in a run beside it."""
    reports = tmp_path_factory.mktemp("reports")
    made_fixes.run(reports)
    return render_run(made_limit.run(reports))


@pytest.fixture(scope="module")
def report(path: Path) -> str:
    return path.read_text()


def test_a_run_that_asks_none_of_it_has_no_such_section(tmp_path: Path) -> None:
    text = render_run(build.gpu_run(tmp_path)).read_text()
    assert NAME not in text
    assert "published recommendation about the VAE" not in text


def test_the_fastest_stack_stands_beside_the_lossless_one_with_its_proof(report: str) -> None:
    text = section(report, NAME)
    row = row_of(text, "`fastest`")
    assert row[-1] == "within the budget, no drift"
    assert row_of(text, "must")[1] == "at most 170.0 ms"
    assert row_of(text, "must")[-1] == "missed"
    assert "cosines of flow, x0, keys and values" in text
    assert "judged as fixes are: at most 1.25 times the yardstick's errors" in text
    assert row_of(text, "`base`")[-1] == "noise floor"
    # These claim no error: no budget, no drift.
    assert row_of(text, "`lossless`")[-2:] == ["–", "passes"]
    assert row_of(text, f"`{TRIED}`")[-1] == "passes"
    proof = text.split("arms fastest.**")[1]
    proof = proof.split("### ")[0].split("| Arm | Verdict |")[1]
    assert row_of(proof, "`lossless`")[8] == "1.00" and row_of(proof, "`fastest`")[8] == "–"


def test_frames_stand_side_by_side_below_the_budgets(path: Path, report: str) -> None:
    text = section(report, NAME)
    (told,) = (line for line in text.splitlines() if line.startswith("Frames side by side: "))
    assert "arms fastest, 60 chunks, frame 11 of chunk 59, both counted from zero" in told
    assert told.endswith(" ends at the largest: 4.7 % of the range, `fastest`.")
    assert "averaged from 512x512 to 16x16" in told
    assert text.index("proof of output, arms beyond") < text.index("figures/frames.svg")
    assert (path.parent / "figures" / "frames.svg").is_file()


def test_no_frames_of_a_users_video_and_the_reason(tmp_path: Path) -> None:
    made = made_limit.run(tmp_path, name="fastest", processes=1)
    for record in (made / "cases").glob("quality-*.json"):
        proof = msgspec.json.decode(record.read_bytes())
        del proof["frames"]
        record.write_bytes(msgspec.json.encode(proof))
    text = render_run(made).read_text()
    assert "frames.svg" not in text and "No frames are shown" not in text  # an older record
    for clip in proof["clips"]:
        clip |= {"source": "file", "name": "mine.mp4"}
    record.write_bytes(msgspec.json.encode(proof))
    assert "No frames are shown" in render_run(made).read_text()


def test_a_fix_that_fails_is_struck_out_and_what_has_no_proof_says_so(tmp_path: Path) -> None:
    made = made_limit.run(tmp_path, name="beyond", processes=1)
    record = made / "cases" / "quality-inpainting-beyond-warm.json"
    proof = msgspec.json.decode(record.read_bytes())
    for error in proof["output_errors"]:
        error["values"] *= 1.3 if error["arm"] == TRIED else 1.0
    record.write_bytes(msgspec.json.encode(proof))
    row = row_of(section(render_run(made).read_text(), NAME), f"`{TRIED}`")
    assert row[1].startswith("~~") and row[-1] == "fails"
    record.unlink()
    text = section(render_run(made).read_text(), NAME)
    row = row_of(text, f"`{TRIED}`")
    assert not row[1].startswith("~~") and row[-1] == "not examined in this run"
    assert row_of(text, "`fastest`")[-1] == "not examined in this run"


def test_an_output_that_no_proof_is_of_or_judges_meets_no_target(tmp_path: Path) -> None:
    quick = {"lora-merged": (0.1, 0.1), "graph-chunk": (0.5, 0.5)}
    made = made_limit.run(tmp_path, name="fastest", left=quick)
    assert row_of(section(render_run(made).read_text(), NAME), "must")[-1] == "met"
    fixes = {one: {"value": f"fp8-{one}", "reason": None} for one in ("quality", "paired")}
    for record in (made / "cases").glob("*.json"):
        told = msgspec.json.decode(record.read_bytes())
        told["provenance"]["workload.fixes.fastest"] = fixes[record.name.split("-")[0]]
        record.write_bytes(msgspec.json.encode(told))
    text = section(render_run(made).read_text(), NAME)
    assert row_of(text, "`fastest`")[-1].endswith("no drift, of other fixes by that name")
    assert row_of(text, "must")[-1] == "output not proven"
    for record in (made / "cases").glob("quality-*.json"):
        proof = msgspec.json.decode(record.read_bytes())
        proof["output_errors"] = [one for one in proof["output_errors"] if one["chunk"] < 7]
        del proof["provenance"]["workload.fixes.fastest"]
        record.write_bytes(msgspec.json.encode(proof))
    text = section(render_run(made).read_text(), NAME)
    assert row_of(text, "`fastest`")[-1] == "not judged, too short to tell"
    assert row_of(text, "must")[-1] == "output not proven"


def test_what_breaks_its_budget_is_struck_out_and_meets_no_target(tmp_path: Path) -> None:
    quick = {"ring-cache": (0.1, 0.1), "lora-merged": (0.1, 0.1), "graph-chunk": (0.5, 0.5)}
    made = made_limit.run(tmp_path, name="fastest", fp8_error=0.3, left=quick, capped=("fastest",))
    text = section(render_run(made).read_text(), NAME)
    assert "- `fastest` is held by the GPU's power cap: its SM clock is **1,980 MHz**" in text
    assert "- `lossless` is held" not in text and "figures/power.svg" in text
    assert row_of(text, "`fastest`")[1].startswith("~~")
    assert row_of(text, "must")[-1] == "output not proven"
    assert "so its time means nothing" in text


def test_autoencoders_and_the_published_recommendation(report: str) -> None:
    text = section(report, NAME)
    assert "| as it is, `base` | WanVAE |" in text
    verdict = (
        "A chunk with the WanVAE over one with the TAE, by wall time and then by GPU-busy time, "
        "each with its 95 % interval: as it is 1.2"
    )
    assert verdict in text
    assert verdict in section(report, "Against the published report")
    assert "### WanVAE against TAE" in text and "not known, and its bar is plain." in text


def test_a_baseline_beside_variants_is_what_the_report_is_of(report: str) -> None:
    assert report.startswith("# LongLive + VACE + TAE on NVIDIA H200\n")
    assert "Changed workload" not in report


def test_growth_its_errors_and_where_real_time_holds(path: Path, report: str) -> None:
    text = section(report, NAME)
    assert "| 1024x1024 | `lossless` |" in text
    assert "| its base |" in text
    start = "| Window of the KV cache, latent frames | `baseline` | 2 | "
    row = next(line for line in text.splitlines() if line.startswith(start))
    assert [cell.strip() for cell in row.split("|")][6] == "24"
    assert "| Holds 16 FPS |" in text and "breaks at" in text
    assert "- `baseline`: 16 FPS breaks first with " in text
    assert "- Memory: the most in use is " in text
    for name in FIGURES:
        assert f"figures/{name}" in text and (path.parent / "figures" / name).is_file()


def test_cold_starts_and_when_they_pay(report: str) -> None:
    text = section(report, NAME).split("### Cold starts")[1]
    assert row_of(text, "`baseline`")[6] == "–"
    assert row_of(text, "`lossless`")[2] == "2.000 s"
    assert row_of(text, "`tae-compiled`")[6] not in ("–", "never")


def test_the_distance_to_the_roofline_of_both_stacks_with_its_reasons(
    path: Path, report: str
) -> None:
    text = section(report, NAME).split("### Distance to the roofline")[1].split("\n### ")[0]
    assert "figures/floors.svg" in text and (path.parent / "figures" / "floors.svg").is_file()
    lossless, fastest = text.split("variant fastest-without-graph-chunk")
    assert "matrix products in FP8 1,300.0 TFLOP/s" in fastest and "in FP8" not in lossless
    for stack in (lossless, fastest):
        assert row_of(stack, "attention")[4:6] == ["arithmetic", "71.20"]
        assert row_of(stack, "elementwise and copies")[4] == "memory"
        assert row_of(stack, "outside of blocks")[3] == "–"
        assert "- **elementwise and copies:** " in stack and "are not fused" in stack
        assert "- **VAE encode:** convolutions take " in stack
        assert "- **attention:**" not in stack
    assert "Why, where it takes more than 1.5 times its floor" in text
    assert "## Roofline" not in report and "power cap" not in text


def test_a_missing_rate_is_said_and_no_floor_is_made_up(tmp_path: Path) -> None:
    planned = stacks.cases()
    made = [stacks.result(case) for case in planned]
    ceilings = msgspec.structs.replace(made[1].ceilings, fp8_matmul_flops_per_s=None)
    made[1] = build.change(made[1], ceilings=ceilings)
    plan = build.manifest(planned, run_id="20261128-090000-floors", matrix="floors")
    text = render_run(build.store(tmp_path, plan, list(made))).read_text()
    row = row_of(section(text, NAME).split("variant fastest")[1], "linears")
    assert row[3] == "–" and "matrix products in FP8" in row[4]
    assert "a rate is missing" in text


def test_a_profile_of_a_replayed_graph_tells_no_kinds_and_says_so(tmp_path: Path) -> None:
    made = stacks.result(stacks.cases()[0])
    case = msgspec.structs.replace(made.case, variant="lossless")
    made = build.change(made, case=case, case_id=case.id)
    plan = build.manifest([case], run_id="20261128-090000-floors", matrix="floors")
    text = section(render_run(build.store(tmp_path, plan, [made])).read_text(), NAME)
    assert f"- `{case.id}`: its kernels are replayed from a CUDA graph" in text
    assert "| linears |" not in text and "floors.svg" not in text


def test_a_run_of_the_stacks_alone_claims_nothing_about_parts_of_the_baseline(
    tmp_path: Path,
) -> None:
    made = made_limit.run(tmp_path, name="floors", capped=(None,))
    text = render_run(made).read_text()
    assert "## Roofline" not in text and "### Distance to the roofline" in text
    assert text.count("Beside the profile the power cap held ") == 2
    assert "## Why torch.compile" not in text
    causes = section(text, "Root Causes")
    assert "**Kernel-launch overhead:**" in causes
    for claim in ("Attention backend", "LoRA", "RoPE", "KV cache", "norms"):
        assert claim not in causes


def bullets(report: str) -> list[str]:
    """The overview's first screen."""
    shown = section(report, "Overview").split("<details>")[0]
    return [line for line in shown.splitlines() if line.startswith("- ")]


def test_the_overview_answers_in_six_bullets_and_keeps_the_rest(report: str) -> None:
    assert [line.split(" takes ")[0] for line in bullets(report)[:2]] == [
        "- The stack `fastest`",
        "- The stack `lossless`",
    ]
    assert bullets(report)[2] == (
        "- Targets of `fastest`: must, at most 170.0 ms: missed; aim, at most 130.0 ms: missed."
    )
    assert [line[:14] for line in bullets(report)[3:]] == ["- **Inpainting"] * 2 + [
        "- The publishe"
    ]
    folded = section(report, "Overview").split("What else was found")[1]
    assert "- In `lossless`, with all others in, of the fixes that take no other along `" in folded
    assert "- Real time of `baseline`: 16 FPS breaks first with " in folded
    assert "figures/stacks.svg" in section(report, "Overview")


def test_the_overview_of_stacks_says_how_far_above_their_floors_and_where(tmp_path: Path) -> None:
    report = render_run(made_limit.run(tmp_path, name="floors")).read_text()
    told = [line for line in bullets(report) if "The GPU works" in line]
    stacks = section(report, NAME).split("The GPU works")[1:]
    assert len(told) == len(stacks) == 2
    for line, stack in zip(told, stacks, strict=True):
        assert stack.startswith(line.split("The GPU works")[1])
        rows = [row.strip("| ").split(" | ") for row in stack.split("\n\n")[1].splitlines()[2:]]
        gaps = {row[0]: float(row[-1]) for row in rows if row[-1] != "–"}
        name = max(gaps, key=lambda one: gaps[one])
        assert line.endswith(f" Furthest above its floor: {name}, by {gaps[name]:.2f} ms.")


def test_a_stack_whose_output_fails_has_no_speed_in_the_overview(tmp_path: Path) -> None:
    made = made_limit.run(tmp_path, name="fastest", fp8_error=0.3)
    first, second, third = bullets(render_run(made).read_text())
    assert first.startswith("- The output of `fastest` is beyond the budget")
    assert "The stack `lossless` takes" in second and second.endswith("Its output: passes.")
    assert third.count("output not proven") == 2


def test_one_process_has_no_interval_and_no_verdict(tmp_path: Path) -> None:
    report = render_run(made_limit.run(tmp_path, name="fastest", processes=1)).read_text()
    assert "interval" not in "".join(bullets(report))
    assert bullets(report)[0].count("; too few processes") == 2
    row = row_of(section(report, NAME), "`fastest`")
    assert row[2] == "–" and row[12].endswith(" %") and row[13] == "–"
    assert bullets(report)[2].count(": too few processes") == 2


def test_the_recorded_run_of_the_fastest_stack(tmp_path: Path) -> None:
    report = render_run(Path(shutil.copytree(RECORDED, tmp_path / RECORDED.name))).read_text()
    first, second, third = bullets(report)
    assert first == (
        "- The stack `fastest` takes **154.7 ms** a chunk (95 % interval 147.0 ms to 162.9 ms over "
        "3 fresh processes), **77.2 FPS**, and is 3.97 times as fast as the baseline (95 % interval"
        " 3.22 to 4.91); faster. By GPU-busy time it is 2.90 times as fast (95 % interval 2.76 to "
        "3.05). It saves 22.3 % over `lossless` (95 % interval 18.8 % to 25.6 %); "
        "faster. Its output: within the budget, no drift, with seeded weights."
    )
    assert second.startswith("- The stack `lossless` takes **199.0 ms** a chunk (95 % interval ")
    assert third.endswith("must, at most 170.0 ms: met; aim, at most 130.0 ms: missed.")
    text = section(report, NAME)
    assert row_of(text, "`base`")[1:3] == ["614.7", "483.1 to 782.3"]
    assert row_of(text, "`fastest`")[12:14] == ["22.3 %", "18.8 % to 25.6 %"]
    assert row_of(text, "must")[2:] == ["154.7 ms", "147.0 to 162.9", "met"]
    assert row_of(text, "aim")[2:] == ["154.7 ms", "147.0 to 162.9", "missed"]
    assert report.count("(figures/stacks.svg)") == 2
    assert ", LoRA (merged in some variants) of rank 256" in report
