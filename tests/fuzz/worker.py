"""The process that fuzzes: one loader under libFuzzer, led by the coverage of the harness's code.

    python -m tests.fuzz.worker LOADER STATE_FOLDER [libFuzzer's options and corpus folders]

STATE_FOLDER gets `counts.json`, renewed as it goes, and one file for each kind of crash with its
traceback beside it. A crash that Python can catch does not end the process.
"""

import importlib
import json
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import atheris

from tests.fuzz.mutation import MUTATIONS

COUNTS = "counts.json"
TIME_LIMIT_S = 2.0  # of the process's own time, so that a crowded machine is no finding
SAVE_EVERY_S = 0.5
TOML = "tomllib" if sys.version_info >= (3, 11) else "tomli"
INSTRUMENTED = ("harness", "tests.fuzz.planted", TOML)
# Mutations out of ten that know the format, and of these such that begin at a sound file again:
# what libFuzzer keeps is mostly damaged. The others are libFuzzer's own.
STRUCTURED_OF_TEN = 7
SOUND_OF_TEN = 3
CORPUS = Path(__file__).resolve().parent / "corpus"


class Watch:
    """Calls a loader, and keeps what came of it."""

    def __init__(self, loader: Callable[[bytes], None], refusal: type[Exception], state: Path):
        self._loader, self._refusal, self._state = loader, refusal, state
        self._saved_s = 0.0
        self.counts = {"executions": 0, "refused": 0, "accepted": 0, "crashes": 0}

    def __call__(self, blob: bytes) -> None:
        began_s = time.process_time()
        try:
            self._loader(blob)
        except self._refusal:
            self.counts["refused"] += 1
        except Exception as error:  # noqa: BLE001 (whatever escapes is the finding)
            self._keep(_kind(error), blob, traceback.format_exc())
        else:
            self.counts["accepted"] += 1
        self.counts["executions"] += 1
        spent_s = time.process_time() - began_s
        if spent_s > TIME_LIMIT_S:
            self._keep("slow", blob, f"{spent_s:.1f} s\n")
        if time.monotonic() - self._saved_s > SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        """Writes the counts for the process that watches this one."""
        partial = self._state / f"{COUNTS}.part"
        partial.write_text(json.dumps(self.counts))
        partial.replace(self._state / COUNTS)
        self._saved_s = time.monotonic()

    def _keep(self, kind: str, blob: bytes, text: str) -> None:
        self.counts["crashes"] += 1
        target = self._state / f"crash-{kind}"
        if not target.exists():
            target.write_bytes(blob)
            target.with_name(f"{target.name}.txt").write_text(text)
        self.save()


def _kind(error: Exception) -> str:
    """Type and innermost place in the harness: crashes that share it are one finding."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/harness/" in frame.filename] or list(frames)
    return f"{type(error).__name__}-{Path(ours[-1].filename).stem}-{ours[-1].lineno}"


def main(arguments: list[str]) -> None:
    """Fuzzes until libFuzzer's options end it."""
    name, folder, *options = arguments
    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        from harness.errors import HarnessError
        from tests.fuzz.loaders import LOADERS

        importlib.import_module(TOML)
    warnings.simplefilter("error", RuntimeWarning)  # numpy's way to say that a number broke
    watch = Watch(LOADERS[name], HarnessError, Path(folder))
    structured = MUTATIONS[name]
    sound = [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]

    def mutate(blob: bytes, max_size: int, seed: int) -> bytes:
        way = seed % 10
        if sound and way < SOUND_OF_TEN:
            blob = sound[seed // 10 % len(sound)]
        changed = structured(blob, seed) if way < STRUCTURED_OF_TEN else None
        if changed is None or len(changed) > max_size:
            return bytes(atheris.Mutate(blob, max_size))
        return changed

    watch.save()
    atheris.Setup([sys.argv[0], *options], watch, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
