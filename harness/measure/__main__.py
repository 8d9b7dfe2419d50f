"""Measures cases: one job for the harness, or a comparison for people.

    python -m harness.measure --job DIR           DIR/job.json -> DIR/record.json
    python -m harness.measure --preflight DIR     DIR/preflight.json -> DIR/devices.json
    python -m harness.measure --mode all --compare
    python -m harness.measure --profile stages

Exit code 0 if the answer was written (a failed case has a record too), 2 with one line otherwise.
"""

import argparse
import faulthandler
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from harness.errors import HarnessError
from harness.job import (
    DEVICES_FILE,
    JOB_FILE,
    PREFLIGHT_FILE,
    RECORD_FILE,
    Job,
    PreflightRequest,
    Progress,
)
from harness.measure.exchange import read_request, write_answer

WAITS_ARE_MONOTONIC = sys.hexversion >= 0x030B0000  # from Python 3.11 on


def report(progress: Progress) -> None:
    """One line of progress on standard output."""
    sys.stdout.write(msgspec.json.encode(progress).decode() + "\n")
    sys.stdout.flush()


def measure_job(folder: Path) -> None:
    """Runs the job of an exchange folder and leaves its record there."""
    job = read_request(folder / JOB_FILE, Job)
    report(Progress(phase="load", done=0, total=1, text=f"{job.case.id}: torch"))
    with watchdog(job.limit_s):
        from harness.measure.session import run_job  # takes seconds: it imports torch

        write_answer(folder / RECORD_FILE, run_job(job, folder, report))


@contextmanager
def watchdog(limit_s: float | None) -> Iterator[None]:
    """Ends this process, with the stack of every thread as its last words, if the block hangs.

    Whoever started it has a limit too; but that one may have been killed. Before Python 3.11 the
    wait follows the wall clock, which may be set, so there it is left to the other.
    """
    if limit_s is None or not WAITS_ARE_MONOTONIC:
        yield
        return
    faulthandler.dump_traceback_later(limit_s, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def answer_preflight(folder: Path) -> None:
    """Answers the questions of an exchange folder."""
    request = read_request(folder / PREFLIGHT_FILE, PreflightRequest)
    report(Progress(phase="preflight", done=0, total=1, text="torch"))
    from harness.measure.preflight import preflight  # takes seconds: it imports torch

    write_answer(folder / DEVICES_FILE, preflight(request))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    described = argparse.ArgumentParser(
        prog="python -m harness.measure",
        description="Measures the workload: one job of the harness, or a comparison for people.",
        epilog="example: python -m harness.measure --mode all --compare --device cpu",
    )
    what = described.add_mutually_exclusive_group(required=True)
    what.add_argument("--job", type=Path, metavar="DIR", help="run DIR/job.json")
    what.add_argument("--preflight", type=Path, metavar="DIR", help="answer DIR/preflight.json")
    what.add_argument(
        "--mode",
        choices=("isolated", "e2e", "all"),
        help="measure components, whole chunks or both, and print tables",
    )
    what.add_argument(
        "--profile",
        choices=("stages", "torch"),
        help="where an inpainting chunk's time goes: by stage (host clock) or by part (profiler)",
    )
    people = described.add_argument_group("with --mode or --profile")
    people.add_argument(
        "--compare", action="store_true", help="also measure through torch.compile, side by side"
    )
    people.add_argument("--preset", choices=("auto", "full", "tiny"), default="auto")
    people.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    people.add_argument("--gpu", metavar="INDEX|UUID", help="GPU to use (default: the first)")
    people.add_argument("--size", metavar="WxH", help="pixels, multiples of 16 (default: preset's)")
    people.add_argument("--dtype", choices=("bfloat16", "float16"), default="bfloat16")
    people.add_argument("--chunks", type=int, metavar="N", help="chunks in a timed block")
    people.add_argument("--blocks", type=int, metavar="N", help="timed blocks at most")
    people.add_argument("--weights", type=Path, metavar="DIR", help="real checkpoints")
    people.add_argument("--json", type=Path, metavar="FILE", help="also write the records, as JSON")
    return described


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one of them and returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        if options.job is not None:
            measure_job(options.job)
        elif options.preflight is not None:
            answer_preflight(options.preflight)
        else:
            from harness.measure.people import Wish, run, run_profile

            wish = Wish.from_options(options)
            run_profile(wish) if options.profile is not None else run(wish)
    except HarnessError as error:
        sys.stderr.write(f"error: {error.line}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    faulthandler.enable()  # a crash in a kernel leaves a stack in the output
    sys.exit(main())
