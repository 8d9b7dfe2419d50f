"""What a bench is going to do, before it does: shown by every run, and all that --dry-run does."""

import shutil
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from harness.cost_fit import gib, least_bytes
from harness.host.choice import look
from harness.host.expected import expected_seconds
from harness.host.image import ImageOptions, find_image, image_tag
from harness.host.leftovers import temporary_folder
from harness.host.options import BenchOptions, Given, recall, state_path
from harness.host.plan import Plan, narrowed, new_plan, probable_slug, resumed_plan
from harness.host.ready import Place
from harness.host.screen import duration
from harness.matrix import Process, schedule
from harness.result import encode
from harness.store import RunFolder
from harness.strict import Count, NonNegative, Strict

FORESEEN_VERSION = 2
BUDGET_FACTOR = 1.5  # of the expected time, where --budget does not say


class ForeseenCase(Strict, frozen=True):
    """A case, the processes of it that are to do, and how long each is expected to take."""

    id: str
    processes: Count
    process_s: NonNegative
    memory_bytes: Count | None = None  # of the GPU, at least; null on a CPU and where unknown


class ForeseenImage(Strict, frozen=True):
    """What the containers are made from; the tag is unknown until the base image is there."""

    state: Literal["up to date", "to build", "to pull and build"]
    tag: str | None
    base: str
    torch: str
    wheels: Count
    offline: bool


class Foreseen(Strict, frozen=True):
    """The plan of a run."""

    schema_version: int
    run: str | None  # the run that goes on; null for a new one
    matrix: str
    planned_cases: Count
    cases: list[ForeseenCase]  # those with something to do
    preset: str
    runtime: str
    device: str
    reason: str
    gpu: str | None  # its folder under reports/, as far as it is known
    expected_s: NonNegative  # building the image not included
    budget_s: NonNegative
    image: ForeseenImage | None  # null for local processes, and where it was not looked for

    @property
    def lines(self) -> list[str]:
        """The cases and their times."""
        count = "1 case" if len(self.cases) == 1 else f"{len(self.cases)} cases"
        if len(self.cases) < self.planned_cases:
            count += f" of {self.planned_cases} still to do"
        building = ", besides building the image" if self.runtime == "docker" else ""
        lines = [
            f"runtime {self.runtime} on {self.device}: {self.reason}",
            f"{count}, expected to take {duration(self.expected_s)}{building}:",
        ]
        for case in self.cases:
            times = f" x {case.processes} processes" if case.processes > 1 else ""
            memory = f", {gib(case.memory_bytes)} of GPU memory" if case.memory_bytes else ""
            lines.append(f"  {case.id}  {duration(case.process_s)}{times}{memory}")
        if any(case.processes > 1 for case in self.cases):
            lines.append(
                f"processes run in rotated order; a budget of {duration(self.budget_s)} "
                "leaves room for more of them where a comparison stays undecided"
            )
        return lines

    def answer(self, *, as_json: bool) -> str:
        """What --dry-run prints."""
        if as_json:
            return encode(self).decode().rstrip("\n")
        name = f"run {self.run}" if self.run else "a new run"
        head = f"{name}: matrix {self.matrix}, preset {self.preset}"
        end = "dry run: nothing was measured, built or written"
        return "\n".join([head, *self.lines, _image_line(self.image), end])


def dry_run(given: Given, place: Place) -> Foreseen:
    """The plan of `bench` with these options, settled as by a real run. Raises HarnessError.

    Clips are decoded, and where `auto` may take a local GPU its torch is asked; nothing else runs.
    """
    folder = temporary_folder()
    try:
        if going_on := given.get("resume") or given.get("beside"):
            done = RunFolder.find(place.reports, str(going_on)).load()
            manifest = done.manifest
            options = recall(given, state_path(manifest.run_id, place.environment))
            plan = resumed_plan(
                manifest,
                options,
                lambda gpu: look(gpu, options.reaching(place.environment)),
                folder,
            )
            todo = narrowed(done.todo, options, manifest)
        else:
            options = BenchOptions.parse(given)
            plan = new_plan(
                options,
                lambda gpu: look(gpu, options.reaching(place.environment)),
                place.project,
                folder,
            )
            todo = schedule(plan.cases)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return foresee(
        plan,
        todo,
        options,
        place,
        run=plan.run_id if going_on else None,
        image=_image(plan, options.image, place),
    )


def foresee(
    plan: Plan,
    todo: Sequence[Process],
    options: BenchOptions,
    place: Place,
    *,
    run: str | None = None,
    image: ForeseenImage | None = None,
) -> Foreseen:
    """A plan in words and figures, of which `todo` is still to do."""
    counts = Counter(process.case.id for process in todo)
    cases = [case for case in plan.cases if counts[case.id]]
    gpu = probable_slug(plan.choice, options)
    expected_s = expected_seconds(cases, place.reports, gpu)
    total_s = sum(expected_s[name] * count for name, count in counts.items())
    return Foreseen(
        schema_version=FORESEEN_VERSION,
        run=run,
        matrix=plan.matrix,
        planned_cases=len(plan.cases),
        cases=[
            ForeseenCase(
                id=case.id,
                processes=counts[case.id],
                process_s=expected_s[case.id],
                memory_bytes=least_bytes(case),
            )
            for case in cases
        ],
        preset=plan.cases[0].preset,
        runtime=plan.choice.runtime,
        device=plan.choice.device,
        reason=plan.choice.reason,
        gpu=gpu,
        expected_s=total_s,
        budget_s=budget_s(options, total_s),
        image=image,
    )


def budget_s(options: BenchOptions, expected_s: float) -> float:
    """Seconds within which undecided comparisons get more processes."""
    return 60 * options.budget_min if options.budget_min else BUDGET_FACTOR * expected_s


def _image(plan: Plan, options: ImageOptions, place: Place) -> ForeseenImage | None:
    engine = plan.choice.engine
    if engine is None:
        return None
    base = engine.image(options.base_image)
    built = find_image(engine, place.project, options)
    return ForeseenImage(
        state="to pull and build" if base is None else "up to date" if built else "to build",
        tag=image_tag(place.project, options, str(base["Id"])) if base else None,
        base=options.base_image,
        torch=options.torch,
        wheels=len(options.wheels()),
        offline=options.offline,
    )


def _image_line(image: ForeseenImage | None) -> str:
    if image is None:
        return "no image: the cases run in local processes"
    if image.state == "up to date":
        return f"image {image.tag} is up to date"
    pull = "" if image.tag else f"base image {image.base} would be pulled, then "
    network = ", without a network" if image.offline else ""
    return (
        f"{pull}image {image.tag or 'of this tree'} would be built on {image.base} with torch "
        f"'{image.torch}' and {image.wheels} wheels of the wheelhouse{network}"
    )
