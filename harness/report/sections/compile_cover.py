"""Why torch.compile does or does not help: what it covers, and what of that can be fused."""

from harness.analysis.compile_cover import Cover, cover, covered_ms
from harness.analysis.experiment import MIN_EFFECT
from harness.report.cells import Inline, Line, count, line, ms, percent
from harness.report.material import MODE_LABELS, Material, of
from harness.report.sections.paired import by_case, compiled_pairs, pair_sentence
from harness.report.sections.profiling import profiled_modes
from harness.result import Result


def compile_sentences(material: Material) -> tuple[Line, ...]:
    """Sentences over every profiled mode that has a VACE branch; empty where none has."""
    found = [(r, c) for r in profiled_modes(material) if (c := cover(r)) is not None]
    sentences = [one for result, covered in found for one in _mode(material, result, covered)]
    if not sentences:
        return ()
    measured = [pair_sentence(pairs, "Measured, ") for pairs in by_case(compiled_pairs(material))]
    return (*sentences, *measured, *_counters(material))


def _mode(material: Material, result: Result, found: Cover) -> list[Line]:
    mode, path = MODE_LABELS[result.case.mode], found.slot.path
    parts, busy = of(result, f"{path}/parts/*/device_ms"), of(result, f"{path}/busy_ms")
    operators = of(result, f"{path}/operators")
    reach: list[Inline | str] = [f"{mode}: torch.compile covers the VACE patch embedding and the "]
    reach += ["VACE blocks, ", ms(found.covered_ms, parts), " or "]
    reach += [percent(found.covered_share, parts, busy), " of GPU-busy time; everything else "]
    inside: list[Inline | str] = [f"{mode}: in there are "]
    for place, (kind, time_ms) in enumerate(found.library_ms.items()):
        inside += [", " * bool(place), f"{kind} ", ms(time_ms, operators)]
    inside += [", which come from libraries and cannot be fused; "]
    inside += [ms(found.fusible_ms, parts, operators), " are left"]
    least: list[Inline | str] = [f"{mode}: so the most that compiling can gain is "]
    least += [percent(found.busy_ceiling, parts, operators, busy), " of GPU-busy time and "]
    host, wall = of(result, f"{path}/parts/*/host_ms"), of(result, "/profile/wall_median_ms")
    least += [percent(found.wall_ceiling, parts, operators, host, wall), " of wall time, if all "]
    least += ["of that were gone, and with it the host's time in there as far as the GPU idles"]
    least += [_small(found)]
    lines = [line(*reach, "stays eager."), line(*inside, "."), line(*least, ".")]
    beside = _beside(material, result, found)
    return lines if beside is None else [*lines, beside]


def _small(found: Cover) -> Line:
    """Says so where not even the ceiling reaches the minimum effect."""
    if max(found.busy_ceiling, found.wall_ceiling) >= MIN_EFFECT:
        return line("")
    limit = percent(MIN_EFFECT, "rule#MIN_EFFECT")
    return line(", which is below the minimum effect of ", limit)


def _beside(material: Material, result: Result, found: Cover) -> Line | None:
    """The branch in a profiled compiled case."""
    compiled = material.profiled(result.case.mode, compiled=True)
    after = covered_ms(compiled) if compiled is not None else None
    if compiled is None or after is None:
        return None
    slot, after_ms = after
    before = of(result, f"{found.slot.path}/parts/*/device_ms")
    at = (before, of(compiled, f"{slot.path}/parts/*/device_ms"))
    words: list[Inline | str] = [f"{MODE_LABELS[result.case.mode]}: compiled, the branch takes "]
    words += [ms(after_ms, at[1]), " of GPU time in place of ", ms(found.covered_ms, before)]
    gained_ms = found.covered_ms - after_ms
    words += [", ", percent(abs(gained_ms) / found.busy_ms, *at)]
    words += [" of the chunk's GPU-busy time ", "less" if gained_ms >= 0 else "more"]
    return line(*words, ".")


def _counters(material: Material) -> list[Line]:
    """Graphs, breaks and recompiles of everything that ran compiled end to end."""
    lines = []
    for result in material.results:
        stats = result.compile
        if stats is None or result.case.kind == "isolated":
            continue
        breaks = count(stats.graph_breaks, of(result, "/compile/graph_breaks"))
        again = count(stats.recompiles, of(result, "/compile/recompiles"))
        graphs = count(stats.graphs, of(result, "/compile/graphs"))
        name = MODE_LABELS[result.case.mode].lower()
        how = "paired" if result.case.arms else "compiled alone"
        words = (f"Compile counters, {name}, {how}: ", graphs, " graphs, ", breaks)
        lines.append(line(*words, " graph breaks, ", again, " recompiles."))
    return lines
