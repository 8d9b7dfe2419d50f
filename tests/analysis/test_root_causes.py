"""Each rule once with a result that fires it and once with one that leaves it quiet."""

from collections.abc import Callable

import msgspec
import pytest

from harness.analysis.claims import LEAST_CEILING, Ceiling, RootCause, Subject
from harness.analysis.interval import median
from harness.analysis.part_groups import within
from harness.analysis.profile import Slot, main_slot
from harness.analysis.root_causes import root_causes
from harness.analysis.root_causes_copies import cache_step, is_rope
from harness.analysis.root_causes_work import is_lora
from harness.analysis.unprofiled import idle_ms, real_gaps, real_host
from harness.record_parts import CompileStats, CounterReading
from harness.result import Fact, Result
from tests.analysis.profiled import (
    CASES,
    EAGER,
    SDPA,
    eager,
    ids,
    plain,
    steady,
    with_chunk,
    with_state,
    with_wall,
    without_parts,
    words,
)
from tests.records import build


def found(result: Result, **beside: object) -> dict[str, RootCause]:
    causes = root_causes(Subject(result, **beside))  # type: ignore[arg-type]
    return {cause.id: cause for cause in (*causes.worth_it, *causes.too_small)}


def ceiling(cause: RootCause) -> Ceiling:
    assert cause.ceiling is not None
    return cause.ceiling


def device_ms(result: Result, fits: Callable[[str], bool]) -> float:
    return sum(part.device_ms for part in steady(result).parts if fits(part.part))


def slot_of(result: Result) -> Slot:
    slot = main_slot(result.profile)
    assert slot is not None
    return slot


def host_ms(result: Result, fits: Callable[[str], bool]) -> float:
    found = real_host(result, slot_of(result))
    return sum(time_ms for part, time_ms in found.items() if fits(part))


PARTS: dict[str, Callable[[str], bool]] = {
    "lora": is_lora,
    "rope": is_rope,
    "cache_copies": lambda part: cache_step(part) is not None,
    "padding": lambda part: within(part, "vace/pad"),
    "stacking": lambda part: within(part, "vace/stack"),
    "text": lambda part: within(part, "embed.text"),
    "vace_keys": lambda part: within(part, "vace/cross_attention/qkv"),
    "attention": lambda part: within(part, "base/attention"),
}


@pytest.mark.parametrize("name", PARTS)
def test_a_rule_of_parts_fires_on_its_parts_and_is_quiet_without_them(name: str) -> None:
    result = plain(eager())
    assert name in found(result)
    assert name not in found(without_parts(result, PARTS[name]))


@pytest.mark.parametrize("name", ["lora", "padding", "stacking", "text"])
def test_work_that_goes_away_gains_its_device_time_and_the_hosts(name: str) -> None:
    result = plain(eager())
    cause = found(result)[name]
    busy_ms = device_ms(result, PARTS[name])
    gained_ms = min(host_ms(result, PARTS[name]), idle_ms(result, slot_of(result)))
    assert ceiling(cause).busy_ms == pytest.approx(busy_ms)
    assert ceiling(cause).wall_ms == pytest.approx(busy_ms + gained_ms)
    assert cause.confidence == "high"
    assert cause.verdict == "untested"


def test_where_the_gpu_never_waits_the_host_has_nothing_to_gain() -> None:
    bound = with_wall(eager(), steady(eager()).busy_ms)
    assert ceiling(found(bound)["lora"]).wall_ms == pytest.approx(device_ms(bound, is_lora))


def test_cheaper_kernels_gain_their_own_time_at_most() -> None:
    wide = build.change(plain(eager()), ceilings=None)
    found_ceiling = ceiling(found(wide)["attention"])
    assert found_ceiling.busy_ms == pytest.approx(device_ms(wide, PARTS["attention"]))
    assert found_ceiling.wall_ms == pytest.approx(found_ceiling.busy_ms)


