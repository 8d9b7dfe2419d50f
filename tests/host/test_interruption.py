import os
import signal
import time
from pathlib import Path

import pytest

from harness.errors import StorageError, UsageError
from harness.host.interruption import lock, stoppable


def test_sigterm_ends_the_block_as_ctrl_c_does() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), stoppable():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_run_is_held_by_one_process(tmp_path: Path) -> None:
    (tmp_path / "run.json").touch()
    with lock(tmp_path), pytest.raises(UsageError, match="another process"), lock(tmp_path):
        pass
    with lock(tmp_path):
        pass


def test_a_folder_without_a_plan_cannot_be_held(tmp_path: Path) -> None:
    with pytest.raises(StorageError), lock(tmp_path):
        pass
