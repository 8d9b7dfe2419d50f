"""What the page's script draws of a profiled chunk: the record's bins, with labels and colours."""

import json

from harness.matrix import Case
from harness.profiled import Timeline
from harness.report.markdown import one_line
from harness.report.plots import STAGE_COLOURS
from harness.report.plots_timeline import BUSY, HOST_COLOURS
from harness.report.sections.stages import stage_label

SHARE_DIGITS, MS_DIGITS = 4, 3  # of the page's copy; the record has all


def timeline_data(case: Case, line: Timeline) -> str:
    """A block of data for the script beside it. JSON in which nothing can end the block."""
    told = {
        "bin_ms": line.bin_ms,
        "stages": [
            {
                "label": one_line(stage_label(mark.stage, case)),
                "colour": STAGE_COLOURS.get(mark.stage.partition(".")[0], STAGE_COLOURS["other"])[
                    1
                ],
                "start_ms": round(mark.start_ms, MS_DIGITS),
                "end_ms": round(mark.end_ms, MS_DIGITS),
            }
            for mark in line.stages
        ],
        "lanes": [
            {"label": "GPU", "series": [_series("GPU busy", BUSY, line.busy)]},
            {
                "label": "Host",
                "series": [
                    _series(label, colour, line.host[cause])
                    for cause, (label, colour) in HOST_COLOURS.items()
                    if any(line.host.get(cause, ()))
                ],
            },
        ],
    }
    text = json.dumps(told, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json">{text}</script>'


def _series(label: str, colour: str, shares: list[float]) -> dict[str, object]:
    values = [round(share, SHARE_DIGITS) for share in shares]
    return {"label": label, "colour": colour, "shares": values}
