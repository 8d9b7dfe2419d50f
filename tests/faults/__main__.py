"""Injects every kind of fault and writes the table: tests/faults/table.jsonl and docs/faults.md.

    python -m tests.faults --moments 20 --base-image ... --wheelhouse ...
    python -m tests.faults --gpu --keep DIR --base-image ...   on a GPU host, seven minutes
    python -m tests.faults --add DIR/injections.jsonl          brings those into the table

Kinds that have as many injections as asked for are not injected again, so it can be interrupted.
Faults of the engine need VACE_BENCH_DESTRUCTIVE=1 and root; kinds that cannot run here are named.
"""

import argparse
import fnmatch
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import EngineError
from harness.host.engine import connect
from harness.host.image import ImageOptions, ensure_image
from tests.faults import nvml_codes, table
from tests.faults.kills import KILLS, Kill, engine_kills, inject
from tests.faults.outcome import Outcome
from tests.faults.private_engine import PrivateEngine, why_not
from tests.faults.singles import SINGLES
from tests.faults.stage import CASES, Stage
from tests.faults.world import ROOT

TRIES = 10  # to hit a run before it is over


def parser() -> argparse.ArgumentParser:
    """The command line."""
    described = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    described.add_argument("--moments", type=int, default=2, help="injections of each kill")
    described.add_argument("--kinds", default="*", help="only kinds whose name matches")
    described.add_argument("--real", default="", help="kills that hit a real case, not a played")
    described.add_argument("--seed", type=int, default=20261125)
    described.add_argument(
        "--gpu", action="store_true", help="three faults on a GPU, not in the table"
    )
    described.add_argument("--size", default="512x512", help="of the cases with --gpu")
    described.add_argument("--device", default="cuda", choices=("cuda", "cpu"), help="likewise")
    described.add_argument("--limit-s", type=float, default=540.0, help="of all with --gpu")
    described.add_argument("--keep", type=Path, help="new folder for what --gpu injected and saw")
    described.add_argument("--add", type=Path, help="injections to add to the table; injects none")
    described.add_argument("--base-image")
    described.add_argument("--torch", default="torch==2.13.0")
    described.add_argument("--wheelhouse", type=Path)
    described.add_argument("--ca-bundle", type=Path)
    described.add_argument("--offline", action="store_true")
    return described


def image_arguments(given: argparse.Namespace) -> list[str]:
    """The image's options as `invoke bench` takes them."""
    named = {"--base-image": given.base_image, "--wheelhouse": given.wheelhouse}
    named |= {"--ca-bundle": given.ca_bundle, "--torch": given.torch}
    # A bench runs in a folder of its own, so a path must not depend on where it is called.
    named |= {k: v.resolve() for k, v in named.items() if isinstance(v, Path)}
    words = [word for name, value in named.items() if value for word in (name, str(value))]
    return words + (["--offline"] if given.offline else [])


@contextmanager
def prepared(given: argparse.Namespace, folder: Path) -> Iterator[Stage]:
    """The stage with whatever engines can be had here."""
    stage = Stage(folder, played=True, image_arguments=image_arguments(given))
    try:
        stage.engine = connect()
        options = ImageOptions(
            base_image=given.base_image or ImageOptions.base_image,
            torch=given.torch,
            wheelhouse=given.wheelhouse,
            ca_bundle=given.ca_bundle,
            offline=given.offline,
        )
        image = ensure_image(stage.engine, ROOT, options, lambda line: None)
    except EngineError as error:
        say(f"no kinds in containers: {error.line}")
        yield stage
        return
    reason = why_not()
    if reason is not None:
        say(f"no kinds of an engine of our own: {reason}")
        yield stage
        return
    private = PrivateEngine(folder / "engine")
    try:
        private.start()
        private.load(stage.engine, options.base_image)
        private.load(stage.engine, image.tag)
        stage.private = private
        yield stage
    finally:
        private.close()