def test_casts_are_found_at_operators_and_not_in_the_cache() -> None:
    result = plain(eager())
    cause = found(result)["casts"]
    assert "base/rope" in words(cause.claim)
    assert "cache" not in words(cause.claim)
    copies = {o.part: o for o in steady(result).operators if o.operator == "aten::copy_"}
    casts = {o.part: o for o in steady(result).operators if o.operator == "aten::_to_copy"}
    both = [part for part in casts if part in copies]
    shared = sum(
        copies[part].device_ms * min(1.0, casts[part].calls / copies[part].calls) for part in both
    )
    own = sum(item.device_ms for item in casts.values())
    assert ceiling(cause).busy_ms == pytest.approx(shared + own)
    rows = [o for o in steady(result).operators if o.operator != "aten::_to_copy"]
    assert "casts" not in found(with_chunk(result, operators=rows))


def test_launch_overhead_is_idle_time_by_the_host() -> None:
    result = plain(eager())
    causes = ("launch", "operator", "python")
    gaps = real_gaps(result, slot_of(result))
    gained = sum(gap.idle_ms for gap in gaps if gap.cause in causes)
    launch = found(result)["launch"]
    assert (ceiling(launch).wall_ms, ceiling(launch).busy_ms) == (pytest.approx(gained), 0.0)
    assert "launch" not in found(with_wall(result, steady(result).busy_ms))


def test_waits_of_the_host() -> None:
    result = plain(eager())
    sync = found(result)["sync"]
    assert "reads <906> values by item calls, <843> of them in base/cache.index" in words(
        sync.claim
    )
    assert "most waits come from kv_cache.py" in words(sync.claim)
    copies_ms = sum(o.device_ms for o in steady(result).operators if "_scalar_" in o.operator)
    assert ceiling(sync).wall_ms == pytest.approx(31.0 + copies_ms)
    assert "the host spends <31> of a chunk in <691> reads" in words(sync.claim)
    reads = ("aten::item", "aten::_local_scalar_dense")
    rows = [o for o in steady(result).operators if o.operator not in reads]
    assert "sync" not in found(with_chunk(result, operators=rows))


def test_waits_that_were_not_taken_have_no_ceiling() -> None:
    """The trace alone must not say that they are cheap: a slowed host hardly waits."""
    result = plain(eager())
    profile = msgspec.structs.replace(result.profile, reads_ms=None, reads=None)
    sync = found(build.change(result, profile=profile))["sync"]
    assert sync.ceiling is None and sync.worth_it
    assert "was not taken" in words(sync.claim)


def test_another_backend_confirms_or_refutes() -> None:
    result, same = eager(), build.result(CASES[SDPA])
    assert found(result)["attention"].verdict == "untested"
    assert found(result, other_backend=same)["attention"].verdict == "refuted"
    busy = [msgspec.structs.replace(b, busy_ms=b.busy_ms * 0.8) for b in same.busy]
    better = build.change(same, busy=busy)
    confirmed = found(result, other_backend=better)["attention"]
    assert confirmed.verdict == "confirmed"
    assert "GPU-busy time with SDPA over this backend: <0.7999>" in words(confirmed.verdict_words)


def stats(breaks: int, again: int) -> CompileStats:
    return CompileStats(
        cold_s={}, graphs=16, graph_breaks=breaks, break_reasons=[], recompiles=again,
        recompile_reasons=[],
    )  # fmt: skip


def test_recompilation_of_the_case_or_of_its_compiled_twin() -> None:
    result = eager()
    compiled = build.change(build.result(CASES["e2e-inpainting-compiled"]), compile=stats(3, 1))
    assert "<3> graph breaks and <1> recompiles" in words(
        found(result, compiled=compiled)["compile"].claim
    )
    assert "compile" not in found(result, compiled=build.change(compiled, compile=stats(0, 0)))


def test_compile_work_in_steady_chunks_costs_what_these_chunks_take_more() -> None:
    result = eager()
    chunks = list(result.chunks)
    last = chunks[-1]
    state = msgspec.structs.replace(last.state, compile_work=2)
    chunks[-1] = msgspec.structs.replace(last, state=state, wall_ms=last.wall_ms + 5000.0)
    cause = found(build.change(result, chunks=chunks))["compile"]
    assert ceiling(cause).wall_ms == pytest.approx(100.0, rel=0.05)  # one of 50 chunks
    assert "compile" not in found(result)


