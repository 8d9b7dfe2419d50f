"""What the processes of one case did: how their warm-up ended, how much they timed."""

from harness.report.cells import NOTHING, Cell, Inline, Line, count, line
from harness.report.material import of_all
from harness.result import Result


def account(processes: list[Result]) -> tuple[Line | Cell, Cell, Cell]:
    """Warm-up of each process; steady chunks and timed blocks of all of them together."""
    steady = [
        (process.process, chunk.block)
        for process in processes
        for chunk in process.chunks
        if chunk.phase == "steady"
    ]
    if not steady:
        blocks = {
            (process.process, block)
            for process in processes
            for component in process.components
            for block in component.block
        }
        sources = of_all(processes, "/components/*/block")
        return NOTHING, NOTHING, count(len(blocks), *sources) if blocks else NOTHING
    sources = of_all(processes, "/chunks/*/block")
    return _warmup(processes), count(len(steady), *sources), count(len(set(steady)), *sources)


def _warmup(processes: list[Result]) -> Line | Cell:
    """After how many chunks each process's warm-up ended, and whether on a plateau."""
    ended = [one.convergence for one in processes if one.convergence is not None]
    if not ended:
        return NOTHING
    at = of_all(processes, "/convergence")
    missed = sum(not one.converged for one in ended)
    chunks = Cell(", ".join(str(one.chunks) for one in ended), at)
    state: tuple[Inline | str, ...] = ("not converged " if missed else "converged ",)
    if missed and ended[1:]:
        state = (*state, "in ", count(missed, *at), " of ", count(len(ended), *at), "; ")
    return line(*state, "after ", chunks, " chunks")
