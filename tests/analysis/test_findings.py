"""Each rule once with a case that fires it and once with one that does not."""

from collections.abc import Callable

import msgspec
import pytest

from harness.analysis import findings as rules
from harness.analysis.findings import Evidence, Finding, case_findings, findings
from harness.matrix import Case
from harness.record_parts import CompileStats, Convergence, CounterReading, GpuState
from harness.result import Fact, Result
from tests.records import build

CASES: dict[str, Case] = {case.id: case for case in build.gpu_cases()}
CHUNKS = CASES["e2e-inpainting-eager"]
PARTS = CASES["isolated-inpainting-eager"]


def text(finding: Finding) -> str:
    return "".join(part if isinstance(part, str) else f"<{part.value:g}>" for part in finding.parts)


def with_flags(result: Result, count: int) -> Result:
    chunks = list(result.chunks)
    for index in range(len(chunks) - count, len(chunks)):
        chunks[index] = msgspec.structs.replace(chunks[index], flags=["gpu shared"])
    return build.change(result, chunks=chunks)


def with_wall(result: Result, factor: Callable[[int], float]) -> Result:
    chunks = [
        msgspec.structs.replace(chunk, wall_ms=chunk.wall_ms * factor(index))
        for index, chunk in enumerate(result.chunks)
    ]
    return build.change(result, chunks=chunks)


def with_gpu(result: Result, **changes: object) -> Result:
    gpu: GpuState = msgspec.structs.replace(result.gpu, **changes)
    return build.change(result, gpu=gpu)


def power_capped(result: Result) -> Result:
    bits: list[float | None] = [4.0] * len(result.gpu.series.t_s)
    fields = result.gpu.series.fields | {"event_reasons": bits}
    return with_gpu(result, series=msgspec.structs.replace(result.gpu.series, fields=fields))


def thermal_counter(result: Result) -> Result:
    first, last = result.gpu.counters
    rising = [
        CounterReading(t_s=first.t_s, label="", values={"sw_thermal_ns": 0}),
        CounterReading(t_s=last.t_s, label="", values={"sw_thermal_ns": 3_000_000_000}),
    ]
    return with_gpu(result, counters=rising)


def compile_stats(breaks: int) -> CompileStats:
    return CompileStats(
        cold_s={},
        graphs=16,
        graph_breaks=breaks,
        break_reasons=["call to print"] * breaks,
        recompiles=0,
        recompile_reasons=[],
    )


def spread_component(result: Result) -> Result:
    first, *rest = result.components
    wide = [time * (1 + 0.01 * (index % 5)) for index, time in enumerate(first.wall_ms)]
    return build.change(result, components=[msgspec.structs.replace(first, wall_ms=wide), *rest])


FIRING: dict[
    str, tuple[Callable[[Result], Finding | None], Case, Callable[[Result], Result], str]
] = {
    "not converged": (
        rules.not_converged,
        CHUNKS,
        lambda r: build.change(
            r, convergence=Convergence(converged=False, reason="cap of 20 chunks", chunks=20)
        ),
        "after <20> chunks: cap of 20 chunks",
    ),
    "flagged case": (
        rules.flagged_case,
        CHUNKS,
        lambda r: build.change(r, flags=["gpu shared: 98 % busy before the case"]),
        "gpu shared: 98 % busy",
    ),
    "flagged samples": (
        rules.flagged_samples,
        CHUNKS,
        lambda r: with_flags(r, 3),
        "<3> of <50> steady chunks are flagged: gpu shared",
    ),
    "throttled by bits": (rules.throttled, CHUNKS, power_capped, "power cap in <246> of <246>"),
    "throttled by counters": (
        rules.throttled,
        CHUNKS,
        thermal_counter,
        "sw_thermal_ns rose by <3>",
    ),
    "wide spread": (
        rules.wide_spread,
        CHUNKS,
        lambda r: with_wall(r, lambda index: 1 + 0.02 * (index % 3)),
        "of the median apart, over the limit of <0.01>",
    ),
    "wide components": (
        rules.wide_components,
        PARTS,
        spread_component,
        "of the median: vae_encode_single (eager) <",
    ),
    "broken graphs": (
        rules.broken_graphs,
        CHUNKS,
        lambda r: build.change(r, compile=compile_stats(2)),
        "<2> graph breaks and <0> recompiles: call to print; call to print",
    ),
    "sampler trouble": (
        rules.sampler_trouble,
        CHUNKS,
        lambda r: with_gpu(r, source="none", reason="NVML: Driver Not Loaded"),
        "NVML: Driver Not Loaded",
    ),
}


@pytest.mark.parametrize("name", FIRING)
def test_rule_fires_with_evidence_and_a_next_step(name: str) -> None:
    rule, case, spoil, expected = FIRING[name]
    finding = rule(spoil(build.result(case)))
    assert finding is not None
    assert expected in text(finding)
    assert finding.next_step


@pytest.mark.parametrize("case", [CHUNKS, PARTS])
def test_a_quiet_case_has_no_findings(case: Case) -> None:
    result = build.result(case)
    assert all(rule(result) is None for rule in rules.RULES)
    assert findings(result) == []


def test_a_case_that_did_not_converge_is_told_once() -> None:
    capped = Convergence(converged=False, reason="cap of 20 chunks", chunks=20)
    flags = ["warm-up not converged (cap of 20 chunks)"]
    result = build.result(CHUNKS, convergence=capped, flags=flags)
    assert [finding.rule for finding in findings(result)] == ["not converged"]
    both = build.result(CHUNKS, convergence=capped, flags=[*flags, "gpu shared"])
    assert rules.doubts(both) == ["not converged", "flagged case"]


