"""Root causes that move data: copies of the cache, casts, float64 RoPE, padding, stacked hints."""

from harness.analysis.claims import (
    CEILING_PATHS,
    Ceiling,
    Fits,
    Measured,
    RootCause,
    Subject,
    costs,
    gone,
    part_sum,
    removal,
)
from harness.analysis.part_groups import within
from harness.analysis.profile import Slot
from harness.cost_bytes import chunk_bytes, least_rope_bytes
from harness.cost_case import cost_config

CAST, COPY = "aten::_to_copy", "aten::copy_"  # the first calls the second, which launches
PARTS_NAMED = 3
DEVICE_PATH = "/parts/*/device_ms"


def cache_step(part: str) -> str | None:
    """The step of cache handling that a part belongs to, without the place it happens in."""
    for step in ("cache.clone", "cache.window", "cache.roll", "cache.write"):
        if part.endswith(f"/{step}"):
            return step
    return None


def cache_copies(subject: Subject) -> RootCause | None:
    """The whole cache is cloned and joined for every call; new tokens are written twice."""
    total = part_sum(subject, lambda part: cache_step(part) is not None)
    if not total.device_ms:
        return None
    words: list[str | Measured] = ["copies of the KV cache take "]
    words += [subject.in_chunk(total.device_ms, "ms", DEVICE_PATH), " of GPU time:"]
    for position, (step, label) in enumerate(STEP_WORDS.items()):
        step_ms = part_sum(subject, _is_step(step)).device_ms
        words += [", " if position else " ", f"{label} "]
        words += [subject.in_chunk(step_ms, "ms", DEVICE_PATH)]
    needed_ms = _needed_writes_ms(subject)
    return RootCause(
        id="cache_copies",
        title="Copies of the KV cache",
        claim=tuple(words),
        ceiling=removal(subject, lambda part: cache_step(part) is not None, needed_ms),
        ceiling_paths=subject.at(*CEILING_PATHS),
        confidence="high",
        because="the ranges hold nothing but these copies"
        + ("; one write of the new tokens stays" if needed_ms else ""),
        fix="write new tokens once into a ring buffer and attend to it in place",
        experiment="a paired case whose second arm attends to the cache without cloning it; the "
        "output must stay the same",
        subject=subject,
    )


STEP_WORDS = {
    "cache.clone": "clones",
    "cache.window": "joining the window",
    "cache.roll": "rolling",
    "cache.write": "writing new tokens twice",
}


def _is_step(step: str) -> Fits:
    return lambda part: cache_step(part) == step


def _needed_writes_ms(subject: Subject) -> float:
    """What one write in place of two still takes: half of the writes, where they were measured."""
    return part_sum(subject, _is_step("cache.write")).device_ms / 2


def casts(subject: Subject) -> RootCause | None:
    """Casts between types, apart from the cache's copies; found at their operators."""
    slot = subject.slot
    if slot is None:
        return None
    casts_of, copies_of = (_calls(slot, name) for name in (CAST, COPY))
    device: dict[str, float] = {}
    for item in slot.chunk.operators:
        known = casts_of.get(item.part, 0)
        if item.operator in (CAST, COPY) and known and not cache_step(item.part):
            share = (
                1.0 if item.operator == CAST else known / max(copies_of.get(item.part, 0), known)
            )
            device[item.part] = device.get(item.part, 0.0) + share * item.device_ms
    total_ms = sum(device.values())
    if not total_ms:
        return None
    ranked = sorted(device.items(), key=lambda item: -item[1])[:PARTS_NAMED]
    at = "/operators/*/device_ms"
    words: list[str | Measured] = ["casts between types take "]
    words += [subject.in_chunk(total_ms, "ms", at), " of GPU time, most of it in "]
    for position, (part, part_ms) in enumerate(ranked):
        words += [
            ", " * bool(position),
            f"{part or 'no part'} ",
            subject.in_chunk(part_ms, "ms", at),
        ]
    return RootCause(
        id="casts",
        title="Conversion between types",
        claim=tuple(words),
        ceiling=_cast_ceiling(subject, device),
        ceiling_paths=subject.at(at, *CEILING_PATHS),
        confidence="medium",
        because="where a part copies and casts by one operator, its time is shared by calls; a "
        "share of the time stays where a fused kernel reads the same data",
        fix="norms and RoPE as fused kernels that cast in registers",
        experiment="a paired case with fused RMS norms and RoPE, within the golden tolerance",
        subject=subject,
    )