def test_throttling_by_the_counters() -> None:
    result = eager()
    first, last = result.gpu.counters
    rising = [
        CounterReading(t_s=first.t_s, label="", values={"hw_thermal_ns": 0}),
        CounterReading(t_s=last.t_s, label="", values={"hw_thermal_ns": 3_000_000_000}),
    ]
    facts = result.provenance | {"gpu.max_sm_clock_mhz": Fact(value=2475)}
    hot = build.change(
        result, gpu=msgspec.structs.replace(result.gpu, counters=rising), provenance=facts
    )
    cause = found(hot)["throttling"]
    assert "hw_thermal for <3>" in words(cause.claim)
    assert ceiling(cause).busy_share == pytest.approx(1 - 1980 / 2475)
    assert "throttling" not in found(result)


@pytest.mark.parametrize(("capped", "title"), [(0.4, "Throttling"), (0.6, "Power cap")])
def test_a_power_cap_in_most_chunks_asks_for_less_energy(capped: float, title: str) -> None:
    result = eager()
    first, last = result.gpu.counters
    rising = [
        CounterReading(t_s=first.t_s, label="", values={"sw_power_cap_ns": 0}),
        CounterReading(t_s=last.t_s, label="", values={"sw_power_cap_ns": 3_000_000_000}),
    ]
    steady_at = [i for i, chunk in enumerate(result.chunks) if chunk.phase == "steady"]
    held = steady_at[: round(capped * len(steady_at))]
    chunks = [
        msgspec.structs.replace(chunk, flags=["power capped"] if index in held else [])
        for index, chunk in enumerate(result.chunks)
    ]
    hot = build.change(
        result,
        gpu=msgspec.structs.replace(result.gpu, counters=rising),
        chunks=chunks,
        provenance=result.provenance | {"gpu.max_sm_clock_mhz": Fact(value=2475)},
    )
    cause = found(hot)["throttling"]
    assert cause.title == title and ceiling(cause).busy_share == pytest.approx(1 - 1980 / 2475)
    told = f"the power cap held <{len(held)}> of <{len(steady_at)}> steady chunks" in words(
        cause.claim
    )
    assert told == cause.fix.startswith("work that takes less energy") == (capped > 0.5)


@pytest.mark.parametrize(
    "changes", [{"other_cpu_share": 0.6}, {"run_queue": 40.0}], ids=["cpu", "queue"]
)
def test_contention_by_circumstances(changes: dict[str, float]) -> None:
    result = eager()
    facts = result.provenance | {"cpu.count": Fact(value=16)}
    result = build.change(result, provenance=facts)
    assert "contention" in found(with_state(result, **changes))
    assert "contention" not in found(result)


def test_contention_by_fixed_pieces_of_host_work() -> None:
    quiet = eager()
    noisy = build.result(CASES[EAGER], build.Knobs(host_noise=0.3))
    cause = found(noisy)["contention"]
    assert "one small operator takes up to" in words(cause.claim)
    walls = [chunk.wall_ms for chunk in noisy.chunks if chunk.phase == "steady"]
    assert ceiling(cause).wall_ms == pytest.approx(median(walls) - min(walls))
    assert "contention" not in found(quiet)


def test_memory_pressure_by_peak_and_by_allocations() -> None:
    result = eager()
    facts = result.provenance | {"gpu.memory_total_bytes": Fact(value=int(12.5 * 2**30))}
    assert "peak memory is <0.96>" in words(
        found(build.change(result, provenance=facts))["memory"].claim
    )
    calls = steady(result).host_calls | {"cudaMalloc": 12}
    told = found(with_chunk(result, host_calls=calls))["memory"]
    assert "<12> calls of cudaMalloc in a steady chunk" in words(told.claim)
    assert "memory" not in found(result)


def test_causes_are_ranked_and_small_ones_kept_apart() -> None:
    causes = root_causes(Subject(plain(eager()), other_backend=build.result(CASES[SDPA])))
    assert ids(causes.worth_it)[-1] == "attention"  # refuted
    walls = [ceiling(cause).wall_ms for cause in causes.worth_it[:-1]]
    assert walls == sorted(walls, reverse=True)
    assert set(ids(causes.too_small)) == {"padding", "vace_keys", "text"}
    assert all(ceiling(cause).largest < LEAST_CEILING for cause in causes.too_small)


def test_without_device_events_rules_about_the_device_are_silent() -> None:
    assert not found(build.result(build.cpu_cases()[-1]))
    assert not found(build.change(eager(), profile=None))
