"""Cuts pieces out of a recorded trace, small enough to commit: `python cut.py TRACE.json.gz`.

A piece keeps every host event inside its window and every device event that they launched, with
their own times, names and correlation ids. Ranges around the window are shortened to it. Nothing
else of the file is kept: no metadata, flows, shapes, ids of processes or of the machine.
"""

import gzip
import json
import sys
from pathlib import Path
from typing import Any

Event = dict[str, Any]
HOST = ("cpu_op", "cuda_runtime", "cuda_driver")
DEVICE = ("kernel", "gpu_memcpy", "gpu_memset")
CHUNK = "chunk.steady.44"
RANGES = ("chunk", "stage", "part", "attention", "sageattn", "sdpa", "flex_attention")
BLOCKS = 2


def main(trace: Path) -> None:
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    events = [event for event in events if event["ph"] == "X" and "dur" in event]
    ranges = [event for event in events if event["cat"] == "user_annotation"]
    (chunk,) = [event for event in ranges if event["name"] == CHUNK]
    inside = [event for event in ranges if within(event, chunk)]
    finish, denoise, hints = (
        named(inside, f"stage.{name}") for name in ("finish", "denoise.0", "hints.0")
    )
    base = next(event for event in named(inside, "part.base") if within(event, denoise[-1]))
    vace = next(event for event in named(inside, "part.vace") if within(event, hints[0]))
    update = named(inside, "part.cache.update")[0]
    pieces = {
        # Two base blocks of the first step: index reads, roll and clone of the cache, Sage.
        "blocks": (base["ts"], end(after(inside, base, "part.ffn", "part.modulation"))),
        # Patch embedding and two VACE blocks: padding, flex, two stacks of hints.
        "hints": (vace["ts"], end(after(inside, vace, "part.ffn", "part.stack"))),
        # The deferred writes and rolls of all blocks.
        "update": (update["ts"], end(update)),
        # From the last stage to the wait for the device at the chunk's end.
        "end": (finish[0]["ts"], end(chunk)),
    }
    for name, (begin, until) in pieces.items():
        print(name, begin, until, until - begin)
        piece = cut(events, begin, until)
        text = json.dumps({"schemaVersion": 1, "traceEvents": piece}, separators=(",", ":"))
        target = Path(__file__).with_name(f"{name}.json.gz")
        target.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
        print(f"{target.name}: {len(piece)} events, {target.stat().st_size} bytes")


def after(ranges: list[Event], outer: Event, mark: str, name: str) -> Event:
    """The first range `name` behind the last of BLOCKS ranges `mark` inside of `outer`."""
    children = [event for event in ranges if event is not outer and within(event, outer)]
    marked = named(children, mark)[BLOCKS - 1]
    return next(event for event in named(children, name) if event["ts"] >= end(marked))


def cut(events: list[Event], begin: float, until: float) -> list[Event]:
    """The window's events, and the ranges around it as long as the window."""
    kept = []
    for event in events:
        if event["cat"] == "user_annotation" and event["name"].partition(".")[0] in RANGES:
            start, stop = max(event["ts"], begin), min(end(event), until)
            if start < stop:
                kept.append({**brief(event), "ts": start, "dur": round(stop - start, 3)})
        elif event["cat"] in HOST and begin <= event["ts"] and end(event) <= until:
            kept.append(brief(event))
    launched = {event["args"]["correlation"] for event in kept if "args" in event}
    kept += [
        brief(event)
        for event in events
        if event["cat"] in DEVICE and event["args"].get("correlation") in launched
    ]
    return kept


def brief(event: Event) -> Event:
    """What an attribution reads, and no more."""
    kept = {key: event[key] for key in ("ph", "cat", "name", "ts", "dur")}
    kept |= {"pid": 0, "tid": event["tid"] if event["cat"] in DEVICE else "main"}
    if "correlation" in event.get("args", {}):
        kept["args"] = {"correlation": event["args"]["correlation"]}
    return kept


def named(events: list[Event], name: str) -> list[Event]:
    return [event for event in events if event["name"] == name]


def end(event: Event) -> float:
    return float(event["ts"] + event["dur"])


def within(event: Event, outer: Event) -> bool:
    return bool(outer["ts"] <= event["ts"] and end(event) <= end(outer))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
