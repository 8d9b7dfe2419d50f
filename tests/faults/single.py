"""A fault with a moment of its own: what it must lead to, and how it comes into a run."""

from collections.abc import Callable
from dataclasses import dataclass

from harness.result import Failure
from tests.faults.kills import Place
from tests.faults.outcome import Check, Outcome, conclude, strike
from tests.faults.player import FAULTS
from tests.faults.stage import FAULTY, Stage
from tests.faults.world import Bench, Child, Ended, World


@dataclass(frozen=True, kw_only=True)
class Single:
    """One kind of fault that is not a kill at a random moment."""

    name: str
    place: Place
    inject: Callable[["Single", Stage], Outcome]
    root: bool = False  # mounts something in its own corner


def failed(category: str, words: str = "", detail: str = "") -> Check:
    """The faulty case alone failed, for this reason."""

    def check(world: World, ended: Ended) -> list[str]:
        found = world.failures()
        if [failure.case_id for failure in found] != [FAULTY]:
            return [f"failed: {[failure.case_id for failure in found]}"]
        return mismatch(found[0], category, words, detail)

    return check


def mismatch(found: Failure, category: str, words: str, detail: str) -> list[str]:
    told = f"{found.category}: {found.message}"
    problems = [] if found.category == category else [f"not {category}: {told}"]
    problems += [] if words in found.message else [f"does not say '{words}': {told}"]
    return problems + ([] if detail in found.detail else [f"its detail lacks '{detail}'"])


def flagged(words: str) -> Check:
    """Every case finished; the faulty one says what happened."""

    def check(world: World, ended: Ended) -> list[str]:
        if ended.code:
            return [f"exit {ended.code}: {ended.last}"]
        texts = [flag for result in world.results() for flag in result.flags]
        return [] if any(words in text for text in texts) else [f"no record says '{words}'"]

    return check


def refused(words: str) -> Check:
    """The bench ended with exit code 2 and one line that says so."""

    def check(world: World, ended: Ended) -> list[str]:
        lines = [line for line in ended.output.splitlines() if line.startswith("error: ")]
        if ended.code != 2 or len(lines) != 1 or words not in lines[0]:
            return [f"not refused by '{words}': exit {ended.code}: {ended.last}"]
        return []

    return check


def in_case(
    fault: str, check: Check, *, limit: str | None = None, more: Child | None = None
) -> Callable[[Single, Stage], Outcome]:
    """A fault inside the measured process of the second case; the third runs after it."""

    def inject(single: Single, stage: Stage) -> Outcome:
        with stage.world(single.place) as world:
            setting = stage.setting(world, single.place, real=fault not in FAULTS)
            child = stage.faulty(single.place, fault) | (more or {})
            extra = [] if limit is None else ["--limit", limit]
            bench = world.start([*setting.arguments, *extra], child)
            wait_for_case(bench, FAULTY)
            hit = strike(world, bench.output)
            return conclude(single.name, world, setting, hit, bench.end(), check=check)

    return inject


def in_run(
    act: Callable[[World, Bench, Stage], None],
    check: Check | None = None,
    *,
    real: bool = False,
    limit: str | None = None,
    at_once: bool = True,
    more: Child | None = None,
) -> Callable[[Single, Stage], Outcome]:
    """Something done from outside while the second case runs."""

    def inject(single: Single, stage: Stage) -> Outcome:
        with stage.world(single.place) as world:
            setting = stage.setting(world, single.place, real=real, more=more)
            extra = [] if limit is None else ["--limit", limit]
            bench = world.start([*setting.arguments, *extra], setting.child)
            wait_for_case(bench, FAULTY)
            hit = strike(world, bench.output)
            act(world, bench, stage)
            ended = bench.end()
            return conclude(single.name, world, setting, hit, ended, check=check, at_once=at_once)

    return inject


def wait_for_case(bench: Bench, case_id: str) -> None:
    bench.wait_for(lambda: f"] {case_id}: " in bench.output)
