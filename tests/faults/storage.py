"""Faults of the disks: full, read-only; each on a small file system of the fault's own corner."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.faults.outcome import Outcome, conclude, strike
from tests.faults.single import Single, mismatch, refused, wait_for_case
from tests.faults.stage import FAULTY, Stage

REPORTS_BYTES = 64 << 20
TEMPORARY_BYTES = 8 << 20


def fill(folder: Path) -> None:
    """Fills a small file system to the last byte."""
    with (folder / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(b"x" * 4096)


@contextmanager
def small_disk(folder: object, size_bytes: int) -> Iterator[None]:
    """A file system of its own on a folder of the corner."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "none", str(folder)]
    subprocess.run(command, check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def full_disk(single: Single, stage: Stage) -> Outcome:
    """The disk of the reports is full when a record is saved; space is made before the resume."""
    with stage.world(single.place) as world:
        world.reports.mkdir()
        with small_disk(world.reports, REPORTS_BYTES):
            setting = stage.setting(world, single.place)
            bench = world.start(setting.arguments, setting.child)
            wait_for_case(bench, FAULTY)
            hit = strike(world, bench.output)
            fill(world.reports)
            ended = bench.end()
            problems = refused("cannot write")(world, ended)
            (world.reports / "filler").unlink()
            return conclude(
                single.name, world, setting, hit, ended, check=lambda world, ended: problems
            )


def read_only(single: Single, stage: Stage) -> Outcome:
    """The run's folder becomes read-only while a case runs."""
    with stage.world(single.place) as world:
        setting = stage.setting(world, single.place)
        bench = world.start(setting.arguments, setting.child)
        wait_for_case(bench, FAULTY)
        hit = strike(world, bench.output)
        folder = str(world.reports / "cpu")
        for options in (["--bind", folder], ["-o", "remount,bind,ro"]):
            subprocess.run(["mount", *options, folder], check=True)
        try:
            ended = bench.end()
            problems = refused("Read-only file system")(world, ended)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)
        return conclude(
            single.name, world, setting, hit, ended, check=lambda world, ended: problems
        )


def full_temporary(single: Single, stage: Stage) -> Outcome:
    """The temporary folder, through which a local case gives its record, is full."""
    with stage.world(single.place) as world, small_disk(world.temporary, TEMPORARY_BYTES):
        setting = stage.setting(world, single.place, real=True)
        bench = world.start(setting.arguments, setting.child)
        bench.wait_for(lambda: f"] {FAULTY}: steady" in bench.output)
        hit = strike(world, bench.output)
        fill(world.temporary)
        ended = bench.end()
        failures = world.failures()
        problems = (
            ["no failure"]
            if not failures
            else mismatch(failures[0], "infrastructure", "record.json cannot be written", "")
        )
        (world.temporary / "filler").unlink()
        return conclude(
            single.name, world, setting, hit, ended, check=lambda world, ended: problems
        )
