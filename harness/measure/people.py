"""`--mode ... [--compare]` and `--profile ...`: cases one by one, then tables on the terminal.

Each case runs in a fresh process through the same `--job` path as in a container, so the numbers
are those that a record holds.
"""

import argparse
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.errors import CaseError, DeviceError, StorageError
from harness.expansion import Settings, expand, parse_size
from harness.job import JOB_FILE, RECORD_FILE, Job, parse_progress
from harness.matrix import Axes, Case, Device, Dtype, Matrix, PresetName
from harness.measure.exchange import write_answer
from harness.measure.profile_tables import profile_tables
from harness.measure.tables import tables
from harness.result import Failure, Record, Result, decode


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the command line asks for."""

    mode: str | None
    profile: str | None
    compare: bool
    preset: str
    device: str
    gpu: str | None
    size: str | None
    dtype: Dtype
    chunks: int | None
    blocks: int | None
    weights: Path | None
    json: Path | None

    @classmethod
    def from_options(cls, options: argparse.Namespace) -> "Wish":
        """From the parsed command line."""
        return cls(
            mode=options.mode,
            profile=options.profile,
            compare=options.compare,
            preset=options.preset,
            device=options.device,
            gpu=options.gpu,
            size=options.size,
            dtype=options.dtype,
            chunks=options.chunks,
            blocks=options.blocks,
            weights=options.weights,
            json=options.json,
        )


def run(wish: Wish) -> None:
    """Measures and prints. Raises CaseError at the end if a case failed."""
    if wish.size is not None:
        parse_size(wish.size)
    say("looking for devices ...")
    device = choose_device(wish.device)
    cases = plan(wish, device)
    records = []
    for number, case in enumerate(cases, start=1):
        say(f"[{number}/{len(cases)}] {case.id} on {device}")
        records.append(run_case(case, wish))
    _tell(records, tables([record for record in records if isinstance(record, Result)]), wish)


def run_profile(wish: Wish) -> None:
    """One inpainting case with its profile, as a table. Raises CaseError if it failed."""
    say("looking for devices ...")
    (case,) = plan(wish, choose_device(wish.device))
    say(f"{case.id} on {case.device}")
    record = run_case(case, wish)
    told = profile_tables(record, wish.profile or "") if isinstance(record, Result) else ()
    _tell([record], told, wish)


def _tell(records: list[Record], lines: Iterable[str], wish: Wish) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")
    if wish.json is not None:
        _write_json(wish.json, records)
    failures = [record for record in records if isinstance(record, Failure)]
    if failures:
        raise CaseError(
            f"{len(failures)} of {len(records)} cases failed: "
            + "; ".join(f"{failed.case_id}: {failed.message}" for failed in failures)
        )


def choose_device(wanted: str) -> Device:
    """The wanted device, or the best one there is. Raises DeviceError without the wanted GPU."""
    if wanted == "cpu":
        return "cpu"
    from harness.measure.devices import list_gpus, why_no_cuda  # takes seconds: it imports torch

    if list_gpus():
        return "cuda"
    if wanted == "cuda":
        raise DeviceError(why_no_cuda(), next_step="use --device cpu")
    say(f"{why_no_cuda()}; using the CPU")
    return "cpu"


def plan(wish: Wish, device: Device) -> list[Case]:
    """The cases: all components, whole chunks in every mode, and what --compare adds."""
    effort = {"chunks_per_block": wish.chunks, "blocks": wish.blocks}
    given = {name: value for name, value in effort.items() if value is not None}
    axes: list[dict[str, object]] = []
    if wish.mode in ("isolated", "all"):
        axes.append({"kind": ["isolated"], "mode": ["inpainting"]})
    if wish.mode in ("e2e", "all"):
        axes.append({"kind": ["e2e"], "mode": ["inpainting", "depth", "text"]})
    if wish.profile is not None:
        axes.append({"kind": ["e2e"], "mode": ["inpainting"], "profile": True, "blocks": 1})
    if wish.compare:
        compiled = {"mode": ["inpainting"], "compiled": [True]}
        axes += [{"kind": part["kind"], **compiled} for part in axes]
    preset: PresetName = "full" if device == "cuda" else "tiny"
    if wish.preset in ("full", "tiny"):
        preset = "full" if wish.preset == "full" else "tiny"
    settings = Settings(
        preset=preset,
        device=device,
        size=wish.size,
        dtype=wish.dtype,
        weights="seeded" if wish.weights is None else "checkpoint",
    )
    entries = [msgspec.convert({**part, **given}, Axes) for part in axes]
    return expand(Matrix(name="people", cases=entries), settings)


def run_case(case: Case, wish: Wish) -> Record:
    """One case in a process of its own. Raises CaseError if it leaves no record."""
    with tempfile.TemporaryDirectory(prefix="vace-bench-") as name:
        folder = Path(name)
        job = Job(
            case=case,
            salt=secrets.token_hex(16),
            weights_dir=None if wish.weights is None else str(wish.weights.absolute()),
            gpu=wish.gpu,
        )
        write_answer(folder / JOB_FILE, job)
        command = [sys.executable, "-m", "harness.measure", "--job", str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                progress = parse_progress(line)
                if progress is not None:
                    say(f"    {progress.phase} {progress.done}/{progress.total} {progress.text}")
        record = folder / RECORD_FILE
        if not record.exists():
            raise CaseError(f"{case.id} ended with exit code {process.returncode} and no record")
        return decode(record.read_bytes(), name=case.id)


def say(text: str) -> None:
    """Progress goes to standard error, so that the tables can be piped."""
    sys.stderr.write(text.rstrip() + "\n")
    sys.stderr.flush()


def _write_json(path: Path, records: list[Record]) -> None:
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(records), indent=1) + b"\n")
    except OSError as error:
        raise StorageError(f"{path.name} cannot be written ({error.strerror})") from error
