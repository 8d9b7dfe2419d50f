"""What fuzzing meets by chance, here in full: each place of a sound record emptied, once."""

import copy
import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.report.render import page
from harness.report.view import build
from harness.store import RunFolder, runs
from tests.fuzz.campaign import CORPUS
from tests.fuzz.loaders import LOADERS

Place = tuple[str | int, ...]
LOOKED_AT = 1  # items of a list; the others are like it
STORED = Path(__file__).parents[1] / "records"
RECORDS = sorted((CORPUS / "record").glob("*.json"))


def places(value: Any, at: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every place of a document and what lies there."""
    if at:
        yield at, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*at, key))
    elif isinstance(value, list):
        for index, item in enumerate(value[:LOOKED_AT]):
            yield from places(item, (*at, index))


def emptied(value: Any) -> tuple[Any, ...]:
    """What can stand there instead: nothing at all, or nothing of its type."""
    return (None, 0) if isinstance(value, bool | int | float) else (None, type(value)())


def changed(document: Any, place: Place, value: Any) -> Any:
    document = copy.deepcopy(document)
    holder = document
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    return document


def check(read: Callable[[bytes], object], document: Any, part: Place) -> None:
    """Reads the document without each value of this part. Raises AssertionError for a crash."""
    holder = document
    for step in part:
        holder = holder[step]
    for place, value in places(holder):
        for instead in emptied(value):
            at = (*part, *place)
            try:
                with suppress(HarnessError):
                    read(json.dumps(changed(document, at, instead)).encode())
            except Exception as error:
                raise AssertionError(f"{instead!r} at {'/'.join(map(str, at))}") from error


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.name)
def test_a_record_with_any_one_value_gone_is_read_or_refused(path: Path) -> None:
    check(LOADERS["record"], json.loads(path.read_bytes()), ())


def test_a_profile_with_any_one_value_gone_is_read_or_refused(tmp_path: Path) -> None:
    """Profiles are too large for the corpus: that of a stored run."""
    (source,) = runs(STORED / "schema-7")
    run = RunFolder(shutil.copytree(source, tmp_path / "run"))
    (packed,) = (run.path / "cases").iterdir()
    document = json.loads(gzip.decompress(packed.read_bytes()))
    packed.unlink()

    def read(blob: bytes) -> None:
        packed.with_suffix("").write_bytes(blob)
        page(build(run.load(), lambda *_: {}), run.path)

    read(json.dumps(document).encode())  # as it is
    check(read, document, ("profile",))


def test_a_crash_says_where() -> None:
    with pytest.raises(AssertionError, match="None at a/b"):
        check(lambda blob: json.loads(blob)["a"]["b"] + 1, {"a": {"b": 1}}, ("a",))
