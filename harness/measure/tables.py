"""Plain-text tables of results, for a terminal. The report proper is made from the record."""

from collections.abc import Iterator, Sequence

from harness.analysis.interval import iqr, median
from harness.record_parts import ChunkSample, Component
from harness.result import Result

Row = Sequence[str]


def tables(results: list[Result]) -> Iterator[str]:
    """All tables, line by line."""
    if any(result.case.device == "cpu" or result.case.preset == "tiny" for result in results):
        yield "Functional check on a CPU or with the tiny preset: not a performance result."
    isolated = [result for result in results if result.case.kind == "isolated"]
    whole = [result for result in results if result.case.kind == "e2e"]
    components = [component for result in isolated for component in result.components]
    if components:
        head = ("component", "variant", "median ms", "IQR %", "n", "calls/chunk", "ms/chunk")
        yield from table("Isolated components", head, [_component_row(c) for c in components])
    if whole:
        head = ("case", "median ms", "IQR %", "n", "FPS", "first chunk s", "flags")
        yield from table("End to end, steady chunks", head, [_whole_row(r) for r in whole])
    ups = [*_component_speedups(isolated), *_whole_speedups(whole)]
    if ups:
        head = ("what", "eager ms", "compiled ms", "speed-up", "cold compile s", "breaks", "again")
        yield from table("torch.compile", head, ups)


def _component_row(component: Component) -> Row:
    middle = median(component.wall_ms)
    return (
        component.name,
        component.variant,
        f"{middle:.3f}",
        f"{iqr(component.wall_ms) / middle:.1%}",
        str(len(component.wall_ms)),
        str(component.calls_per_chunk),
        f"{middle * component.calls_per_chunk:.2f}",
    )


def _whole_row(result: Result) -> Row:
    chunks = _steady(result)
    wall_ms = [chunk.wall_ms for chunk in chunks]
    seconds = sum(wall_ms) / 1e3
    return (
        result.case_id,
        f"{median(wall_ms):.2f}",
        f"{iqr(wall_ms) / median(wall_ms):.1%}",
        str(len(wall_ms)),
        f"{sum(chunk.frames for chunk in chunks) / seconds:.2f}",
        f"{result.chunks[0].wall_ms / 1e3:.2f}",
        "; ".join(result.flags) or "-",
    )


def _component_speedups(isolated: list[Result]) -> Iterator[Row]:
    """Both variants of a compiled case were measured in one process, interleaved."""
    for result in isolated:
        by_name = {(c.name, c.variant): c for c in result.components}
        for name, variant in by_name:
            if variant != "compiled" or (name, "eager") not in by_name:
                continue
            eager = median(by_name[name, "eager"].wall_ms)
            compiled = median(by_name[name, "compiled"].wall_ms)
            yield _speedup(name, eager, compiled, result, name)


def _whole_speedups(whole: list[Result]) -> Iterator[Row]:
    """Two processes: a difference of a few percent may be theirs."""
    eager = {r.case.mode: r for r in whole if not r.case.compiled}
    for result in whole:
        if result.case.compiled and result.case.mode in eager:
            before = median([c.wall_ms for c in _steady(eager[result.case.mode])])
            after = median([c.wall_ms for c in _steady(result)])
            yield _speedup(f"chunk, {result.case.mode}", before, after, result, "first_chunk")


def _speedup(what: str, eager: float, compiled: float, result: Result, cold: str) -> Row:
    stats = result.compile
    return (
        what,
        f"{eager:.3f}",
        f"{compiled:.3f}",
        f"{eager / compiled:.3f}x",
        f"{stats.cold_s[cold]:.1f}" if stats and cold in stats.cold_s else "-",
        str(stats.graph_breaks) if stats else "-",
        str(stats.recompiles) if stats else "-",
    )


def _steady(result: Result) -> list[ChunkSample]:
    return [chunk for chunk in result.chunks if chunk.phase == "steady"]


def table(title: str, head: Row, rows: list[Row]) -> Iterator[str]:
    """Columns as wide as their widest cell; numbers to the right, the first column to the left."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    yield ""
    yield title
    for row in [head, tuple("-" * width for width in widths), *rows]:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join(cells).rstrip()
