"""harness.host.matrix_form: the schema says what the types take, and a new matrix loads."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.errors import StorageError, UsageError
from harness.expansion import Settings, expand
from harness.host.matrix_form import EXAMPLES, MEANING, SCHEMA, new_matrix, schema, schema_file
from harness.matrices import MATRICES, load_matrix
from harness.matrix import Axes, Matrix
from harness.variants import resolve

ROOT = Path(__file__).resolve().parents[2]
FIELDS: dict[str, Any] = schema()["$defs"]["Axes"]["properties"]


def test_the_stored_schema_is_current() -> None:
    assert (ROOT / SCHEMA).read_bytes() == schema_file(), (
        f"python -m harness.host.matrix_form > {SCHEMA}"
    )


def test_every_key_has_a_meaning() -> None:
    assert set(MEANING) == set(Axes.__struct_fields__) == set(FIELDS)
    table = (ROOT / "docs" / "matrix.md").read_text()
    assert [name for name in MEANING if f"| `{name}` |" not in table] == []


def test_its_patterns_are_those_of_an_editor() -> None:
    """`\\Z` is Python's; an editor's `$` is the end of the text."""
    text = schema_file().decode()
    assert "\\\\Z" not in text
    patterns = re.findall(r'"pattern": "(.*)"', text)
    assert len(patterns) > 4
    assert all(re.fullmatch(r"\^.*\$", pattern) for pattern in patterns)


@pytest.mark.parametrize("key", ["variant", "arms"])
def test_names_to_choose_from_are_known(key: str) -> None:
    names, pattern = FIELDS[key]["items"]["anyOf"]
    for name in names["enum"]:
        assert re.search(pattern["pattern"], name)
        if name not in ("base", "compiled"):
            resolve(name)


def test_a_new_matrix_loads_with_and_without_its_comments(tmp_path: Path) -> None:
    path = new_matrix(ROOT, "mine", str(tmp_path / "mine.toml"))
    text = path.read_text()
    first = text.splitlines()[0].split()
    assert first[0] == "#:schema"
    assert (tmp_path / first[1]).resolve() == ROOT / SCHEMA
    settings = Settings(preset="full", device="cuda")
    assert len(expand(load_matrix(str(path)), settings)) == 2
    keys = "|".join(EXAMPLES)
    path.write_text(re.sub(rf"(?m)^# ({keys}) = ", r"\1 = ", text))
    (entry,) = load_matrix(str(path)).cases
    for key, value in EXAMPLES.items():
        given = getattr(entry, key)
        assert (list(given) if isinstance(given, tuple) else given) == value
    assert len(expand(load_matrix(str(path)), settings)) > 8


def test_what_cannot_be_written(tmp_path: Path) -> None:
    for name in ("", "Mine", "../mine", "a" * 33):
        with pytest.raises(UsageError, match="is no name of a matrix"):
            new_matrix(ROOT, name, str(tmp_path / "x.toml"))
    with pytest.raises(UsageError, match="is built in"):
        new_matrix(ROOT, "quick", str(tmp_path / "x.toml"))
    new_matrix(ROOT, "mine", str(tmp_path / "x.toml"))
    with pytest.raises(StorageError, match="never overwritten"):
        new_matrix(ROOT, "mine", str(tmp_path / "x.toml"))
    with pytest.raises(StorageError, match="No such file"):
        new_matrix(ROOT, "mine", str(tmp_path / "none/x.toml"))


def test_built_in_matrices_name_only_what_the_schema_has() -> None:
    for matrix in MATRICES.values():
        plain = msgspec.to_builtins(matrix)
        assert set(plain) == set(Matrix.__struct_fields__)
        for entry in plain["cases"]:
            for kind in entry["kind"]:
                assert kind in FIELDS["kind"]["items"]["enum"]
