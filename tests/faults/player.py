"""A measured process that measures nothing and takes a second: for faults that hit its outside.

    python player.py [FAULT CASE] --job DIR | --preflight DIR

It leaves a valid record of samples, prints progress, and starts a child that outlives it unless
somebody ends it. One case may hang, crash or eat memory. `source()` is the same as one text, for
`python -c` in a container without tests.
"""

import ctypes
import faulthandler
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from harness.job import Devices, Job, Progress
from harness.measure.__main__ import watchdog
from harness.result import encode
from tests.samples import result

STEPS = 10
STEP_S = 0.08


def hang() -> None:
    """Waits for what never comes."""
    while True:
        time.sleep(3600)


def eat_memory() -> None:
    """Takes memory until the kernel says no."""
    taken = []
    while True:
        taken.append(os.urandom(1 << 20))


def crash() -> None:
    """Reads what is not there, as a broken kernel library does."""
    ctypes.string_at(0)


FAULTS = {"hang": hang, "eat-memory": eat_memory, "crash": crash}


def main(arguments: list[str]) -> None:
    """Answers the preflight or plays the job of an exchange folder."""
    *fault, option, name = arguments
    folder = Path(name)
    if option == "--preflight":
        answer = Devices(
            torch_version="played",
            torch_cuda=None,
            gpus=[],
            problems=[],
            python_version="3",
            cpu_count=1,
        )
        (folder / "devices.json").write_bytes(encode(answer))
        return
    job = msgspec.json.decode((folder / "job.json").read_bytes(), type=Job)
    with watchdog(job.limit_s):
        play(job, folder, FAULTS[fault[0]] if fault and fault[1] == job.case.id else None)


def play(job: Job, folder: Path, fault: object = None) -> None:
    """A second of progress, then the record; the fault comes half way."""
    subprocess.Popen(["sleep", "300"])
    for step in range(STEPS):
        line = Progress(phase="steady" if step > STEPS // 2 else "warmup", done=step, total=STEPS)
        print(msgspec.json.encode(line).decode(), flush=True)
        time.sleep(STEP_S)
        if callable(fault) and step > STEPS // 2:
            fault()
    partial = folder / "record.part"
    partial.write_bytes(encode(result(job.case)))
    partial.replace(folder / "record.json")


def source() -> str:
    """This program and the samples it needs, importing nothing but the harness."""
    samples = Path(__file__).parents[1].joinpath("samples.py").read_text()
    here = Path(__file__).read_text().replace("from tests.samples import result\n", "")
    return samples + here


if __name__ == "__main__":
    faulthandler.enable()
    main(sys.argv[1:])
