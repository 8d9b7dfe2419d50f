"""The host's side of the profile: its time by category and operator, idle time, lines that wait."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.profile import IDLE_CAUSES, Slot, busy_share, host_time, wall_ms
from harness.analysis.unprofiled import WhatIf, real_idle, what_if
from harness.report.cells import (
    NOTHING,
    Cell,
    Inline,
    Line,
    Table,
    count,
    line,
    ms,
    number,
    percent,
    ratio,
    table,
)
from harness.report.material import mode_label, of
from harness.result import Result
from harness.runtime_calls import Role, by_role

IDLE_WORDS: dict[str, str] = {
    "launch": "inside a launch call",
    "operator": "inside an operator, before its launch",
    "python": "in Python, between operators",
    "sync": "waiting for the GPU",
    "copy": "inside a copy call",
    "queue": "nothing: the work was queued",
}
HOST_WORDS = {
    "launch_ms": "Calls that launch kernels and copies",
    "operator_ms": "Operators, outside of such calls",
    "python_ms": "Python between operators, the ranges of the profile included",
    "mixed_ms": "Operators and Python",
    "sync_ms": "Waiting for the GPU",
    "other_ms": "Other calls of the runtime",
}
CALLS_OF: dict[str, tuple[Role, ...]] = {"launch_ms": ("launch", "copy"), "sync_ms": ("sync",)}
TOP_OPERATORS = 10
Shown = Sequence[tuple[Result, Slot]]


@dataclass(frozen=True)
class HostTables:
    """Tables with a column, or several, a mode; operators of the first mode alone."""

    time: Table | None
    reads: tuple[Line, ...]
    operators: Table | None
    idle: Table | None
    what_if: Table | None
    sites: Table | None
    site_reasons: tuple[Line, ...]


def host_tables(shown: Shown) -> HostTables:
    """Of every profiled mode; a CPU has the host's time alone, and that by part."""
    on_gpu = [(result, slot) for result, slot in shown if slot.chunk.busy_ms]
    return HostTables(
        time=_time(on_gpu),
        reads=tuple(told for result, slot in on_gpu if (told := _reads(result, slot)) is not None),
        operators=_operators(*on_gpu[0]) if on_gpu else None,
        idle=_idle(on_gpu),
        what_if=_what_if(on_gpu),
        sites=_sites(on_gpu),
        site_reasons=_site_reasons(on_gpu),
    )


def _heads(first: str, shown: Shown, *suffixes: str) -> list[str]:
    names = [mode_label(result.case) for result, _ in shown]
    return [first, *(f">{name}{suffix}" for name in names for suffix in suffixes)]


def _time(shown: Shown) -> Table | None:
    """Categories that add up to the profiled chunk's host time."""
    spent = [(result, slot, host_time(slot)) for result, slot in shown]
    rows: list[tuple[Inline | str, ...]] = []
    for field, label in HOST_WORDS.items():
        if any(getattr(time, field) for _, _, time in spent):
            row: list[Inline | str] = [label]
            for result, slot, time in spent:
                value, at = getattr(time, field), of(result, f"{slot.path}/parts/*/host_ms")
                share = value / time.total_ms if value is not None and time.total_ms else None
                row += [number(value, at), percent(share, at), _calls(result, slot, field)]
            rows.append(tuple(row))
    return table(_heads("What the host did", shown, ", profiled (ms)", ", share", ", calls"), rows)


def _calls(result: Result, slot: Slot, field: str) -> Cell:
    roles = CALLS_OF.get(field, ())
    made = by_role(slot.chunk.host_calls)
    at = of(result, f"{slot.path}/host_calls")
    return count(sum(made[role] for role in roles), at) if roles else NOTHING


def _reads(result: Result, slot: Slot) -> Line | None:
    """What waits take of a chunk without the profiler."""
    profile = result.profile
    if profile is None or profile.reads_ms is None or profile.reads is None:
        return None
    wall = wall_ms(result, slot)
    at, number_at = of(result, "/profile/reads_ms"), of(result, "/profile/reads")
    words: list[Inline | str] = [f"{mode_label(result.case)}: without the profiler the host "]
    words += ["spends ", ms(profile.reads_ms, at), ", ", percent(profile.reads_ms / wall, at)]
    words += [" of a chunk, in ", count(profile.reads, number_at), " reads of the device"]
    return line(*words, ".")


