"""The published report's claims, each checked by a profile: reproduced or corrected."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from harness.analysis.experiment import MIN_EFFECT
from harness.analysis.part_cells import reads_of
from harness.analysis.part_groups import group_of, within
from harness.analysis.profile import Slot, main_slot, slots
from harness.analysis.published import VACE_OVERHEAD_SHARE
from harness.report.cells import Cell, Inline, Line, Table, count, line, ms, percent, table
from harness.report.material import MODES, Material, of
from harness.report.sections.compiled import chunk_change
from harness.report.sections.profiling import profiled_modes
from harness.result import Result

Outcome = Literal["reproduced", "corrected", "not applicable"]
MOST_OF = 0.95  # of an operator's calls, for them to be called those of a part
SHARE_MARGIN = 1.5  # a share beyond that multiple of the published one contradicts it
NOT_MEASURED = line("this run does not measure it")


@dataclass(frozen=True)
class Checked:
    """One claim with its verdict and evidence."""

    claim: Cell
    outcome: Outcome
    evidence: Line


@dataclass(frozen=True)
class _Profiled:
    material: Material
    result: Result
    slot: Slot


def published_verdicts(material: Material) -> Table | None:
    """The claims beside what the first profiled case says; None without a profile of a GPU."""
    for result in profiled_modes(material):
        slot = main_slot(result.profile)
        if slot is not None and slot.chunk.busy_ms and result.case.mode != "text":
            found = _Profiled(material, result, slot)
            checked = [rule(found) for rule in RULES]
            rows = [(item.claim, item.outcome, item.evidence) for item in checked]
            return table(("Published claim", "Verdict", "Evidence"), rows)
    return None


def _operator_claim(
    found: _Profiled, operator: str, claim: Cell, fits: Callable[[str], bool], where: str
) -> Checked:
    """Where the calls of an operator lie; `fits` is what the specification says against it."""
    rows = [
        (index, item)
        for index, item in enumerate(found.slot.chunk.operators)
        if item.operator == operator and item.calls
    ]
    if not rows:
        words = line("no call of ", Cell(operator, form="code"), " in this profile")
        return Checked(claim, "not applicable", words)
    total = sum(item.calls for _, item in rows)
    inside = sum(item.calls for _, item in rows if fits(item.part))
    at = tuple(of(found.result, f"{found.slot.path}/operators/{index}/calls") for index, _ in rows)
    evidence = line(count(inside, *at), " of ", count(total, *at), f" calls lie in {where}")
    return Checked(claim, "corrected" if inside >= MOST_OF * total else "reproduced", evidence)


def _products(found: _Profiled) -> Checked:
    claim = Cell("The mm calls are RoPE and modulation", ("published#lora",))
    return _operator_claim(
        found, "aten::mm", claim, lambda part: "lora" in part.split("/"), "the LoRA adapters"
    )


def _sage(found: _Profiled) -> Checked:
    claim = Cell("The sageattn calls are cross-attention", ("published#sageattn",))
    where = "the cached self-attention of the base blocks"
    return _operator_claim(found, "sageattn", claim, lambda p: within(p, "base/attention"), where)


def _flex(found: _Profiled) -> Checked:
    claim = Cell("The flex_attention calls are the base self-attention", ("published#flex",))
    where = "the self-attention of the VACE blocks"
    return _operator_claim(
        found, "flex_attention", claim, lambda part: within(part, "vace/attention"), where
    )


def _vace_share(found: _Profiled) -> Checked:
    """The branch's parts and the encode of its context, as a share of GPU-busy time."""
    chunk, base = found.slot.chunk, found.slot.path
    claim = Cell(f"VACE costs {VACE_OVERHEAD_SHARE.stated} of the chunk", ("published#vace_share",))
    total_ms = sum(p.device_ms for p in chunk.parts if _is_vace(p.stage, p.part))
    share = total_ms / chunk.busy_ms
    at = (of(found.result, f"{base}/parts/*/device_ms"), of(found.result, f"{base}/busy_ms"))
    words = "all forwards, the injected hints and the encode take "
    evidence = line(words, percent(share, *at), " of GPU-busy time")
    beyond = share > SHARE_MARGIN * float(VACE_OVERHEAD_SHARE.value) / 100
    return Checked(claim, "corrected" if beyond else "reproduced", evidence)


def _is_vace(stage: str, part: str) -> bool:
    return within(part, "vace", "base/hints") or _is_encode(stage, part)


def _is_encode(stage: str, part: str) -> bool:
    return group_of(stage, part).name == "VAE encode"


def _steady(found: _Profiled) -> Checked:
    """Reads of a chunk before the first eviction, and of a steady one."""
    claim = Cell("The profiled chunk is the steady state", ("published#not_steady",))
    profile = found.result.profile
    filling = slots(profile, "filling") if profile else []
    if not filling:
        return Checked(claim, "not applicable", NOT_MEASURED)
    published = Cell("846", ("published#aten::item",))
    before, after = (sum(reads_of(s.chunk).values()) for s in (filling[0], found.slot))
    words: list[Inline | str] = ["published are ", published, " item calls; a chunk before the "]
    words += ["first eviction makes ", count(before, _operators(found, filling[0]))]
    words += [", a steady one ", count(after, _operators(found, found.slot))]
    return Checked(claim, "corrected" if after != before else "reproduced", line(*words))


def _operators(found: _Profiled, slot: Slot) -> str:
    return of(found.result, f"{slot.path}/operators")


def _encode(found: _Profiled) -> Checked:
    """Both modes encode two streams."""
    claim = Cell("Depth and inpainting encode differently", ("published#encode",))
    times: list[tuple[float, str]] = []
    for mode in MODES[:2]:
        result = found.material.profiled(mode)
        slot = main_slot(result.profile) if result is not None else None
        if result is not None and slot is not None:
            parts = [p for p in slot.chunk.parts if _is_encode(p.stage, p.part)]
            at = of(result, f"{slot.path}/parts/*/device_ms")
            times.append((sum(part.device_ms for part in parts), at))
    if len(times) < 2:
        return Checked(claim, "not applicable", NOT_MEASURED)
    (inpainting_ms, one), (depth_ms, other) = times
    same = abs(depth_ms - inpainting_ms) <= MIN_EFFECT * max(depth_ms, inpainting_ms)
    words = ("GPU time of the encode: inpainting ", ms(inpainting_ms, one), ", depth ")
    evidence = line(*words, ms(depth_ms, other))
    return Checked(claim, "corrected" if same else "reproduced", evidence)


def _compile(found: _Profiled) -> Checked:
    claim = Cell("torch.compile gains under 2 %", ("published#compile_gain",))
    change = chunk_change(found.material)
    if change is None:
        return Checked(claim, "not applicable", NOT_MEASURED)
    gain = percent(abs(change.ratio - 1), *change.sources)
    words = line(f"{change.call}: ", gain, " shorter" if change.ratio < 1 else " longer")
    small = 0 <= 1 - change.ratio < MIN_EFFECT
    return Checked(claim, "reproduced" if small else "corrected", words)


RULES: tuple[Callable[[_Profiled], Checked], ...] = (
    _products,
    _sage,
    _flex,
    _vace_share,
    _encode,
    _steady,
    _compile,
)
