"""Invoke tasks. Each is a few lines over the library; imports are inside, so --list is instant."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

from invoke.context import Context
from invoke.tasks import Task, task

PROJECT = Path(__file__).resolve().parent
REPORTS = PROJECT / "reports"

IMAGE_HELP = {
    "base-image": "base image (a CUDA image pinned by tag)",
    "torch": "torch of the image: a requirement such as torch==2.13.0, or keep",
    "wheelhouse": "folder with wheels that the build prefers",
    "ca-bundle": "certificates for the package index during the build",
    "offline": "build without any network; every wheel comes from the wheelhouse",
}
BENCH_HELP = {
    "matrix": "quick, full, selfcheck, profile, fixes, limit, or a .toml file (docs/matrix.md)",
    "only": "keep the cases whose id matches this pattern, e.g. 'e2e-*'",
    "runtime": "auto, docker or local",
    "device": "auto, cuda or cpu",
    "gpu": "index or UUID of the GPU",
    "variant": "changes of the workload: a fix, a stack, or several joined by '+'",
    "preset": "auto, full or tiny",
    "size": "frame size WxH, multiples of 16",
    "weights": "folder with the published checkpoints; without it weights are seeded",
    "video": "video file to feed; what is not given is generated",
    "depth": "depth video file to feed",
    "mask": "mask video file to feed, of the video's frame size",
    "processes": "fresh processes of each case whose chunks are timed; three for a verdict",
    "budget": "minutes within which undecided comparisons get more processes",
    "limit": "minutes after which a case counts as hung and is stopped",
    "resume": "id of an interrupted run to go on with",
    **IMAGE_HELP,
}

NOT_IN_SELFCHECK = ("matrix", "variant", "video", "depth", "mask")
SELFCHECK_HELP = {name: text for name, text in BENCH_HELP.items() if name not in NOT_IN_SELFCHECK}


PROFILE_HELP = {
    "case": "keep the cases whose id matches this pattern, e.g. '*-depth-*'",
    **{name: text for name, text in SELFCHECK_HELP.items() if name != "only"},
}


COMPARE_HELP = {
    "a": "id or folder of a run, or RUN:CASE for one case of it",
    "b": "what is held against it: the same forms",
    "across": "keys whose difference is the question, e.g. gpu,torch.version",
    "measure": "wall or busy decides the exit code; left out: busy where both have it",
    "out": "folder for comparison.md and comparison.json",
    "json": "print JSON in place of Markdown",
}
GATE_HELP = {
    "baseline": "id or folder of the run to hold against",
    "run": "the run to judge; left out: the newest other one of this matrix and GPU",
    "max-regression": "margin that a case may be slower by, e.g. 3% or 0.03",
    "measure": COMPARE_HELP["measure"],
    "across": COMPARE_HELP["across"],
}


class TwoDashes(str):
    """A one-letter option that is written `--a`, as every other; Invoke would make it `-a`.

    Invoke chooses by the length of the stripped name, and only then puts the dashes before it.
    """

    def __len__(self) -> int:
        return super().__len__() + 1

    def lstrip(self, characters: str | None = None, /) -> "TwoDashes":
        """Itself: a letter has nothing to strip, and stays of this class."""
        return self

    rstrip = lstrip

    def replace(self, *_: Any) -> "TwoDashes":
        """Itself, as above."""
        return self


class LongOptions(Task[Any]):
    """A task whose one-letter options take two dashes."""

    def arg_opts(self, name: str, default: str, taken_names: set[str]) -> dict[str, Any]:
        """Invoke's own, with these names."""
        options: dict[str, Any] = super().arg_opts(name, default, taken_names)
        return options | {"names": [TwoDashes(n) if len(n) == 1 else n for n in options["names"]]}


# Of options that tasks share; the others have none, so that `BenchOptions` sees what was given.
DEFAULTS: dict[str, str | bool] = {
    "matrix": "quick",
    "runtime": "auto",
    "device": "auto",
    "preset": "auto",
    "offline": False,
    "out": "sbom.cdx.json",
}
Given = str | bool | None


def takes(options: dict[str, str]) -> Callable[[Callable[..., None]], Task[Any]]:
    """A task with these options, by name and text; its function gets them as keywords.

    Invoke reads the options off the signature, so that is what is made here.
    """

    def make(body: Callable[..., None]) -> Task[Any]:
        names = [name.replace("-", "_") for name in options]
        parameters = [
            Parameter("context", Parameter.POSITIONAL_OR_KEYWORD),
            *(Parameter(n, Parameter.KEYWORD_ONLY, default=DEFAULTS.get(n)) for n in names),
        ]
        vars(body)["__signature__"] = Signature(parameters)
        made: Task[Any] = task(help=options, auto_shortflags=False)(body)
        return made

    return make


