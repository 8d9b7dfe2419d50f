"""Small Chrome traces made by hand: ranges, operators, calls and device events at given times."""

import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.measure.attribution import profiled_chunks
from harness.profiled import ProfiledChunk

MAIN, WORKER = 100, 101
BASE_US = 4_704_788_529_603  # traces count from months ago
NEVER_GIVEN = -1


@dataclass
class MadeTrace:
    """Events under way; all times in microseconds."""

    events: list[dict[str, Any]] = field(default_factory=list)
    correlation: int = 0

    def add(self, cat: str, name: str, start: float, end: float, **args: Any) -> None:
        thread = args.pop("thread", MAIN)
        event = {"ph": "X", "cat": cat, "name": name, "pid": 1, "tid": thread}
        event |= {"ts": BASE_US + start, "dur": round(end - start, 3), "args": args}
        self.events.append(event)

    def range(self, name: str, start: float, end: float, thread: int = MAIN) -> None:
        self.add("user_annotation", name, start, end, thread=thread)

    def operator(self, name: str, start: float, end: float, thread: int = MAIN) -> None:
        self.add("cpu_op", name, start, end, thread=thread)

    def call(self, name: str, start: float, end: float, thread: int = MAIN) -> int:
        """A runtime or driver call; its correlation id."""
        self.correlation += 1
        cat = "cuda_runtime" if name.startswith("cuda") else "cuda_driver"
        self.add(cat, name, start, end, thread=thread, correlation=self.correlation)
        return self.correlation

    def kernel(
        self, correlation: int, start: float, end: float, *, cat: str = "kernel", stream: int = 7
    ) -> None:
        args: dict[str, Any] = {"device": 0, "stream": stream, "grid": [1, 1, 1]}
        if correlation != NEVER_GIVEN:
            args["correlation"] = correlation
        self.add(cat, "void gemm<{lambda()#1}, {x}>", start, end, thread=stream, **args)

    def launch(
        self,
        call: tuple[float, float],
        kernel: tuple[float, float],
        *,
        name: str = "cudaLaunchKernel",
        thread: int = MAIN,
        stream: int = 7,
    ) -> None:
        """A call and the kernel that it launches."""
        self.kernel(self.call(name, *call, thread=thread), *kernel, stream=stream)

    def text(self) -> bytes:
        """The file's bytes, with what else torch writes around the events."""
        head = {"ph": "M", "name": "process_name", "ts": 0.5, "pid": "Spans", "tid": "x"}
        flow = {"ph": "s", "id": 3, "pid": 1, "tid": MAIN, "ts": BASE_US, "cat": "ac2g"}
        frame = {"ph": "X", "cat": "python_function", "name": "f(1)", "ts": BASE_US, "dur": 9}
        document = {"schemaVersion": 1, "deviceProperties": [{"id": 0}]}
        events = [head, *self.events, flow, {**frame, "pid": 1, "tid": MAIN}]
        return json.dumps({**document, "traceEvents": events, "traceName": "x"}, indent=1).encode()

    def write(self, path: Path, *, zipped: bool = False) -> Path:
        path.write_bytes(gzip.compress(self.text()) if zipped else self.text())
        return path

    def analyse(self, folder: Path, *, on_gpu: bool = True) -> list[ProfiledChunk]:
        return profiled_chunks(self.write(folder / "trace.json"), on_gpu=on_gpu)


def one_chunk(end: float = 1000) -> MadeTrace:
    """A steady chunk with one stage over all of it."""
    made = MadeTrace()
    made.range("chunk.steady.4", 0, end)
    made.range("stage.denoise.0", 0, end)
    return made


def typical() -> MadeTrace:
    """Two stages, nested parts, a wait at the chunk's end: nothing is wrong with it."""
    made = MadeTrace()
    made.range("chunk.steady.4", 0, 1000)
    made.range("stage.encode", 0, 300)
    made.range("stage.denoise.0", 300, 600)
    made.operator("aten::conv2d", 10, 100)
    made.launch((50, 60), (70, 400))
    made.range("part.base", 310, 590)
    made.range("part.qkv", 320, 500)
    made.range("part.lora", 330, 400)
    made.operator("aten::linear", 332, 398)
    made.operator("aten::mm", 335, 395)
    made.launch((340, 350), (405, 500))
    made.range("attention.cached_self", 510, 580)
    made.range("sageattn", 512, 578)
    made.launch((520, 530), (540, 900), name="cuLaunchKernel")
    made.call("cudaDeviceSynchronize", 610, 990)
    return made
