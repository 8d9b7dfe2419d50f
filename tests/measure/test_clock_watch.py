import time

import pytest

from harness.measure.clock_watch import Clocks, ClockWatch, read_clocks

BEGIN = Clocks(monotonic_s=1000.0, boot_s=1500.0, wall_s=1.8e9)


def flags(*, awake_s: float, slept_s: float = 0.0, stepped_s: float = 0.0) -> list[str]:
    end = Clocks(
        BEGIN.monotonic_s + awake_s,
        BEGIN.boot_s + awake_s + slept_s,
        BEGIN.wall_s + awake_s + slept_s + stepped_s,
    )
    shown = iter([BEGIN, end])
    return ClockWatch(lambda: next(shown)).flags()


@pytest.mark.parametrize("drift_s", [0.0, 0.3, -0.3])
def test_a_clock_that_is_adjusted_is_no_event(drift_s: float) -> None:
    assert flags(awake_s=600, stepped_s=drift_s) == []


def test_a_sleep_is_told_and_is_no_step() -> None:
    assert flags(awake_s=60, slept_s=600) == ["the host slept for 600.0 s during the case"]


@pytest.mark.parametrize(("by_s", "way"), [(-3600.0, "back"), (3600.0, "forward")])
def test_a_step_is_told_with_its_direction(by_s: float, way: str) -> None:
    assert flags(awake_s=60, stepped_s=by_s) == [
        f"the clock was set {way} by 3600.0 s during the case"
    ]


def test_both_can_happen() -> None:
    assert len(flags(awake_s=60, slept_s=5, stepped_s=-30)) == 2


def test_the_real_clocks_agree() -> None:
    watch = ClockWatch()
    time.sleep(0.05)
    assert watch.flags() == []
    assert read_clocks().boot_s >= read_clocks().monotonic_s - 1