def _calls(slot: Slot, operator: str) -> dict[str, int]:
    """Calls of an operator by part."""
    found: dict[str, int] = {}
    for item in slot.chunk.operators:
        if item.operator == operator and item.calls:
            found[item.part] = found.get(item.part, 0) + item.calls
    return found


def _cast_ceiling(subject: Subject, device: dict[str, float]) -> Ceiling:
    """Of each part's host time what its casts take of its device time."""
    if subject.slot is None:
        return subject.ceiling(0.0, 0.0)
    known = costs(subject.result, subject.slot)
    host_ms = sum(
        known[part].host_ms * min(1.0, ms / known[part].device_ms)
        for part, ms in device.items()
        if part in known and known[part].device_ms
    )
    return gone(subject, sum(device.values()), host_ms)


def is_rope(part: str) -> bool:
    """Whether a part is RoPE, of the base or of the VACE branch."""
    return within(part, "base/rope", "vace/rope")


def wide_rope(subject: Subject) -> RootCause | None:
    """RoPE in float64 moves many times the data that it must."""
    total = part_sum(subject, is_rope)
    slot = subject.slot
    if slot is None or not total.device_ms:
        return None
    config = cost_config(subject.result.case)
    mode = subject.result.case.mode
    moved = chunk_bytes(config, mode, slot.chunk.chunk)["RoPE"]
    least = least_rope_bytes(config, mode)
    copy = subject.result.ceilings.copy_bytes_per_s if subject.result.ceilings else None
    kept_ms = 1e3 * least / copy if copy else 0.0
    words = (
        "RoPE in float64 takes ",
        subject.in_chunk(total.device_ms, "ms", DEVICE_PATH),
        " of GPU time; by arithmetic it moves ",
        subject.read(moved / least, "ratio", "/case"),
        " times what reading and writing q and k once does",
    )
    return RootCause(
        id="rope",
        title="RoPE in float64",
        claim=words,
        ceiling=removal(subject, is_rope, kept_ms),
        ceiling_paths=subject.at(*CEILING_PATHS),
        confidence="high",
        because="the range holds RoPE alone"
        + ("; reading and writing q and k once is left in" if kept_ms else ""),
        fix="one fused kernel with float32 factors, for q and k together",
        experiment="a paired case with a float32 RoPE, within the golden tolerance",
        subject=subject,
    )


def padding(subject: Subject) -> RootCause | None:
    """The VACE context is padded to a fixed length and cut back; attention pads once more."""
    total = part_sum(subject, lambda part: within(part, "vace/pad"))
    if not total.device_ms:
        return None
    at = subject.in_chunk(total.device_ms, "ms", DEVICE_PATH)
    words = ("padding the VACE branch's tokens and cutting them back takes ", at, " of GPU time")
    return RootCause(
        id="padding",
        title="Padding in the VACE branch",
        claim=words,
        ceiling=removal(subject, lambda part: within(part, "vace/pad")),
        ceiling_paths=subject.at(*CEILING_PATHS),
        confidence="high",
        because="the padded rows are never read, and the range holds nothing else",
        fix="leave the padding out",
        experiment="a paired case without padding; the output must stay the same",
        subject=subject,
    )


def stacking(subject: Subject) -> RootCause | None:
    """All hints so far are stacked anew by every VACE block."""
    total = part_sum(subject, lambda part: within(part, "vace/stack"))
    if not total.device_ms:
        return None
    at = subject.in_chunk(total.device_ms, "ms", DEVICE_PATH)
    words = ("stacking all hints anew in every VACE block takes ", at, " of GPU time")
    return RootCause(
        id="stacking",
        title="Stacking of hints",
        claim=words,
        ceiling=removal(subject, lambda part: within(part, "vace/stack")),
        ceiling_paths=subject.at(*CEILING_PATHS),
        confidence="high",
        because="a list of hints needs no copy, and the range holds nothing else",
        fix="keep the hints in a list",
        experiment="a paired case that returns a list; the output must stay the same",
        subject=subject,
    )
