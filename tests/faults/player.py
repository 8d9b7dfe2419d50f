"""A measured process that measures nothing and takes a second: for faults that hit its outside.

    python player.py --job DIR | --preflight DIR

It leaves a valid record of samples, prints progress, and starts a child that outlives it unless
somebody ends it. `source()` is the same as one text, for `python -c` in a container without tests.
"""

import subprocess
import sys
import time
from pathlib import Path

import msgspec

from harness.job import Devices, Job, Progress
from harness.result import encode
from tests.samples import result

STEPS = 10
STEP_S = 0.08


def main(option: str, folder: Path) -> None:
    """Answers the preflight or plays the job of an exchange folder."""
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
    subprocess.Popen(["sleep", "300"])
    for step in range(STEPS):
        line = Progress(phase="steady" if step > STEPS // 2 else "warmup", done=step, total=STEPS)
        print(msgspec.json.encode(line).decode(), flush=True)
        time.sleep(STEP_S)
    partial = folder / "record.part"
    partial.write_bytes(encode(result(job.case)))
    partial.replace(folder / "record.json")


def source() -> str:
    """This program and the samples it needs, importing nothing but the harness."""
    samples = Path(__file__).parents[1].joinpath("samples.py").read_text()
    here = Path(__file__).read_text().replace("from tests.samples import result\n", "")
    return samples + here


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
