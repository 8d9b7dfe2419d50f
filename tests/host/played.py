"""A stand-in for `python -m harness.measure`: same files and output, no torch.

Usage: python -m tests.host.played --job DIR | --preflight DIR. The case's seed says what it plays:
42 a finished case, 1 a crash without a record, 2 hanging, 3 a record of another case, 4 killing
itself, 5 a failed case.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from harness.job import Devices, Job, PreflightRequest, Progress
from harness.result import encode
from tests.samples import case, failure, result


def main(option: str, folder: Path) -> None:
    if option == "--preflight":
        request = msgspec.json.decode(
            (folder / "preflight.json").read_bytes(), type=PreflightRequest
        )
        devices = Devices(
            torch_version="played",
            torch_cuda=None,
            gpus=[],
            problems=["the weights do not fit"] if request.weights_dir else [],
            python_version="3",
            cpu_count=os.cpu_count() or 1,
        )
        (folder / "devices.json").write_bytes(encode(devices))
        return
    job = msgspec.json.decode((folder / "job.json").read_bytes(), type=Job)
    print(msgspec.json.encode(Progress(phase="steady", done=1, total=2)).decode())
    print("a library's own line", file=sys.stderr, flush=True)
    play(job, folder)


def play(job: Job, folder: Path) -> None:
    if job.case.seed == 1:
        raise RuntimeError("played crash")
    if job.case.seed == 2:
        subprocess.Popen(["sleep", "300"])  # holds the output open, as a sampler would
        (folder / "started").touch()
        time.sleep(300)
    if job.case.seed == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    if job.case.seed == 5:
        record = failure(job.case, message=f"cannot read {Path.home()}/x", detail=str(Path.home()))
        (folder / "record.json").write_bytes(encode(record))
        return
    measured = case(mode="text") if job.case.seed == 3 else job.case
    (folder / "record.json").write_bytes(encode(result(measured)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
