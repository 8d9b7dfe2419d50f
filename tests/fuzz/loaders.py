"""What is fuzzed: bytes from elsewhere go through a loader and whatever reads its answer.

Each loader returns if the bytes are accepted and raises HarnessError if they are refused. Anything
else that escapes is a crash.
"""

import functools
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.expansion import Settings, expand
from harness.matrices import load_matrix
from harness.matrix import MOST_PROCESSES, Case
from harness.measure.attribution import profiled_chunks
from harness.report.render import page
from harness.report.view import build
from harness.report.web.page import web_page
from harness.result import Record, decode, encode
from harness.store import MANIFEST, RunFolder, result_name
from tests import samples
from tests.fuzz.planted import load_deadly, load_planted

SOUND = Path(__file__).parent / "corpus" / "record"
DRAWN_ONE_OF = 40  # accepted records; figures take most of the time
SETTINGS = (
    Settings(preset="tiny", device="cpu"),
    Settings(preset="full", device="cuda", processes=3),
)


@dataclass(frozen=True)
class Loader:
    """A loader under test; its input is a file of this ending."""

    name: str
    suffix: str
    run: Callable[[Path], None]

    def __call__(self, blob: bytes) -> None:
        """Puts the bytes into a file and loads it. Raises HarnessError if they are refused."""
        with tempfile.TemporaryDirectory(prefix="vace-bench-fuzz-") as folder:
            alone = Path(folder) / "run"  # a report looks at the runs beside its own
            alone.mkdir()
            path = alone / f"input{self.suffix}"
            path.write_bytes(blob)
            self.run(path)


def load_record(path: Path) -> None:
    """A plan (`run.json`) or a record of its only case; what is accepted is rendered too."""
    blob = path.read_bytes()
    folder = RunFolder(path.parent)
    if b'"gpu_slug"' in blob:
        path.rename(path.with_name(MANIFEST))
    else:
        case, process, failed = _whose(blob)
        beside = _companions(case)
        plan = samples.manifest(case, *(record.case for record in beside))
        (folder.path / MANIFEST).write_bytes(encode(plan))
        cases = folder.path / "cases"
        cases.mkdir()
        for record in beside:  # without the fsync of a real save
            (cases / f"{record.case_id}.json").write_bytes(encode(record))
        path.rename(
            cases / (f"{case.id}.failed-1.json" if failed else result_name(case.id, process))
        )
    run = folder.load()
    drawn = zlib.crc32(blob) % DRAWN_ONE_OF == 0
    report = build(run) if drawn else build(run, lambda *_: {})
    page(report, folder.path)
    if drawn:
        web_page(report)


class _Whose(msgspec.Struct):
    """The fields of a record that decide under which name it is stored."""

    case: Case
    process: int = 0
    status: str = ""

    @property
    def failed(self) -> bool:
        return self.status == "failed"


def _whose(blob: bytes) -> tuple[Case, int, bool]:
    try:
        found = msgspec.json.decode(blob, type=_Whose)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return samples.case(), 0, False
    return found.case, found.process if 0 <= found.process < MOST_PROCESSES else 0, found.failed


@functools.cache
def _labelled() -> tuple[Record, ...]:
    """Sound records of the corpus whose cases have a label: they belong together."""
    records = [decode(path.read_bytes(), name=path.name) for path in sorted(SOUND.glob("*-*.json"))]
    return tuple(record for record in records if record.case.label)


def _companions(case: Case) -> list[Record]:
    """What a report looks at beside a case: a proof of output, or the times that it belongs to."""
    return [one for one in _labelled() if one.case.label == case.label and one.case_id != case.id]


def load_matrix_file(path: Path) -> None:
    """A matrix, expanded for a CPU and for a GPU."""
    matrix = load_matrix(str(path))
    for settings in SETTINGS:
        expand(matrix, settings)


def load_trace(path: Path) -> None:
    """A trace, attributed as one of a GPU and, without device events, of a CPU."""
    profiled_chunks(path, on_gpu=False)
    profiled_chunks(path, on_gpu=True)


LOADERS = {
    loader.name: loader
    for loader in (
        Loader("record", ".json", load_record),
        Loader("matrix", ".toml", load_matrix_file),
        Loader("trace", ".json.gz", load_trace),
        Loader("planted", ".bin", load_planted),
        Loader("deadly", ".bin", load_deadly),
    )
}
