import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.host.interruption import check, shielded, stoppable

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Signals as in a terminal: a shell starts what runs in its background with SIGINT ignored."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_block_as_ctrl_c_does(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), stoppable():
        os.kill(os.getpid(), number)
        time.sleep(5)
    assert signal.getsignal(number) == before


def test_cleaning_up_is_not_torn_apart_by_the_second_signal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), stoppable():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            done.append("removed")
    assert done == ["removed"]
    assert "once more to leave it at once" in capsys.readouterr().err


def test_the_third_signal_ends_the_cleaning_up() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), stoppable():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("removed")
    assert done == []


def test_a_signal_waits_for_the_end_of_a_shield() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), stoppable():
        with shielded():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("saved")
        done.append("next")
    assert done == ["saved"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_that_a_callback_swallowed_still_ends_the_block() -> None:
    class Freed:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    done = []
    with pytest.raises(KeyboardInterrupt), stoppable():
        Freed()  # the exception is ignored in here
        done.append("not noticed")
        check()
        done.append("next")
    assert done == ["not noticed"]
    check()  # outside, nothing was asked


def test_what_nohup_ignores_stays_ignored() -> None:
    script = (
        "import os, signal\n"
        "from harness.host.interruption import stoppable\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with stoppable():\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "print('alive')\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout == "alive\n"
