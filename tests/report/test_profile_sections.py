"""Sections of the profile: what a reader finds, and what is absent where nothing was measured."""

from pathlib import Path

import msgspec
import pytest

from harness.matrix import Case
from harness.report.material import case_label
from harness.report.render import render_run
from harness.result import Result
from tests.analysis.profiled import COMPILED, EAGER, without_parts
from tests.records import build
from tests.report.test_render import row_of, section

DEPTH = "e2e-depth-eager"
CASES: dict[str, Case] = {
    case.id: msgspec.structs.replace(case, processes=1) for case in build.gpu_cases()
}


def rendered(reports: Path, results: list[Result]) -> str:
    plan = build.manifest([result.case for result in results])
    return render_run(build.store(reports, plan, list(results))).read_text()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    return render_run(build.gpu_run(tmp_path_factory.mktemp("reports"))).read_text()


@pytest.fixture(scope="module")
def on_cpu(tmp_path_factory: pytest.TempPathFactory) -> str:
    return render_run(build.cpu_run(tmp_path_factory.mktemp("reports"))).read_text()


def test_kinds_of_work_and_operators_with_their_parts(report: str) -> None:
    text = section(report, "Detailed Profiling")
    assert row_of(text, "self-attention")[1:3] == ["113.3", "26.8 %"]
    assert row_of(text, "`aten::mm`")[1:] == [
        "2,400", "24.18", "5.7 %",
        "base/ffn/lora 44.0 %, base/qkv/lora 30.0 %, base/out/lora 10.0 %, other parts 16.0 %",
    ]  # fmt: skip
    assert "| `base/cache.update/cache.roll` | cache roll |" in text
    assert row_of(text, "Clean-cache pass")[2] == "16.0 %"
    assert "keep the GPU busy for 422.1 ms, 85.6 % of the 493.3 ms" in text
    assert "Under the profiler a chunk takes 1.175 times as long." in text


def test_the_hosts_side_and_idle_time_of_all_modes(report: str) -> None:
    text = section(report, "Detailed Profiling")
    waits = row_of(text, "Idle, the host was waiting for the GPU")
    assert len(waits) == 1 + 2 * 3
    assert row_of(text, "With no idle time at all")[2] == "0.856"
    assert row_of(text, "`kv_cache.py:61`")[1:] == ["690", "690", "690"]
    assert row_of(text, "Calls that launch kernels and copies")[2:4] == ["28.7 %", "18,098"]
    shares = [
        float(row_of(text, name)[2].removesuffix(" %"))
        for name in (
            "Calls that launch kernels and copies",
            "Operators, outside of such calls",
            "Python between operators, the ranges of the profile included",
            "Waiting for the GPU",
            "Other calls of the runtime",
        )
    ]
    assert sum(shares) == pytest.approx(100, abs=0.2)
    assert "Inpainting: without the profiler the host spends 31.00 ms" in text
    assert row_of(text, "With no waits for the GPU")[1] == "462.3"
    by_host = text.split("Operators by the host's time in themselves")[1]
    assert row_of(by_host, "`aten::mul`")[1:] == ["4,240", "21.20", "5.001"]
    assert "figures/idle.svg" in text and "figures/timeline.svg" in text


def test_every_check_stands_with_its_limit_and_verdict(report: str) -> None:
    text = section(report, "Detailed Profiling")
    rows = {
        "GPU time attributed to a part or operator": "at least 99 %",
        "Wall time attributed to a stage": "at least 95 %",
        "Sum of all kinds of work over GPU-busy time": "at least 99.9 %",
        "Busy and idle time over the span": "99.9 % to 100.1 %",
        "Span over the event time of the same chunk": "95 % to 105 %",
    }
    for name, limit in rows.items():
        assert row_of(text, name)[1] == limit
        assert row_of(text, name)[4:5] == row_of(text, name)[-2:-1]
    assert row_of(text, "GPU time attributed to a part or operator")[-1] == "holds"
    bent = row_of(text, "Distortion: profiled over unprofiled wall time")
    assert bent[1:] == ["at most 1.2 (target)", "–", "–", "1.175", "holds"]
    assert "- Depth: all of them hold, distortion 1.175." in text


