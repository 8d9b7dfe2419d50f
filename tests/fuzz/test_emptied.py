"""What fuzzing meets by chance, here in full: each place of a sound record emptied, once."""

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError
from tests.fuzz.campaign import CORPUS
from tests.fuzz.loaders import LOADERS

Place = tuple[str | int, ...]
LOOKED_AT = 1  # items of a list; the others are like it
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


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.name)
def test_a_record_with_any_one_value_gone_is_read_or_refused(path: Path) -> None:
    document = json.loads(path.read_bytes())
    tried = 0
    for place, value in places(document):
        for instead in emptied(value):
            tried += 1
            blob = json.dumps(changed(document, place, instead)).encode()
            try:
                with suppress(HarnessError):
                    LOADERS["record"](blob)
            except Exception as error:
                raise AssertionError(f"{instead!r} at {'/'.join(map(str, place))}") from error
    assert tried > 2 * len(document)
