"""How long cases will take: as committed records of the same GPU tell, else by a stated table."""

from pathlib import Path

import msgspec

from harness.compact import read_document
from harness.matrix import Case, Device, Kind
from harness.record_parts import PhaseMark
from harness.result import RECORD_LIMIT_BYTES

# Seconds for a case without a record, start of its process included: full preset on a data-center
# GPU, tiny preset on two CPU cores.
DEFAULT_S: dict[tuple[Device, Kind], float] = {
    ("cuda", "isolated"): 60,
    ("cuda", "e2e"): 90,
    ("cuda", "paired"): 90,
    ("cuda", "quality"): 180,
    ("cpu", "isolated"): 20,
    ("cpu", "e2e"): 25,
    ("cpu", "paired"): 25,
    ("cpu", "quality"): 25,
}
ARM_EXTRA_S: dict[Device, float] = {"cuda": 10, "cpu": 3}  # for each arm of a paired case
COMPILED_EXTRA_S: dict[Device, float] = {"cuda": 90, "cpu": 45}
START_S = 8  # of a process or container, imports included


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
    """The table's value for a case."""
    compiles = case.compiled or "compiled" in case.arms
    extra_s = COMPILED_EXTRA_S[case.device] if compiles else 0.0
    extra_s += ARM_EXTRA_S[case.device] * len(case.arms)
    return DEFAULT_S[case.device, case.kind] + extra_s


def _recorded(folder: Path) -> dict[tuple[str, str, str], float]:
    """Seconds of the newest record of each case; an unreadable one is the report's matter."""
    seconds: dict[tuple[str, str, str], float] = {}
    for path in sorted(folder.glob("*/cases/*.json*")):
        try:
            timing = msgspec.json.decode(read_document(path, RECORD_LIMIT_BYTES), type=Timing)
        except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
            continue
        case = timing.case
        if timing.phases:
            spent_s = timing.phases[-1].end_s - timing.phases[0].start_s
            seconds[case.id, case.preset, case.device] = spent_s + START_S
    return seconds
