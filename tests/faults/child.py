"""`invoke` as a user runs it, with what a fault needs put into it.

    VACE_FAULT_CHILD='{"program": [...]}' python child.py bench --matrix ...

Run in a copy of the project. The settings: `program` replaces the measured process's command line,
`memory_bytes` limits a container, `clock_s` shifts the wall clock as the harness sees it, `gpu`
names a GPU to lock where there is none; `grace_s`, `return_s` and `call_timeout_s` shorten waits.
"""

import datetime
import functools
import json
import os
import signal
import sys
import types
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path.cwd()))  # the copy's tasks and harness


def arrange(settings: dict[str, Any]) -> None:
    """Puts the settings in place."""
    from harness.host import bench, containers, engine, plan, processes, ready, runner

    changes = {name: settings[name] for name in ("program",) if name in settings}
    if "program" in changes:
        changes["program"] = tuple(changes["program"])
    ready.LocalRunner = functools.partial(ready.LocalRunner, **changes)
    if "memory_bytes" in settings:
        changes["memory_bytes"] = settings["memory_bytes"]
    ready.DockerRunner = functools.partial(ready.DockerRunner, **changes)
    if "call_timeout_s" in settings:
        engine.CALL_TIMEOUT_S = settings["call_timeout_s"]
    if "grace_s" in settings:
        containers.GRACE_S = processes.GRACE_S = settings["grace_s"]
    if "return_s" in settings:
        containers.RETURN_LIMIT_S = settings["return_s"]
    if "gpu" in settings:
        bench.gpu_name = lambda choice, options: settings["gpu"]
    if "clock_s" in settings:
        plan.datetime = runner.datetime = shifted_clock(settings["clock_s"])


def shifted_clock(by_s: float) -> types.SimpleNamespace:
    """The module datetime with a wall clock that shows another time."""

    class Shifted(datetime.datetime):
        """Now is another time."""

        @classmethod
        def now(cls, tz: Any = None) -> "Shifted":
            """The time by the shifted clock."""
            return super().now(tz) + datetime.timedelta(seconds=by_s)

    return types.SimpleNamespace(**{**vars(datetime), "datetime": Shifted})


if __name__ == "__main__":
    # As in a terminal: a shell starts what runs in its background with Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    arrange(json.loads(os.environ.get("VACE_FAULT_CHILD", "{}")))
    from invoke.main import program

    program.run(["invoke", *sys.argv[1:]])