def test_what_does_not_hold_is_missed_and_not_hidden(tmp_path: Path) -> None:
    result = build.result(CASES[EAGER])
    assert result.profile is not None
    first, *others = result.profile.chunks
    wrong = msgspec.structs.replace(first, event_ms=first.span_ms * 2, unattributed_ms=20.0)
    profile = msgspec.structs.replace(
        result.profile, chunks=[wrong, *others], wall_median_ms=first.wall_ms / 2.5
    )
    text = rendered(tmp_path, [build.change(result, profile=profile)])
    assert row_of(text, "Span over the event time of the same chunk")[-2:] == [
        "50.00 %", "**missed**",
    ]  # fmt: skip
    attributed = row_of(text, "GPU time attributed to a part or operator")
    assert attributed[-1] == "**missed**"
    bent = row_of(text, "Distortion: profiled over unprofiled wall time")
    assert bent[-2:] == ["2.500", "**missed**"]


def test_the_second_witness_is_held_against_the_trace(report: str, tmp_path: Path) -> None:
    text = section(report, "Detailed Profiling")
    assert "| Stage | Clock, as it runs (ms) | Clock, synchronised (ms) |" in text
    result = build.result(CASES[EAGER])
    assert result.profile is not None
    clock = dict(result.profile.stages_host_ms)
    clock["clean"] *= 3
    profile = msgspec.structs.replace(result.profile, stages_host_ms=clock)
    text = rendered(tmp_path, [build.change(result, profile=profile)])
    table = text.split("Trace, host, profiled (ms) | Apart")[1]
    assert row_of(table, "Clean-cache pass")[-1] == "**apart**"
    assert "stages are more than 5.0 % apart: there the profiler slowed the host" in text


def test_kinds_of_chunks_stand_side_by_side(report: str) -> None:
    text = section(report, "Detailed Profiling")
    assert row_of(text, "Values read by the host")[1:] == ["906", "846", "906"]
    assert float(row_of(text, "RoPE")[1]) > 0


def test_the_roofline(report: str) -> None:
    text = section(report, "Roofline")
    assert "matrix products 740.0 TFLOP/s, copies 4.100 TB/s read and written" in text
    rope = row_of(text, "RoPE")
    assert rope[1:5] == ["–", "136.1", "33.19", "memory"]
    assert row_of(text, "self-attention")[4] == "arithmetic"
    assert "All parts at their floor: 322.1 ms" in text


def test_why_torch_compile_does_not_help(report: str) -> None:
    text = section(report, "Why torch.compile Does or Doesn't Help")
    assert "Inpainting: torch.compile covers the VACE patch embedding and the VACE blocks" in text
    assert "products 22.01 ms, attention 12.68 ms" in text
    assert "so the most that compiling can gain is 7.3 % of GPU-busy time" in text
    assert "Inpainting: compiled, the branch takes" in text
    assert "Measured, inpainting: wall time same" in text
    assert "16 graphs, 0 graph breaks, 0 recompiles" in text
    assert "Text-only" not in text


def test_root_causes_have_claim_ceiling_confidence_and_experiment(report: str) -> None:
    text = section(report, "Root Causes")
    rope = row_of(text, "**RoPE in float64**")
    assert rope[-2:] == ["high", "untested"]
    claim = next(row for row in text.splitlines() if row.startswith("- **RoPE in float64:**"))
    for words in ("17.17 times", "Confidence high:", "Experiment: a paired case", "Verdict"):
        assert words in claim
    assert row_of(text, "**Attention backend**")[-1] == "refuted"
    assert "must not be added" in text
    assert "Below the limit of 1.0 % of either time: 3 causes" in text


