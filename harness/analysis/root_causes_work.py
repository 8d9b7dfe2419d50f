"""Root causes in arithmetic: adapters left unmerged, work done again, the attention backend."""

from harness.analysis.chunks import base_arm
from harness.analysis.claims import (
    CEILING_PATHS,
    Measured,
    Outcome,
    RootCause,
    Subject,
    Words,
    gone,
    part_sum,
    removal,
    speedup,
)
from harness.analysis.comparisons import Measure, process_values
from harness.analysis.experiment import MIN_EFFECT
from harness.analysis.interval import median
from harness.analysis.part_groups import within
from harness.cost import chunk_flops
from harness.cost_case import cost_config

DEVICE_PATH = "/parts/*/device_ms"
ATTENTION = "base/attention"
BACKEND_MEASURES: tuple[tuple[Measure, str, str], ...] = (
    ("busy", "/busy/*/busy_ms", "GPU-busy time"),
    ("wall", "/chunks/*/wall_ms", "wall time"),
)


def is_lora(part: str) -> bool:
    """Whether a part is an adapter."""
    return "lora" in part.split("/")


def unmerged_lora(subject: Subject) -> RootCause | None:
    """Adapters run beside every linear instead of inside its weights."""
    total = part_sum(subject, is_lora)
    if not total.device_ms:
        return None
    words = (
        "the unmerged LoRA adapters take ",
        subject.in_chunk(total.device_ms, "ms", DEVICE_PATH),
        " of GPU time and ",
        subject.in_chunk(total.kernels, "count", "/parts/*/kernels"),
        " launches: two products, a scaling and an addition beside every linear",
    )
    return RootCause(
        id="lora",
        title="Unmerged LoRA",
        claim=words,
        ceiling=removal(subject, is_lora),
        ceiling_paths=subject.at(*CEILING_PATHS),
        confidence="high",
        because="merged adapters leave no operation behind, and the ranges hold nothing else",
        fix="merge the adapters into the weights when loading",
        experiment="a paired case with merged weights, within the golden tolerance",
        subject=subject,
    )


def text_again(subject: Subject) -> RootCause | None:
    """The text embedding of an unchanged prompt is computed in every forward."""
    total = part_sum(subject, lambda part: within(part, "embed.text"))
    slot = subject.slot
    if slot is None or not total.device_ms:
        return None
    calls = sum(part.calls for part in slot.chunk.parts if within(part.part, "embed.text"))
    words = (
        "the embedding of an unchanged prompt is computed ",
        subject.in_chunk(calls, "count", "/parts/*/calls"),
        " times a chunk and takes ",
        subject.in_chunk(total.device_ms, "ms", DEVICE_PATH),
        " of GPU time",
    )
    return RootCause(
        id="text",
        title="Text embedding computed again",
        claim=words,
        ceiling=removal(subject, lambda part: within(part, "embed.text")),
        ceiling_paths=subject.at(*CEILING_PATHS),
        confidence="high",
        because="its input changes only with the prompt",
        fix="keep the embedded prompt until it changes",
        experiment="a paired case that keeps it; the output must stay the same",
        subject=subject,
    )


def vace_keys_again(subject: Subject) -> RootCause | None:
    """Keys and values of the text are computed in every pass of every VACE block."""
    qkv = "vace/cross_attention/qkv"
    total = part_sum(subject, lambda part: within(part, qkv))
    if not total.device_ms:
        return None
    config = cost_config(subject.result.case)
    tokens = config.model.frames_per_chunk * config.tokens_per_frame
    share = 2 * config.model.text_len / (2 * config.model.text_len + tokens)
    device_ms = share * total.device_ms
    words = (
        "the keys and values of VACE's cross-attention depend on the text alone and are computed "
        "in every pass: about ",
        subject.in_chunk(device_ms, "ms", DEVICE_PATH),
        " of GPU time, ",
        subject.in_chunk(share, "share", DEVICE_PATH),
        " of their range by arithmetic",
    )
    return RootCause(
        id="vace_keys",
        title="VACE's cross-attention keys computed again",
        claim=words,
        ceiling=gone(subject, device_ms, share * total.host_ms),
        ceiling_paths=subject.at(*CEILING_PATHS),
        confidence="medium",
        because="the range holds the queries too; they are split off by their FLOPs",
        fix="cache the keys and values of VACE's cross-attention, as the base blocks do",
        experiment="a paired case with a cross-attention cache in the VACE blocks",
        subject=subject,
    )


def attention_backend(subject: Subject) -> RootCause | None:
    """Cached self-attention against what the matrix units could do; and another backend."""
    slot = subject.slot
    total = part_sum(subject, lambda part: within(part, ATTENTION))
    if slot is None or not total.device_ms:
        return None
    backend = subject.result.provenance.get("attention.cached_self")
    name = str(backend.value) if backend is not None and backend.value else "not recorded"
    share = total.device_ms / subject.busy_ms
    words: list[str | Measured] = [f"cached self-attention (backend: {name}) takes "]
    words += [subject.in_chunk(total.device_ms, "ms", DEVICE_PATH), " or "]
    words += [subject.in_chunk(share, "share", DEVICE_PATH, "/busy_ms"), " of GPU-busy time"]
    left = 1.0
    matmul = subject.result.ceilings.matmul_flops_per_s if subject.result.ceilings else None
    if matmul:
        case = subject.result.case
        flops = chunk_flops(cost_config(case), case.mode, chunk=slot.chunk.chunk)["self-attention"]
        reached = min(1.0, 1e3 * flops / matmul / total.device_ms)
        left = 1.0 - reached
        words += [", at ", _of_ceiling(subject, reached), " of the measured matmul rate"]
    verdict, because = _other_backend(subject)
    return RootCause(
        id="attention",
        title="Attention backend",
        claim=tuple(words),
        ceiling=speedup(subject, lambda part: within(part, ATTENTION), left),
        ceiling_paths=subject.at(*CEILING_PATHS),
        confidence="medium" if matmul else "low",
        because="no attention kernel reaches the rate of plain products, which the ceiling assumes"
        if matmul
        else "no rate was measured beside the case; the ceiling is all of its time",
        fix="another attention kernel for this GPU",
        experiment="the same case with other values of attention: sdpa, sage, flex",
        verdict=verdict,
        verdict_words=because,
        subject=subject,
    )


def _of_ceiling(subject: Subject, reached: float) -> Measured:
    slot = subject.slot
    at = (f"{slot.path}{DEVICE_PATH}",) if slot else ()
    return subject.read(reached, "share", *at, "/ceilings/matmul_flops_per_s")


def _other_backend(subject: Subject) -> tuple[Outcome, Words]:
    """What the same case with SDPA says: GPU-busy time where both have it, else wall time."""
    other = subject.other_backend
    if other is None:
        return "untested", ()
    arm = base_arm(subject.result.case)
    for measure, path, label in BACKEND_MEASURES:
        ours = process_values([subject.result], measure, arm)
        theirs = process_values([other], measure, arm)
        if ours and theirs:
            ratio = median(theirs) / median(ours)
            found = Measured(ratio, "ratio", (subject.result, other), (path,))
            words: Words = (f"{label} with SDPA over this backend: ", found)
            if ratio < 1 - MIN_EFFECT:
                return "confirmed", words
            return "refuted", (*words, ", so SDPA is not the better one here")
    return "untested", ()