def test_spread_alone_does_not_make_a_comparison_doubtful() -> None:
    wide = with_wall(build.result(CHUNKS), lambda index: 1 + 0.02 * (index % 3))
    assert findings(wide)
    assert rules.doubts(wide) == []


def test_long_reasons_are_cut() -> None:
    stats = msgspec.structs.replace(compile_stats(1), break_reasons=["x" * 5000])
    finding = rules.broken_graphs(build.result(CHUNKS, compile=stats))
    assert finding is not None
    assert len(text(finding)) < 300


def test_clean_compile_is_quiet() -> None:
    assert rules.broken_graphs(build.result(CHUNKS, compile=compile_stats(0))) is None


def test_a_cpu_case_does_not_miss_its_gpu() -> None:
    assert rules.sampler_trouble(build.result(build.cpu_cases()[0])) is None


def test_findings_come_in_the_order_of_the_rules() -> None:
    spoiled = power_capped(with_flags(build.result(CHUNKS, flags=["clock low"]), 1))
    assert [f.rule for f in findings(spoiled)] == ["flagged case", "flagged samples", "throttled"]


def test_every_limit_that_is_cited_exists() -> None:
    result = with_wall(build.result(CHUNKS), lambda index: 1 + 0.02 * (index % 3))
    cited = [
        part.path.removeprefix("rule#")
        for finding in findings(result)
        for part in finding.parts
        if isinstance(part, Evidence) and part.path.startswith("rule#")
    ]
    assert cited
    assert set(cited) <= rules.LIMITS.keys()


def test_a_case_of_several_processes_is_told_of_once_by_the_worst() -> None:
    def noisy(process: int, step: float) -> Result:
        result = build.result(CHUNKS, process=process)
        return with_wall(result, lambda index: 1 + step * (index % 3))

    told = case_findings([build.result(CHUNKS), noisy(1, 0.02), noisy(2, 0.04)])
    assert [(item.finding.rule, item.processes) for item in told] == [("wide spread", 2)]
    assert told[0].result.process == 2


def test_processes_of_several_versions_are_told_of_together() -> None:
    def ran(process: int, **facts: str | bool) -> Result:
        result = build.result(CHUNKS, process=process)
        known = {
            name.replace("_", ".").replace("..", "_"): Fact(value=value)
            for name, value in facts.items()
        }
        return msgspec.structs.replace(result, provenance={**result.provenance, **known})

    same = [ran(n, git_commit="a" * 40, gpu_driver="580.1") for n in range(3)]
    assert case_findings(same) == []
    told = case_findings([*same[:2], ran(2, git_commit="b" * 40, gpu_driver="580.2")])
    assert [(one.finding.rule, one.processes) for one in told] == [("mixed versions", None)]
    assert text(told[0].finding) == (
        f"processes of one case ran with commits {'a' * 12} and {'b' * 12}; "
        "versions of the driver 580.1 and 580.2"
    )
    assert rules.doubts(*same[:2], ran(2, git_commit="b" * 40)) == ["mixed versions"]
    changed = ran(2, git_commit="a" * 40, git_dirty=True, gpu_driver="580.1")
    assert f"{'a' * 12} and {'a' * 12} with changes" in text(
        case_findings([*same, changed])[0].finding
    )
    images = [
        ran(n, image_base__id=f"sha256:{n}" + "c" * 63, image_lock__sha256=f"{n}" * 64)
        for n in range(2)
    ]
    assert text(case_findings(images)[0].finding).endswith(
        f"base images 0{'c' * 11} and 1{'c' * 11}; lock files {'0' * 12} and {'1' * 12}"
    )
    stacks = [ran(n, **{"workload_fixes_lossless": f"once, fix{n // 2}"}) for n in range(3)]
    assert text(case_findings(stacks)[0].finding) == (
        "processes of one case ran with several sets of fixes by the name lossless "
        "(not in all: fix0, fix1)"
    )
    unknown = ran(2, gpu_driver="580.1")
    assert case_findings([*same[:2], unknown]) == []  # a commit that is not known is no other one


def test_a_limit_has_no_gravity() -> None:
    limit = Evidence(0.01, "share", "rule#CHUNK_SPREAD_LIMIT")
    assert Finding("x", ("over ", limit), "").gravity == 0
    assert Finding("x", (limit, Evidence(0.5, "share", "/chunks")), "").gravity == 0.5


def test_doubts_of_several_processes_are_named_once() -> None:
    shared = [build.result(CHUNKS, process=n, flags=["gpu shared"]) for n in range(3)]
    assert rules.doubts(*shared) == ["flagged case"]


def test_flags_of_every_arm_count() -> None:
    paired = build.result(CASES["paired-inpainting-compiled"])
    finding = rules.flagged_samples(with_flags(paired, 3))
    assert finding is not None
    assert "<3> of <100> steady chunks are flagged" in text(finding)


def test_benches_beside_a_timed_process_lower_the_confidence_in_it() -> None:
    fact = {"run.beside": Fact(value=2)}
    timed = build.result(CHUNKS)
    shared = build.change(timed, provenance=timed.provenance | fact)
    found = rules.shared_host(shared)
    assert found is not None
    assert text(found) == "other benches that were under way on this host, at most: <2>"
    assert rules.shared_host(timed) is None
    assert rules.shared_host(build.change(shared, chunks=[], components=[])) is None
    told = [one for one in case_findings([timed, shared]) if one.finding.rule == "shared host"]
    assert [one.processes for one in told] == [1]