def test_recommendations_are_ranked_and_say_what_is_useless(report: str) -> None:
    text = section(report, "Recommendations")
    could, not_ = text.split("### What Won't Help")
    rows = [row.split(" | ") for row in could.splitlines() if row[:3] in ("| 1", "| 2", "| 3")]
    walls = [float(row[3]) for row in rows]
    assert len(walls) == 3 and walls == sorted(walls, reverse=True)
    assert "| 1 | One fused kernel with float32 factors" in could
    assert "| 2 | Merge the adapters into the weights" in could
    assert "Attention backend, as far as measured" in not_
    assert "torch.compile of the VACE branch, measured: same" in not_
    assert "Keep the embedded prompt until it changes: at most 0.444 ms" in not_


def test_published_claims_get_a_verdict(report: str) -> None:
    text = section(report, "Against the published report")
    assert row_of(text, "The mm calls are RoPE and modulation")[1:] == [
        "corrected", "2,400 of 2,400 calls lie in the LoRA adapters",
    ]  # fmt: skip
    steady = row_of(text, "The profiled chunk is the steady state")
    assert steady[1] == "corrected"
    assert "published are 846 item calls" in steady[2]
    assert "first eviction makes 846, a steady one 906" in steady[2]
    assert row_of(text, "torch.compile gains under 2 %")[1] == "reproduced"
    assert row_of(text, "VACE costs about 7 % of the chunk")[1] == "corrected"


def test_a_claim_that_a_run_does_not_measure_is_not_applicable(tmp_path: Path) -> None:
    alone = without_parts(build.result(CASES[EAGER]), lambda part: part == "base/attention")
    text = section(rendered(tmp_path, [alone]), "Against the published report")
    assert row_of(text, "The sageattn calls are cross-attention")[1] == "not applicable"
    assert row_of(text, "Depth and inpainting encode differently")[1] == "not applicable"
    assert row_of(text, "torch.compile gains under 2 %")[1] == "not applicable"


def test_a_cpu_shows_its_hosts_time_and_no_device(on_cpu: str) -> None:
    text = section(on_cpu, "Detailed Profiling")
    assert "a CPU has no device events, so times are the host's" in text
    assert "GPU time" not in text
    assert "### Calls by operator" in text
    assert "When the GPU waits" not in text
    assert "checked by this profile" not in on_cpu


def test_one_mode_alone_and_a_profile_with_problems(tmp_path: Path) -> None:
    result = build.result(CASES[DEPTH])
    profile = msgspec.structs.replace(
        result.profile, problems=["3 kernels have no launch"], sync_sites=[], sync_reason="no API"
    )
    text = rendered(tmp_path, [build.change(result, profile=profile)])
    assert "- `e2e-depth-eager`: 3 kernels have no launch" in text
    assert "Lines that wait are not known: no API" in text
    assert "For `e2e-depth-eager`." in section(text, "Recommendations")


def test_idle_time_may_be_missing(tmp_path: Path) -> None:
    """A chunk that never lets the GPU wait: sources of claims must still be found."""
    result = build.result(CASES[EAGER])
    assert result.profile is not None
    chunks = [msgspec.structs.replace(chunk, gaps=[]) for chunk in result.profile.chunks]
    busy = build.change(result, profile=msgspec.structs.replace(result.profile, chunks=chunks))
    text = rendered(tmp_path, [busy])
    assert "**Kernel-launch overhead:**" not in text
    assert row_of(section(text, "Detailed Profiling"), "With no launch gaps")[2] == "1.000"


def test_only_compiled_profiles_bring_no_eager_sections(tmp_path: Path) -> None:
    text = rendered(tmp_path, [build.result(CASES[COMPILED])])
    assert "## Detailed Profiling" not in text
    assert "## Root Causes" not in text


def test_a_planted_cost_is_never_told_as_the_plain_case() -> None:
    case = msgspec.structs.replace(build.gpu_cases()[2], plant="items")
    assert case_label(build.result(case)).text == "Inpainting, eager, planted cost items"
