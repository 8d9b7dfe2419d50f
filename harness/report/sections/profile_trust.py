"""Whether to trust a profile: its checks with their limits, and the host's clock beside it."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.profile import Slot, distortion, slots
from harness.profile_checks import CHECKS, MOST_DISTORTION, Check, checked
from harness.profile_witness import MOST_DEVIATION, WitnessedStage, witnessed
from harness.profiled import Profile
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
from harness.report.material import mode_label, of
from harness.report.sections.stages import stage_label
from harness.result import Result

Shown = Sequence[tuple[Result, Slot]]
HOLDS, MISSED = Cell("holds"), Cell("missed", form="strong")
KIND_WORDS = {"first": "First chunk", "filling": "Cache filling", "steady": "Steady"}
CLOCK = "/profile/stages_host_ms"
DRAINED = "/profile/stages_synchronised_ms"


@dataclass(frozen=True)
class ProfileTrust:
    """Checks of the first profiled mode, words about the others, and the second witness."""

    checks: Table | None
    others: tuple[Line, ...]
    witness: Table | None
    witness_of: Line | None


def profile_trust(shown: Shown) -> ProfileTrust:
    """Of every profiled mode."""
    result = shown[0][0]
    profile = result.profile
    seen = witnessed(profile) if profile is not None else []
    return ProfileTrust(
        checks=_checks(result, profile) if profile is not None else None,
        others=tuple(_other(result) for result, _ in shown[1:]),
        witness=_witness(shown[0][0], shown[0][1], seen),
        witness_of=_witness_of(result, seen) if seen else None,
    )


def _checks(result: Result, profile: Profile) -> Table | None:
    """A row a check, a column a kind of chunk."""
    chosen = [slot for kind in KIND_WORDS for slot in slots(profile, kind)[:1]]  # type: ignore[arg-type]
    on_gpu = any(slot.chunk.busy_ms for slot in chosen)
    values = [dict(checked(slot.chunk, on_gpu=on_gpu)) for slot in chosen]
    rows: list[tuple[Inline | str, ...]] = []
    for check in CHECKS:
        if any(check in known for known in values):
            row: list[Inline | str] = [check.what[0].upper() + check.what[1:], _limits(check)]
            for slot, known in zip(chosen, values, strict=True):
                row.append(_value(known.get(check), of(result, slot.path)))
            held = all(check.holds(known[check]) for known in values if check in known)
            rows.append((*row, HOLDS if held else MISSED))
    if (bent := distortion(profile)) is not None:
        rows.append(_bent(result, bent, len(chosen), [slot.chunk.kind for slot in chosen]))
    heads = ["What must hold", "Limit", *(f">{KIND_WORDS[slot.chunk.kind]}" for slot in chosen)]
    return table([*heads, "Verdict"], rows)


def _limits(check: Check) -> Cell:
    return Cell(check.limits, (f"rule#profile.{check.name}",))


def _value(value: float | None, source: str) -> Cell:
    """Two decimals, since the limits have one."""
    return NOTHING if value is None else Cell(f"{100 * value:.2f} %", (source,))


def _bent(result: Result, bent: float, columns: int, kinds: list[str]) -> tuple[Inline | str, ...]:
    at = of(result, "/profile/steady_wall_ms"), of(result, "/profile/wall_median_ms")
    cells = [ratio(bent, *at) if kind == "steady" else NOTHING for kind in kinds[:columns]]
    limit = Cell(f"at most {MOST_DISTORTION} (target)", ("rule#MOST_DISTORTION",))
    verdict = HOLDS if bent <= MOST_DISTORTION else MISSED
    return ("Distortion: profiled over unprofiled wall time", limit, *cells, verdict)


def _other(result: Result) -> Line:
    """One line about a mode that has no table of its own."""
    problems = result.profile.problems if result.profile else []
    at = of(result, "/profile/problems")
    name = mode_label(result.case)
    if problems:
        return line(f"{name}: ", count(len(problems), at), " checks are missed, see below.")
    words: list[Inline | str] = [f"{name}: all of them hold"]
    if result.profile is not None and (bent := distortion(result.profile)) is not None:
        walls = of(result, "/profile/steady_wall_ms"), of(result, "/profile/wall_median_ms")
        words += [", distortion ", ratio(bent, *walls)]
    return line(*words, ".")


def _witness(result: Result, slot: Slot, seen: list[WitnessedStage]) -> Table | None:
    on_gpu = bool(slot.chunk.busy_ms)
    rows: list[tuple[Inline | str, ...]] = []
    for stage in seen:
        clock, drained = (of(result, f"{path}/{stage.stage}") for path in (CLOCK, DRAINED))
        parts = of(result, f"{slot.path}/parts")
        row: list[Inline | str] = [Cell(stage_label(stage.stage, result.case), (clock,))]
        row += [number(stage.host_ms, clock), number(stage.synchronised_ms, drained)]
        row += [number(stage.busy_ms, parts)] if on_gpu else []
        row += [number(stage.traced_ms, parts), _signed(stage.deviation, clock, parts)]
        rows.append((*row, "agree" if stage.agrees else Cell("apart", form="strong")))
    heads = ["Stage", ">Clock, as it runs (ms)", ">Clock, synchronised (ms)"]
    heads += [">Trace, GPU time (ms)"] if on_gpu else []
    return table([*heads, ">Trace, host, profiled (ms)", ">Apart", "Verdict"], rows)


def _signed(share: float, *at: str) -> Cell:
    return Cell(f"{100 * share:+.1f} %", at)


def _witness_of(result: Result, seen: list[WitnessedStage]) -> Line:
    """How far the witnesses are apart, the factor of the whole chunk taken out."""
    apart = [stage for stage in seen if not stage.agrees]
    clock, parts = of(result, CLOCK), of(result, "/profile/chunks")
    clock_ms, traced_ms = (
        sum(getattr(s, field) for s in seen) for field in ("host_ms", "traced_ms")
    )
    words: list[Inline | str] = ["The trace's chunk is ", ratio(traced_ms / clock_ms, clock, parts)]
    words += [" times the clock's. With that taken out, "]
    words += [count(len(apart), clock, parts), " of ", count(len(seen), clock, parts)]
    words += [" stages are more than ", percent(MOST_DEVIATION, "rule#MOST_DEVIATION"), " apart"]
    if apart:
        words += [": there the profiler slowed the host by more or less than elsewhere, and "]
        words += ["shares of host and idle time are less sure"]
    return line(*words, ".")