def run(stage: Stage, given: argparse.Namespace) -> None:
    """Every kind that is wanted and possible, until each has its number."""
    have = {key: len(each) for key, each in table.rows(table.load()).items()}
    for single in SINGLES:
        wanted = _matches(single.name, given.kinds) and stage.offers(single.place)
        if wanted and not have.get((single.name, single.place)):
            keep(single.inject(single, stage))
    kills = (*KILLS, *(engine_kills(stage.private) if stage.private else ()))
    for kill in kills:
        if _matches(kill.name, given.kinds) and stage.offers(kill.place):
            real = kill.real or _matches(kill.name, given.real)
            missing = given.moments - have.get((kill.name, kill.place), 0)
            for outcome in kill_at_random(kill, stage, missing, given.seed, real=real):
                keep(outcome)


def kill_at_random(
    kill: Kill, stage: Stage, times: int, seed: int, *, real: bool
) -> Iterator[Outcome]:
    """One kind of kill at that many random moments of a run, whose length is measured first."""
    if times < 1:
        return
    chance = random.Random(f"{seed} {kill.name} {kill.place} {times}")
    duration_s = undisturbed_s(stage, kill.place, real=real)
    for _ in range(times):
        for _ in range(TRIES):
            with stage.world(kill.place) as world:
                setting = stage.setting(world, kill.place, real=real)
                outcome = inject(kill, world, setting, chance.uniform(0.0, duration_s))
            if outcome is not None:
                yield outcome
                break
        else:
            raise AssertionError(f"{kill.name}: the run was over before each moment")


def undisturbed_s(stage: Stage, place: str, *, real: bool, cases: int = len(CASES)) -> float:
    """How long a run takes that nothing happens to; it must leave nothing either."""
    with stage.world(place) as world:
        setting = stage.setting(world, place, real=real, cases=cases)
        started_s = time.monotonic()
        ended = world.run(setting.arguments, setting.child)
        assert ended.code == 0, ended.output
        assert world.orphans() == []
        return time.monotonic() - started_s


def keep(outcome: Outcome) -> None:
    """Adds an injection to the record and shows it."""
    table.append(outcome)
    bad = [f"{outcome.lost} LOST"] if outcome.lost else []
    bad += [f"WRONG: {text}" for text in outcome.wrong]
    bad += [f"LEFT: {text}" for text in outcome.orphans]
    moment = "" if outcome.moment_s is None else f" at {outcome.moment_s:.1f} s"
    say(f"{outcome.kind} ({outcome.where}){moment}: {'; '.join(bad) or 'ok'}")


def say(line: str) -> None:
    """One line at once."""
    print(line, flush=True)


def _matches(name: str, patterns: str) -> bool:
    return any(fnmatch.fnmatch(name, one) for one in patterns.split(",") if one)


def on_gpu(given: argparse.Namespace, folder: Path) -> int:
    """The three faults on a GPU; the folder for what they leave must be new."""
    from tests.faults.on_gpu import Options, run_on_gpu

    if given.keep is not None:
        given.keep.mkdir(parents=True)
    # A limit from outside ends it in order: what was seen is kept, what was started is removed.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    options = Options(device=given.device, size=given.size, limit_s=given.limit_s, keep=given.keep)
    return run_on_gpu(folder, options, image_arguments(given))


def add(path: Path) -> None:
    """Adds the injections of a file, none of them twice."""
    if not path.is_file():
        raise SystemExit(f"{path} is no file")
    have = table.load()
    for outcome in table.load(path):
        if outcome not in have:
            table.append(outcome)


def main() -> int:
    """Injects, then writes the document; exit code 1 if anything was lost, wrong or left."""
    given = parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="vace-faults-") as name:
        if given.gpu:
            return on_gpu(given, Path(name))
        if given.add is not None:
            add(given.add)
        else:
            with prepared(given, Path(name)) as stage:
                run(stage, given)
    outcomes = table.load()
    wrong = nvml_codes.wrong()
    table.DOCUMENT.write_text(table.document(outcomes, (nvml_codes.count(), len(wrong))))
    bad = [one for one in outcomes if one.lost or one.wrong or one.orphans]
    say(f"{len(outcomes)} injections of {len(table.rows(outcomes))} kinds, {len(bad)} bad")
    return 1 if bad or wrong else 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    sys.exit(main())