def _operators(result: Result, slot: Slot) -> Table | None:
    """Operators by the host's time in themselves, inner operators and runtime calls left out."""
    found: dict[str, tuple[int, float]] = {}
    for item in slot.chunk.operators:
        if item.host_ms:
            calls, host_ms = found.get(item.operator, (0, 0.0))
            found[item.operator] = (calls + item.calls, host_ms + item.host_ms)
    ranked = sorted(found.items(), key=lambda item: -item[1][1])[:TOP_OPERATORS]
    at = of(result, f"{slot.path}/operators")
    rows = [
        (
            Cell(name, (at,), "code"),
            count(calls, at),
            number(host_ms, at),
            _each(host_ms, calls, at),
        )
        for name, (calls, host_ms) in ranked
    ]
    return table(("Operator", ">Calls", ">Host, profiled (ms)", ">A call (us)"), rows)


def _each(host_ms: float, calls: int, at: str) -> Cell:
    return number(1e3 * host_ms / calls if calls else None, at)


def _idle(shown: Shown) -> Table | None:
    """Busy time and each cause of idle time, as in a chunk without the profiler."""
    if not shown:
        return None
    rows: list[tuple[Inline | str, ...]] = [_busy_row(shown)]
    for cause in IDLE_CAUSES:
        row: list[Inline | str] = [f"Idle, the host was {IDLE_WORDS[cause]}"]
        if cause == "queue":
            row = ["Idle between queued kernels"]
        for result, slot in shown:
            idle_ms = real_idle(result, slot).get(cause)
            at = (of(result, f"{slot.path}/gaps"), of(result, "/profile/wall_median_ms"))
            share = idle_ms / wall_ms(result, slot) if idle_ms is not None else None
            row += [number(idle_ms, *at), percent(share, *at)]
        if any(cell is not NOTHING for cell in row[1:]):
            rows.append(tuple(row))
    return table(_heads("GPU", shown, " (ms)", ", share of wall"), rows)


def _busy_row(shown: Shown) -> tuple[Inline | str, ...]:
    row: list[Inline | str] = ["Busy"]
    for result, slot in shown:
        at = (of(result, f"{slot.path}/busy_ms"), of(result, "/profile/wall_median_ms"))
        row += [number(slot.chunk.busy_ms, *at), percent(busy_share(result, slot), *at)]
    return tuple(row)


def _what_if(shown: Shown) -> Table | None:
    """Wall time without some idle time; a case that a record cannot tell has no cell."""
    found = [(r, slot, {case.name: case for case in what_if(r, slot)}) for r, slot in shown]
    rows: list[tuple[Inline | str, ...]] = []
    for name in dict.fromkeys(name for _, _, cases in found for name in cases):
        row: list[Inline | str] = [f"With {name}"]
        for result, slot, cases in found:
            known = cases.get(name)
            row += _what_if_cells(result, slot, known) if known else [NOTHING, NOTHING]
        rows.append(tuple(row))
    return table(_heads("Chunk", shown, " (ms)", ", of wall"), rows)


def _what_if_cells(result: Result, slot: Slot, case: WhatIf) -> list[Inline | str]:
    at = (
        *(of(result, f"{slot.path}/{path}" if path == "gaps" else path) for path in case.paths),
        of(result, f"{slot.path}/busy_ms"),
        of(result, "/profile/wall_median_ms"),
    )
    return [number(case.wall_ms, *at), ratio(case.ratio, *at)]


def _sites(shown: Shown) -> Table | None:
    """Source lines that wait, with a column of calls a mode."""
    found: dict[str, dict[str, Cell]] = {}
    for result, _ in shown:
        for index, site in enumerate(result.profile.sync_sites if result.profile else ()):
            at = of(result, f"/profile/sync_sites/{index}")
            calls = found.setdefault(site.location, {"": Cell(site.location, (at,), "code")})
            calls[result.case_id] = count(site.calls, at)
    rows = [
        (calls[""], *(calls.get(result.case_id, NOTHING) for result, _ in shown))
        for calls in found.values()
    ]
    return table(_heads("Source line", shown, ", waits a chunk"), rows)


def _site_reasons(shown: Shown) -> tuple[Line, ...]:
    reasons: dict[str, Line] = {}
    for result, _ in shown:
        reason = result.profile.sync_reason if result.profile else None
        if reason:
            at = of(result, "/profile/sync_reason")
            reasons.setdefault(reason, line("Lines that wait are not known: ", Cell(reason, (at,))))
    return tuple(reasons.values())
