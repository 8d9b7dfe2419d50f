"""Does every number of a report resolve to a path in the record? If not, the report fails.

Templates print only cells and words without digits (`check_template`), a cell that shows a digit
names its sources, and every source must be found in the files of the run (`check_view`).
"""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment

from harness.analysis import (
    arm_power,
    causes,
    compiled,
    components,
    error_budget,
    experiment,
    findings,
    fix_targets,
    floor_reasons,
    growth,
    output_errors,
    published,
    published_advice,
    root_causes,
    targets,
)
from harness.compact import SUFFIX, read_document
from harness.matrix import FIRST_STEADY_CHUNK
from harness.origin import ADDED, Added
from harness.profile_checks import CHECKS, MOST_DISTORTION
from harness.profile_witness import MOST_DEVIATION
from harness.report.cells import Block, Cell
from harness.report.kept import DOCUMENT
from harness.result import RECORD_LIMIT_BYTES, Record
from harness.run import Manifest
from harness.store import MANIFEST

RULES: dict[str, float] = {
    **findings.LIMITS,
    **targets.TARGETS,
    **root_causes.LIMITS,
    **fix_targets.FIX_TARGETS,
    **output_errors.LIMITS,
    **error_budget.BUDGET,
    **growth.REAL_TIME_FPS,
    **floor_reasons.LIMITS,
    **arm_power.LIMITS,
    "CONFIDENCE": experiment.CONFIDENCE,
    "MOST_P": causes.MOST_P,
    "LEAST_RHO": causes.LEAST_RHO,
    "MIN_EFFECT": compiled.MIN_EFFECT,
    "RESIDUAL_LIMIT": components.RESIDUAL_LIMIT,
    "FIRST_STEADY_CHUNK": FIRST_STEADY_CHUNK,
    "MOST_DISTORTION": MOST_DISTORTION,
    "MOST_DEVIATION": MOST_DEVIATION,
    **{f"profile.{check.name}": check.least for check in CHECKS},
}
DOCUMENTS = {MANIFEST: Manifest, ADDED: Added, DOCUMENT: Any}  # all others: records
# A digit that begins a number; those inside a word (e2e, sha256) are part of a name.
NUMBER = re.compile(r"(?<![A-Za-z0-9_])\d")
PUBLISHED = {
    *published.FIGURES,
    *(item.name for item in published.OPERATORS),
    *published.DIFFERENCES,
    *published_advice.NAMES,
}


class UnsourcedNumberError(Exception):
    """A number in a report that no stored file contains: a bug of the report."""


def check_template(environment: Environment, name: str) -> None:
    """Raises UnsourcedNumberError for a digit in the words of a template."""
    if environment.loader is None:
        raise ValueError("the environment has no loader")
    text, _, _ = environment.loader.get_source(environment, name)
    for line, kind, value in environment.lex(text, name=name):
        if kind in ("data", "string", "integer", "float") and NUMBER.search(value):
            raise UnsourcedNumberError(f"{name}:{line}: number in the template: {value.strip()!r}")


def check_view(view: object, folder: Path) -> None:
    """Raises UnsourcedNumberError for a cell whose number has no source that resolves."""
    documents: dict[str, Any] = {}
    for cell in cells_of(view):
        if NUMBER.search(cell.text) and not cell.sources:
            raise UnsourcedNumberError(f"number without source: {cell.text!r}")
        for source in cell.sources:
            if not _resolves(source, folder, documents):
                raise UnsourcedNumberError(f"{cell.text!r}: {source} is not in the record")


def cells_of(view: object) -> Iterator[Cell | Block]:
    """Every cell and block of a view."""
    if isinstance(view, Cell | Block):
        yield view
    elif dataclasses.is_dataclass(view):
        for field in dataclasses.fields(view):
            yield from cells_of(getattr(view, field.name))
    elif isinstance(view, tuple | list):
        for item in view:
            yield from cells_of(item)


def _resolves(source: str, folder: Path, documents: dict[str, Any]) -> bool:
    file, _, path = source.partition("#")
    if file == "rule":
        return path in RULES
    if file == "beside":
        return (folder.resolve().parent / path).is_dir()
    if file == "published":
        return path in PUBLISHED
    if file not in documents:
        target = folder / file
        documents[file] = _document(target)
    steps = [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:]]
    return documents[file] is not None and _found(documents[file], steps)


def _document(file: Path) -> Any:
    """A document as plain values, with those that the file leaves to their defaults."""
    kind: Any = DOCUMENTS.get(file.name, Record)
    there = next((one for one in (file, file.with_name(file.name + SUFFIX)) if one.is_file()), None)
    if there is None:
        return None
    blob = read_document(there, RECORD_LIMIT_BYTES)
    return msgspec.to_builtins(msgspec.json.decode(blob, type=kind))


def _found(value: Any, steps: list[str]) -> bool:
    if not steps:
        return True
    step, rest = steps[0], steps[1:]
    if step == "*":
        children = value.values() if isinstance(value, dict) else value
        return isinstance(value, dict | list) and any(_found(child, rest) for child in children)
    if isinstance(value, dict):
        return step in value and _found(value[step], rest)
    if isinstance(value, list):
        return step.isdecimal() and int(step) < len(value) and _found(value[int(step)], rest)
    return False
