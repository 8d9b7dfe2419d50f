"""What torch.compile did, from dynamo's own counters (the same names in torch 2.11 and 2.13).

`work_done` is cheap enough to be read after every chunk: it only has to change when anything was
compiled, recompiled or broken.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch._dynamo import utils as dynamo

from harness.measure.redact import without_folders
from harness.record_parts import CompileStats

METRICS_LIMIT = 4096  # dynamo keeps the last 64 compilations unless told otherwise
RECOMPILE_FIELD = "recompile_reason"  # of dynamo's metrics; torch 2.6 has none
NOT_COUNTED = "this torch does not count recompiles"
MAX_REASONS = 20
REASON_CHARACTERS = 300


def keep_all_metrics() -> None:
    """Makes dynamo keep the metrics of every compilation; call it before the first one."""
    dynamo.set_compilation_metrics_limit(METRICS_LIMIT)


def work_done() -> int:
    """A number that grows whenever dynamo compiles a frame, a graph, or meets a break."""
    counters: Mapping[str, Mapping[str, int]] = dynamo.counters
    frames = counters["frames"]["total"] if "frames" in counters else 0
    graphs = counters["stats"]["unique_graphs"] if "stats" in counters else 0
    return frames + graphs + sum(counters.get("graph_break", {}).values())


@dataclass(frozen=True)
class CompileSnapshot:
    """Counters at one moment; a difference of two says what happened in between."""

    graphs: int
    breaks: dict[str, int]
    recompile_reasons: list[str]

    @classmethod
    def now(cls) -> "CompileSnapshot":
        """The counters of this process."""
        counters: Mapping[str, Mapping[str, int]] = dynamo.counters
        return cls(
            graphs=counters.get("stats", {}).get("unique_graphs", 0),
            breaks=dict(counters.get("graph_break", {})),
            recompile_reasons=[
                reason
                for entry in dynamo.get_compilation_metrics()
                if (reason := _recompile(entry))
            ],
        )

    def stats_since(self, before: "CompileSnapshot", cold_s: Mapping[str, float]) -> CompileStats:
        """The difference, with the seconds of each cold first call."""
        breaks = {
            reason: count - before.breaks.get(reason, 0)
            for reason, count in self.breaks.items()
            if count > before.breaks.get(reason, 0)
        }
        known = hasattr(dynamo.CompilationMetrics, RECOMPILE_FIELD)
        recompiles = self.recompile_reasons[len(before.recompile_reasons) :]
        return CompileStats(
            cold_s={name: round(seconds, 4) for name, seconds in cold_s.items()},
            graphs=self.graphs - before.graphs,
            graph_breaks=sum(breaks.values()),
            break_reasons=_short(list(breaks)),
            recompiles=len(recompiles),
            recompile_reasons=_short(recompiles if known else [NOT_COUNTED]),
        )


def _recompile(entry: Any) -> str | None:
    """Why this compilation was a second one of the same code; None for a first one."""
    reason: str | None = getattr(entry, RECOMPILE_FIELD, None)
    return reason


def _short(reasons: list[str]) -> list[str]:
    """Distinct reasons in order, each on one line and of bounded length."""
    lines = [without_folders(" ".join(reason.split()))[:REASON_CHARACTERS] for reason in reasons]
    return list(dict.fromkeys(lines))[:MAX_REASONS]
