"""The host's side of the profile: its time by category, idle time by cause, lines that wait."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.profile import (
    IDLE_CAUSES,
    Slot,
    WhatIf,
    busy_share,
    host_time,
    real_idle,
    wall_ms,
    what_if,
)
from harness.report.cells import (
    NOTHING,
    Cell,
    Inline,
    Line,
    Table,
    count,
    line,
    number,
    percent,
    ratio,
    table,
)
from harness.report.material import MODE_LABELS, of
from harness.result import Result

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
    "sync_ms": "Waiting for the GPU",
    "other_ms": "Operators and Python",
}
Shown = Sequence[tuple[Result, Slot]]


@dataclass(frozen=True)
class HostTables:
    """Tables with a column, or two, a mode."""

    time: Table | None
    idle: Table | None
    what_if: Table | None
    sites: Table | None
    site_reasons: tuple[Line, ...]


def host_tables(shown: Shown) -> HostTables:
    """Of every profiled mode; a CPU has the host's time alone, and that by part."""
    on_gpu = [(result, slot) for result, slot in shown if slot.chunk.busy_ms]
    return HostTables(
        time=_time(on_gpu),
        idle=_idle(on_gpu),
        what_if=_what_if(on_gpu),
        sites=_sites(on_gpu),
        site_reasons=_site_reasons(on_gpu),
    )


def _heads(first: str, shown: Shown, *suffixes: str) -> list[str]:
    names = [MODE_LABELS[result.case.mode] for result, _ in shown]
    return [first, *(f">{name}{suffix}" for name in names for suffix in suffixes)]


def _time(shown: Shown) -> Table | None:
    """Categories that add up to the profiled chunk's host time."""
    rows: list[tuple[Inline | str, ...]] = []
    for field, label in HOST_WORDS.items() if shown else ():
        row: list[Inline | str] = [label]
        for result, slot in shown:
            spent = host_time(slot)
            at = of(result, f"{slot.path}/parts/*/host_ms")
            value = getattr(spent, field)
            row += [
                number(value, at),
                percent(value / spent.total_ms if spent.total_ms else None, at),
            ]
        rows.append(tuple(row))
    return table(_heads("What the host did", shown, " (ms)", ", share"), rows)


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
    """Wall time without some idle time."""
    found = [(result, slot, what_if(result, slot)) for result, slot in shown]
    rows: list[tuple[Inline | str, ...]] = []
    for place in range(len(found[0][2]) if found else 0):
        row: list[Inline | str] = [f"With {found[0][2][place].name}"]
        for result, slot, cases in found:
            row += _what_if_cells(result, slot, cases[place])
        rows.append(tuple(row))
    return table(_heads("Chunk", shown, " (ms)", ", of wall"), rows)


def _what_if_cells(result: Result, slot: Slot, case: WhatIf) -> list[Inline | str]:
    at = (
        of(result, f"{slot.path}/gaps"),
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
