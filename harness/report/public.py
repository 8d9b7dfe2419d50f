"""Proves by a scan that a run which is to be published names neither its host nor its user.

Everything of a run's folder that could be published is read: plan, records, report and figures, and
the report as an HTML file. Traces stay out of it, as they stay out of version control.
"""

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.compact import document_name, read_document
from harness.errors import PrivacyError
from harness.identifying import Found, Names, names_of_host
from harness.intake import parse_json, read_file, refuse_links
from harness.result import RECORD_LIMIT_BYTES
from harness.store import MANIFEST

TRACES = "traces"
EXCERPTS = "excerpts"  # of traces: a chunk each
EXCERPT_LIMIT_BYTES = 64 * 2**20  # unpacked
TEXTS = (".md", ".svg", ".html")
PAGE_LIMIT_BYTES = 32 * 2**20  # of a report or a figure
COMMENT = re.compile(r"<!--\s*-->")
PICTURE = re.compile(
    r"(data:image/png;base64,)[A-Za-z0-9+/]+"
)  # pixels, which spell words by chance
ESCAPE = re.compile(r"\\([\\`*_\[\]{}|~#!$+=.)-])")


@dataclass(frozen=True)
class Place:
    """Where something was found: a file of the run, and a JSON path or a line in it."""

    file: str
    where: str
    found: Found

    @property
    def line(self) -> str:
        """For a message; what was found is masked."""
        return f"{self.file} at {self.where} holds a {self.found.kind} ({self.found.masked})"


def scan(pages: Iterable[Path]) -> Iterator[str]:
    """Scans the runs of rendered reports, and the pages over runs among them; a line for each.

    Raises PrivacyError for the first that says too much.
    """
    names = Names(names_of_host())
    for page in pages:
        if (page.parent / MANIFEST).exists():
            files = check_public(page.parent, names)
            yield f"{page.parent.name}: {files} files name neither host nor user"
        else:
            check_page(page, names)
            yield f"{page.parent.name}/{page.name} names neither host nor user"


def check_public(run: Path, names: Names) -> int:
    """Number of files scanned of the run in folder `run`.

    Raises PrivacyError naming file, place and kind of what was found first, and for a file that
    cannot be scanned.
    """
    files = list(_files(run))
    places = [place for file in files for place in scan_file(run, file, names)]
    if places:
        more = f", and {len(places) - 1} more places" if len(places) > 1 else ""
        raise PrivacyError(
            f"run {run.name}: {places[0].line}{more}",
            next_step="do not publish it; remove it from the record, then `invoke report --run`",
        )
    return len(files)


def check_page(page: Path, names: Names) -> None:
    """The same for a page beside the runs, as the index is."""
    places = list(scan_file(page.parent, page, names))
    if places:
        raise PrivacyError(places[0].line, next_step="do not publish it")


def scan_file(run: Path, file: Path, names: Names) -> Iterator[Place]:
    """What one file holds, its name included. Raises PrivacyError if it cannot be read."""
    name = file.relative_to(run).as_posix()
    for found in names.find(name):
        yield Place(name.replace(found.text, found.masked), "its name", found)
    try:
        refuse_links(run, file)
        if _is_document(file):
            limit = EXCERPT_LIMIT_BYTES if file.parent.name == EXCERPTS else RECORD_LIMIT_BYTES
            document = parse_json(read_document(file, limit))
            pieces = _pieces(document, "")
        elif file.suffix in TEXTS:
            pieces = _lines(read_file(file, PAGE_LIMIT_BYTES).decode())
        else:
            raise ValueError("is no file of a run")
    except (OSError, ValueError) as error:
        raise PrivacyError(
            f"run {run.name}: {name} cannot be scanned ({error})",
            next_step="remove it before you publish the run",
        ) from error
    for where, text in pieces:
        for found in names.find(text):
            yield Place(name, where, found)


def _is_document(file: Path) -> bool:
    return document_name(file).endswith(".json")


def _files(run: Path) -> Iterator[Path]:
    """Records first: what a page says comes from them."""
    for path in sorted(
        run.rglob("*"), key=lambda path: (not document_name(path).endswith(".json"), path)
    ):
        inside = path.relative_to(run).parts
        if inside[0] != TRACES and (path.is_symlink() or not path.is_dir()):
            yield path


def _pieces(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every text and key of a document with its JSON path."""
    if isinstance(value, str):
        yield path or "/", value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _pieces(item, f"{path}/{index}")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield f"a key of {path or '/'}", key
            # A pattern may need both: "serial": "1234567".
            yield f"{path}/{key}", f"{key}: {item}" if isinstance(item, str) else ""
            if not isinstance(item, str):
                yield from _pieces(item, f"{path}/{key}")


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Every line of a page, as it is and as one reads it once it is rendered."""
    for number, line in enumerate(text.splitlines(), start=1):
        line = PICTURE.sub(r"\1", line)
        read = html.unescape(ESCAPE.sub(r"\1", COMMENT.sub("", line)))
        yield f"line {number}", line if read == line else f"{line}\n{read}"
