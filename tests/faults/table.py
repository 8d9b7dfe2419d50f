"""The table of faults: every injection as a line of JSON, and what docs/faults.md says of them."""

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from tests.faults.outcome import Outcome

HERE = Path(__file__).parent
RECORD = HERE / "table.jsonl"
DOCUMENT = HERE.parents[1] / "docs/faults.md"
INTRODUCTION = HERE / "introduction.md"
NVML = "NVML failing at each call, with each code"


def load(path: Path = RECORD) -> list[Outcome]:
    """Every injection that was kept."""
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Outcome) for line in lines]


def append(outcome: Outcome, path: Path = RECORD) -> None:
    """Keeps one more."""
    with path.open("ab") as file:
        file.write(msgspec.json.encode(outcome) + b"\n")


def rows(outcomes: Iterable[Outcome]) -> dict[tuple[str, str], list[Outcome]]:
    """Outcomes by kind and place, in the order in which they came first."""
    found: dict[tuple[str, str], list[Outcome]] = {}
    for one in outcomes:
        found.setdefault((one.kind, one.where), []).append(one)
    return found


def document(outcomes: Iterable[Outcome], nvml: tuple[int, int]) -> str:
    """docs/faults.md; `nvml` is how many codes at calls were tried, and how many ended wrong."""
    found = rows(outcomes)
    return "\n".join([INTRODUCTION.read_text(), *_counts(found, nvml), "", *_told(found)]) + "\n"


def _counts(found: dict[tuple[str, str], list[Outcome]], nvml: tuple[int, int]) -> Iterator[str]:
    yield "| fault | in | times | finished cases | lost | wrong | left | recovery, s |"
    yield "|:--|:--|--:|--:|--:|--:|--:|--:|"
    for (kind, where), each in found.items():
        times_s = [one.recovered_s for one in each if one.recovered_s is not None]
        took = f"{statistics.median(times_s):.1f} ({max(times_s):.1f})" if times_s else "-"
        yield (
            f"| {kind} | {where} | {len(each)} | {sum(one.finished for one in each)} "
            f"| {sum(one.lost for one in each)} | {sum(bool(one.wrong) for one in each)} "
            f"| {sum(len(one.orphans) for one in each)} | {took} |"
        )
    tried, wrong = nvml
    yield f"| {NVML} | sampler alone | {tried} | - | - | {wrong} | - | - |"


def _told(found: dict[tuple[str, str], list[Outcome]]) -> Iterator[str]:
    yield "## What is seen, what the record says, what `--resume` does"
    yield "The most frequent of each; N, T, RUN and TIME stand for what differs."
    yield ""
    yield "| fault | in | the user sees | the record says | `--resume` |"
    yield "|:--|:--|:--|:--|:--|"
    for (kind, where), each in found.items():
        seen, record, resume = (
            _cell(Counter(getattr(one, name) for one in each).most_common(1)[0][0])
            for name in ("sees", "record", "resume")
        )
        yield f"| {kind} | {where} | {seen} | {record} | {resume} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