@contextmanager
def one_line_errors() -> Iterator[None]:
    """An expected failure is one line and exit code 2; anything else keeps its traceback."""
    from harness.errors import HarnessError

    try:
        yield
    except HarnessError as error:
        print(f"error: {error.line}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


@takes(BENCH_HELP)
def bench(context: Context, **given: Given) -> None:
    """Measure a matrix of cases, in containers where possible, and write the report."""
    with one_line_errors():
        _bench(given)


def _bench(given: dict[str, Given]) -> None:
    from harness.analysis.comparisons import undecided
    from harness.host.bench import bench
    from harness.host.ready import Place
    from harness.host.screen import Screen
    from harness.host.session import Tools
    from harness.report.render import render_run

    tools = Tools(render=render_run, undecided=undecided)
    bench(given, Place(project=PROJECT, reports=REPORTS), tools, Screen())


@takes(SELFCHECK_HELP)
def selfcheck(context: Context, **given: Given) -> None:
    """Measure how far this host's numbers can be trusted; a section of the GPU's reports."""
    with one_line_errors():
        _bench({**given, "matrix": "selfcheck"})


@takes(PROFILE_HELP)
def profile(context: Context, case: str | None = None, **given: Given) -> None:
    """Attribute a few chunks of each mode to their parts, and say what could be gained."""
    with one_line_errors():
        _bench({**given, "matrix": "profile", "only": case})


@takes(IMAGE_HELP)
def build(context: Context, **given: Given) -> None:
    """Build the image, if the tree has changed since the last time."""
    with one_line_errors():
        from harness.host.engine import connect
        from harness.host.image import ensure_image
        from harness.host.options import BenchOptions

        print(ensure_image(connect(), PROJECT, BenchOptions.parse(given).image, print).tag)


@takes({"out": "file to write", **IMAGE_HELP})
def sbom(context: Context, out: str, **given: Given) -> None:
    """Write the bill of materials of the image (CycloneDX); needs the development packages."""
    with one_line_errors():
        from harness.host.bill import write_bill
        from harness.host.engine import connect
        from harness.host.image import ensure_image
        from harness.host.options import BenchOptions

        engine = connect()
        image = ensure_image(engine, PROJECT, BenchOptions.parse(given).image, print)
        print(write_bill(engine, image, Path(out)))


@task
def audit(context: Context) -> None:
    """Known vulnerabilities of the locked packages: exit code 1 if any is not explained."""
    with one_line_errors():
        from harness.host.audit import audit as audit_locks

        answer = audit_locks(PROJECT)
        print(answer.text)
        sys.exit(answer.exit_code)


@task(
    help={
        "run": "id or folder of one run; without it every run and the index",
        "public": "scan what was rendered for names of hosts and users, paths, serials, UUIDs",
    },
    auto_shortflags=False,
)
def report(context: Context, run: str | None = None, public: bool = False) -> None:
    """Render reports from their records; needs no torch, Docker or GPU."""
    with one_line_errors():
        from harness.report.public import scan
        from harness.report.render import render_all, render_run
        from harness.store import RunFolder

        paths = [render_run(RunFolder.find(REPORTS, run).path)] if run else render_all(REPORTS)
        print(*paths, sep="\n")
        if public:
            print(*scan(paths), sep="\n")


@task(klass=LongOptions, help=COMPARE_HELP, auto_shortflags=False)
def compare(
    context: Context,
    a: str = "",
    b: str = "",
    across: str | None = None,
    measure: str | None = None,
    out: str | None = None,
    json: bool = False,
) -> None:
    """Hold run B against run A: exit code 0 same or faster, 3 undecided, 4 slower."""
    with one_line_errors():
        from harness.report.compare import compare_runs

        answer = compare_runs(
            REPORTS, a=a, b=b, across=across, measure=measure, out=out, as_json=json
        )
        print(answer.text)
        sys.exit(answer.exit_code)


@task(help=GATE_HELP, auto_shortflags=False)
def gate(
    context: Context,
    baseline: str = "",
    run: str | None = None,
    max_regression: str = "3%",
    measure: str | None = None,
    across: str | None = None,
) -> None:
    """For CI: exit code 0 if no case is slower by the margin, 3 undecided, 4 regressed."""
    given = {name: value for name, value in locals().items() if name != "context"}
    with one_line_errors():
        from harness.report.gate import gate_runs

        answer = gate_runs(REPORTS, **given)
        print(answer.text)
        sys.exit(answer.exit_code)


@takes({"gpu": BENCH_HELP["gpu"], **IMAGE_HELP})
def doctor(context: Context, gpu: str | None = None, **given: Given) -> None:
    """Say what this host offers, what stands in the way, and what `auto` would choose."""
    with one_line_errors():
        from harness.host.choice import look
        from harness.host.doctor import examine
        from harness.host.options import BenchOptions

        options = BenchOptions.parse({**given, "gpu": gpu})
        for finding in examine(options, look(gpu), PROJECT, REPORTS):
            print(finding.line, flush=True)


@task
def test(context: Context) -> None:
    """Run the tests; container tests skip where no engine answers."""
    context.run(f"{sys.executable} -m pytest {PROJECT}", pty=sys.stdout.isatty())


@task
def lint(context: Context) -> None:
    """Check style, types, who imports what, and that stored reports hold what their records say."""
    with context.cd(PROJECT):
        for check in ("ruff check", "ruff format --check", "mypy"):
            context.run(f"{sys.executable} -m {check}")
        context.run(f"{Path(sys.executable).parent}/lint-imports")
    with one_line_errors():
        from harness.report.audit import check_reports

        check_reports(REPORTS)


@task
def clean(context: Context) -> None:
    """Remove the project's images, compile-cache volumes and leftovers of killed runs."""
    with one_line_errors():
        from harness.host.engine import connect
        from harness.host.leftovers import remove_from_engine, remove_local
        from harness.host.locks import hold_reports

        with hold_reports(REPORTS):  # a run under way here needs its image
            print(*remove_local(), sep="\n")
            print(*remove_from_engine(connect()), sep="\n")
