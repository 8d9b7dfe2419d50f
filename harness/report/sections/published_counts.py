"""Operator counts of a chunk beside the published and the specified ones, differences by part."""

from dataclasses import dataclass

from harness.analysis import published
from harness.analysis.operators import calls_of, copies_of
from harness.analysis.profile import Slot, main_slot
from harness.analysis.published import DIFFERENCES
from harness.analysis.published_parts import PartDifference, part_differences
from harness.record_parts import CountPass
from harness.report.cells import NOTHING, Cell, Inline, Line, Table, count, line, table
from harness.report.material import Material, of
from harness.result import Result
from harness.runtime_calls import role_of

NOT_EXPLAINED = "not explained"


@dataclass(frozen=True)
class OperatorCounts:
    """The counts of one case, where they differ by part, and how kernels were launched."""

    of: Line
    counts: Table | None
    parts: Table | None
    equal: Line | None  # said in place of `parts` where nothing differs
    launches: Line | None


def operator_counts(material: Material, result: Result) -> OperatorCounts:
    """Of a case with a count pass; parts need the profile of the same case."""
    profiled = material.profiled(result.case.mode)
    slot = main_slot(profiled.profile) if profiled is not None else None
    fits = result.case.mode == "inpainting" and slot is not None and bool(slot.chunk.busy_ms)
    parts = _parts(profiled, slot) if fits and profiled is not None and slot is not None else None
    return OperatorCounts(
        of=_of(result),
        counts=_counts(result),
        parts=parts,
        equal=line("No part differs from the specification.") if fits and parts is None else None,
        launches=_launches(profiled, slot) if slot is not None and profiled is not None else None,
    )


def _of(result: Result) -> Line:
    chunk = result.count_pass.chunk if result.count_pass else None
    return line(
        "Ours: calls in chunk ",
        count(chunk, of(result, "/count_pass/chunk")),
        f" of {result.case.mode}. The specification's column is of a steady chunk of the full "
        "preset in this mode, counted on a CPU.",
    )


def _counts(result: Result) -> Table | None:
    counts = result.count_pass
    if counts is None:
        return None
    rows: list[tuple[Inline | str, ...]] = []
    for item in published.OPERATORS:
        at = f"published#{item.name}"
        specified = item.steady(result.case.mode)
        found = _calls(result, counts, item.recorded or item.name)
        ours = NOTHING if found is None else count(found[0], *found[1])
        difference = NOTHING
        if found is not None and specified is not None:
            difference = _difference(found[0] - specified, at, *found[1])
        name = Cell(item.name, (at,), "code")
        rows.append((name, count(item.published, at), count(specified, at), ours, difference))
    heads = ("Operator", ">Published", ">Specification, steady", ">Ours", ">Difference")
    return table(heads, rows)


def _difference(calls: int, *at: str) -> Cell:
    return Cell(f"{calls:+,d}", at, "strong") if calls else Cell("none", at)


def _calls(result: Result, counts: CountPass, name: str) -> tuple[int, tuple[str, ...]] | None:
    found = calls_of(counts, name)
    if found is not None:
        return found[0], (of(result, f"/count_pass/operators/{found[1]}/calls"),)
    copies = copies_of(counts, name)
    if copies is None:
        return None
    return copies[0], tuple(of(result, f"/count_pass/kernels/{i}/calls") for i in copies[1])


def _parts(result: Result, slot: Slot) -> Table | None:
    """Parts that differ; every other part has the specification's count."""
    backend = result.provenance.get("attention.cached_self")
    name = str(backend.value) if backend is not None else ""
    rows = [_part(result, slot, item) for item in part_differences(slot.chunk, backend=name)]
    return table(("Operator", "Part", ">Specification", ">Ours", "Why"), rows)


def _part(result: Result, slot: Slot, item: PartDifference) -> tuple[Inline | str, ...]:
    stated = f"published#{item.operator}"
    at = tuple(of(result, f"{slot.path}/operators/{index}/calls") for index in item.indices)
    why: Inline | str = NOT_EXPLAINED
    if item.reason is not None:
        why = Cell(DIFFERENCES[item.reason], (f"published#{item.reason}",))
    return (
        Cell(item.operator, (stated,), "code"),
        Cell(item.part, (stated, *at), "code") if item.part else Cell("in no part"),
        count(item.specified, stated),
        count(item.ours, stated, *at),
        why,
    )


def _launches(result: Result, slot: Slot) -> Line | None:
    """Calls that launch, by name: published profiles differ in which of them they count."""
    path = f"{slot.path}/host_calls"
    made = {n: c for n, c in slot.chunk.host_calls.items() if role_of(n) in ("launch", "copy")}
    if not made:
        return None
    words: list[Inline | str] = ["Calls that launch kernels, copies and fills in chunk "]
    words += [count(slot.chunk.chunk, of(result, f"{slot.path}/chunk")), ": "]
    for place, (name, calls) in enumerate(made.items()):
        at = of(result, f"{path}/{name}")
        words += [", " * bool(place), count(calls, at), " ", Cell(name, (at,), "code")]
    total = of(result, f"{slot.path}/kernels")
    words += [", together ", count(sum(made.values()), of(result, path)), ", of "]
    words += [count(slot.chunk.kernels, total), " kernels, copies and fills"]
    return line(*words, ".")
