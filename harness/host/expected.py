"""How long cases will take: as committed records of the same GPU tell, else by a stated table."""

from pathlib import Path
from statistics import median

import msgspec

from harness.compact import read_document
from harness.matrix import CHUNKS_AFTER_PROMPT, DEFAULT_STRETCH, Case, Device, Kind
from harness.record_parts import PhaseMark
from harness.result import RECORD_LIMIT_BYTES
from harness.variants import is_variant, resolve

# Seconds of a case without a record, about what the committed runs took: full preset on a
# data-center GPU, tiny preset on two CPU cores.
DEFAULT_S: dict[tuple[Device, Kind], float] = {
    ("cuda", "isolated"): 25,
    ("cuda", "e2e"): 60,
    ("cuda", "paired"): 70,
    ("cuda", "quality"): 100,
    ("cpu", "isolated"): 10,
    ("cpu", "e2e"): 10,
    ("cpu", "paired"): 10,
    ("cpu", "quality"): 25,
}
ARM_EXTRA_S: dict[tuple[Device, Kind], float] = {  # for each arm
    ("cuda", "paired"): 10,
    ("cuda", "quality"): 17,
    ("cpu", "paired"): 3,
    ("cpu", "quality"): 3,
}
TIMED_CHUNKS = 50  # that an end-to-end case of the table times
CHUNK_S: dict[Device, float] = {"cuda": 0.45, "cpu": 0.1}
PROFILE_EXTRA_S: dict[Device, float] = {"cuda": 30, "cpu": 5}
COMPILED_EXTRA_S: dict[Device, float] = {"cuda": 60, "cpu": 40}
COMPILED_FIX = "compiled-blocks"  # what of a stack compiles longest
FP8_FACTOR = 1.5  # halves in FP8 have more kernels
# What decides which code the halves of a block are: arms alike in these share it.
FIXES_OF_HALVES = frozenset(
    (
        *("lora-merged", "fused-qkv", "gelu-epilogue", "fp8-linears", "fp8-attention"),
        *("fused-keys", "one-pass-rows"),
    )
)
START_S: dict[Device, float] = {"cuda": 13, "cpu": 3}  # of a process, imports included, and its end


class Timing(msgspec.Struct):
    """The part of a record that tells how long it took."""

    case: Case
    phases: list[PhaseMark]


def expected_seconds(cases: list[Case], reports: Path, slug: str | None) -> dict[str, float]:
    """Seconds by case id. `slug` is the GPU's folder under `reports`, None if not known yet."""
    recorded = _recorded(reports / slug) if slug else {}
    return {
        case.id: recorded.get((case.id, case.preset, case.device), default_seconds(case))
        for case in cases
    }


def default_seconds(case: Case) -> float:
    """The table's value for a case: by its arms, its chunks, and what it compiles."""
    kind = case.device, case.kind
    spent_s = DEFAULT_S[kind] + ARM_EXTRA_S.get(kind, 0.0) * len(case.arms)
    if case.kind == "quality":
        spent_s *= (case.stretch + CHUNKS_AFTER_PROMPT) / (DEFAULT_STRETCH + CHUNKS_AFTER_PROMPT)
    else:
        spent_s += _compiling_s(case)
    if case.kind == "e2e":
        fewer = max(TIMED_CHUNKS - case.blocks * case.chunks_per_block, 0)
        spent_s -= CHUNK_S[case.device] * fewer
        spent_s += PROFILE_EXTRA_S[case.device] * case.profile
    return spent_s + START_S[case.device]


def _compiling_s(case: Case) -> float:
    """Of the VACE branch and each kind of halves; with a warm cache in the first process only."""
    halves = set()
    for name in (case.variant, *case.arms):
        fixes = {fix.name for fix in resolve(name)} if is_variant(name) else set()
        if COMPILED_FIX in fixes:
            halves.add(frozenset(fixes & FIXES_OF_HALVES))
    times = float(case.compiled or "compiled" in case.arms)
    times += sum(FP8_FACTOR if "fp8-attention" in kind else 1.0 for kind in halves)
    return COMPILED_EXTRA_S[case.device] * times / (case.processes if case.warm_cache else 1)


def _recorded(folder: Path) -> dict[tuple[str, str, str], float]:
    """Median seconds of each case in the newest run that has it.

    An unreadable record is the report's matter.
    """
    seconds: dict[tuple[str, str, str], float] = {}
    for run in sorted(folder.glob("*/cases")):
        spent_s: dict[tuple[str, str, str], list[float]] = {}
        for path in sorted(run.glob("*.json*")):
            try:
                timing = msgspec.json.decode(read_document(path, RECORD_LIMIT_BYTES), type=Timing)
            except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
                continue
            if timing.phases:
                case = timing.case
                took_s = timing.phases[-1].end_s - timing.phases[0].start_s + START_S[case.device]
                spent_s.setdefault((case.id, case.preset, case.device), []).append(took_s)
        seconds |= {key: median(values) for key, values in spent_s.items()}
    return seconds
