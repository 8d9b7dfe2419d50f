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
COMPILED_EXTRA_S: dict[Device, float] = {"cuda": 60, "cpu": 40}
COMPILED_FIX = "compiled-blocks"  # what of a stack compiles longest
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
    """The table's value for a case: a proof's by its chunks, and once for what it compiles."""
    kind = case.device, case.kind
    spent_s = DEFAULT_S[kind] + ARM_EXTRA_S.get(kind, 0.0) * len(case.arms)
    if case.kind == "quality":
        spent_s *= (case.stretch + CHUNKS_AFTER_PROMPT) / (DEFAULT_STRETCH + CHUNKS_AFTER_PROMPT)
    elif _compiles(case):
        spent_s += COMPILED_EXTRA_S[case.device]
    return spent_s + START_S[case.device]


def _compiles(case: Case) -> bool:
    """Whether the VACE branch, or the blocks, go through torch.compile."""
    variants = [name for name in (case.variant, *case.arms) if is_variant(name)]
    fixes = {fix.name for name in variants for fix in resolve(name)}
    return case.compiled or "compiled" in case.arms or COMPILED_FIX in fixes


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
