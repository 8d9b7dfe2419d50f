"""Planned cases without a result: why, and the last lines they left."""

from dataclasses import dataclass

from harness.report.cells import Block, Cell, Inline, Line, count, line
from harness.report.material import Material, of_all, plan
from harness.result import Failure


@dataclass(frozen=True)
class Absent:
    """A planned case without a result: why, and the last lines it left."""

    name: Cell
    reason: Line
    detail: Block | None


def absent_cases(material: Material) -> list[Absent]:
    """Every case that lacks a result of a planned process."""
    cases = {case.id: index for index, case in enumerate(material.run.manifest.cases)}
    rows = []
    for case_id in material.run.missing:
        name = Cell(case_id, (plan(f"/cases/{cases[case_id]}"),), "code")
        failure = material.run.failures.get(case_id)
        if failure is None:
            resume = Cell("invoke bench --resume", form="code")
            rows.append(Absent(name, line(*_so_far(material, case_id), resume, " goes on"), None))
        else:
            rows.append(_failed(material, name, failure))
    return rows


def _so_far(material: Material, case_id: str) -> tuple[Inline | str, ...]:
    done = material.run.processes.get(case_id, [])
    if not done:
        return ("not run yet; ",)
    at = plan("/cases/*/processes")
    planned = count(done[0].case.processes, at)
    return (count(len(done), *of_all(done, "/process")), " of ", planned, " processes; ")


def _failed(material: Material, name: Cell, failure: Failure) -> Absent:
    message = Cell(failure.message, (material.path_of(failure, "/message"),))
    words: list[Inline | str] = [f"failed ({failure.category}): ", message]
    if failure.exit_code is not None:
        code = count(failure.exit_code, material.path_of(failure, "/exit_code"))
        words += [" (exit code ", code, ")"]
    detail = None
    if failure.detail.strip():
        detail = Block(failure.detail.strip("\n"), (material.path_of(failure, "/detail"),))
    return Absent(name, line(*words), detail)
