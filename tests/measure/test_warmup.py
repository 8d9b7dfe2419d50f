import pytest

from harness.measure.warmup import WarmChunk, Warmup, WarmupLimits

LIMITS = WarmupLimits(max_chunks=20, max_s=120.0)


def warmed(
    times_ms: list[float],
    *,
    compile_work: list[int] | None = None,
    clocks_mhz: list[float] | None = None,
    limits: WarmupLimits = LIMITS,
    first_settled: int = 4,
) -> Warmup:
    """A warm-up that has seen chunks 0, 1, 2, ..."""
    warmup = Warmup(limits, 0, first_settled)
    for chunk, wall_ms in enumerate(times_ms):
        warmup.add(
            WarmChunk(
                chunk=chunk,
                wall_ms=wall_ms,
                compile_work=compile_work[chunk] if compile_work else 1,
                sm_clock_mhz=clocks_mhz[chunk] if clocks_mhz else None,
            )
        )
    return warmup


def test_three_quiet_steady_chunks_are_a_proof() -> None:
    verdict = warmed([900, 300, 200, 150, 101, 100, 102]).verdict(1.0)
    assert verdict is not None
    assert verdict.converged
    assert verdict.chunks == 7
    assert "SM clock not known" in verdict.reason


def test_chunks_before_the_graphs_are_captured_prove_nothing() -> None:
    assert warmed([100] * 12, first_settled=10).verdict(1.0) is None
    assert warmed([100] * 13, first_settled=10).verdict(1.0) is not None


def test_chunks_before_the_cache_is_full_prove_nothing() -> None:
    assert warmed([100] * 6).verdict(1.0) is None
    assert warmed([100] * 7).verdict(1.0) is not None


def test_compilation_within_the_window_keeps_it_going() -> None:
    work = [1, 1, 1, 1, 1, 2, 2]
    warmup = warmed([100] * 7, compile_work=work)
    assert warmup.verdict(1.0) is None
    assert "compiled" in warmup.missing()[0]
    assert warmed([100] * 8, compile_work=[*work, 2]).verdict(1.0) is None
    assert warmed([100] * 9, compile_work=[*work, 2, 2]).verdict(1.0) is not None


def test_falling_chunk_times_keep_it_going() -> None:
    falling = [900, 300, 200, 190, 180, 160, 140]
    assert warmed(falling).missing() == ["the chunk time still moves"]


def test_noisy_but_level_chunks_converge_by_their_medians() -> None:
    noisy = [900, 300, 200, 150, 100, 112, 106, 113, 101]
    assert warmed(noisy).verdict(1.0) is None
    verdict = warmed([*noisy, 106]).verdict(1.0)
    assert verdict is not None
    assert verdict.converged


def test_a_moving_clock_keeps_it_going() -> None:
    rising = [0, 0, 0, 0, 1200, 1500, 1800]
    assert warmed([100] * 7, clocks_mhz=rising).missing() == ["the SM clock still moves"]
    level = warmed([100] * 7, clocks_mhz=[1980] * 7).verdict(1.0)
    assert level is not None
    assert "SM clock steady" in level.reason


@pytest.mark.parametrize(
    ("limits", "elapsed_s", "cap"),
    [
        (WarmupLimits(max_chunks=7, max_s=120), 1.0, "cap of 7 chunks"),
        (WarmupLimits(max_chunks=99, max_s=5), 6.0, "cap of 5 s"),
    ],
)
def test_at_the_cap_it_ends_without_converging(
    limits: WarmupLimits, elapsed_s: float, cap: str
) -> None:
    verdict = warmed([900, 800, 700, 600, 500, 400, 300], limits=limits).verdict(elapsed_s)
    assert verdict is not None
    assert not verdict.converged
    assert verdict.reason.startswith(cap)
    assert "chunk time still moves" in verdict.reason


def test_no_cap_lets_the_steady_window_begin_before_the_cache_is_full() -> None:
    limits = WarmupLimits(max_chunks=1, max_s=0.1)
    assert warmed([100] * 3, limits=limits).verdict(9.0) is None
    assert warmed([100] * 4, limits=limits).verdict(9.0) is not None
