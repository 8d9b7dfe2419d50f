"""Invoke tasks. Each is a few lines over the library; imports are inside, so --list is instant."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from harness.host.option_help import (
    BENCH_HELP,
    COMPARE_HELP,
    GATE_HELP,
    IMAGE_HELP,
    PROFILE_HELP,
    REPRO_HELP,
    SELFCHECK_HELP,
    SUBMIT_HELP,
)
from harness.host.task_form import Given, LongOptions, one_line_errors, takes

if TYPE_CHECKING:
    from harness.host.session import Tools

PROJECT = Path(__file__).resolve().parent
REPORTS = PROJECT / "reports"


@takes(BENCH_HELP)
def bench(context: Context, **given: Given) -> None:
    """Measure a matrix of cases, in containers where possible, and write the report."""
    with one_line_errors(PROJECT):
        _bench(given)


def _bench(given: dict[str, Given]) -> None:
    from harness.errors import UsageError
    from harness.host.bench import bench
    from harness.host.foreseen import dry_run
    from harness.host.options import Given as Options
    from harness.host.ready import Place
    from harness.host.screen import Screen
    from harness.host.spread import spread

    dry, as_json, quiet = (bool(given.pop(name, None)) for name in ("dry_run", "json", "quiet"))
    place = Place(project=PROJECT, reports=REPORTS)
    if as_json and not dry:
        raise UsageError("--json is the form of a dry run's plan", next_step="add --dry-run")
    screen = Screen(quiet=quiet)

    def run(options: Options) -> Path:
        web = bool(options.get("html"))
        options = {name: value for name, value in options.items() if name != "html"}
        if dry:
            print(dry_run(options, place).answer(as_json=as_json))
            return REPORTS
        return bench(options, place, _tools(web=web), screen)

    def compare(runs: list[Path]) -> str:
        from harness.report.compare import table_of_runs

        return table_of_runs(runs)

    spread(given, place, screen, run, compare, dry=dry)


def _tools(*, web: bool = False) -> "Tools":
    from functools import partial

    from harness.analysis.comparisons import undecided
    from harness.host.session import Tools
    from harness.report.render import render_run

    return Tools(render=partial(render_run, web=web), undecided=undecided)


@takes(SELFCHECK_HELP)
def selfcheck(context: Context, **given: Given) -> None:
    """Measure how far this host's numbers can be trusted; a section of the GPU's reports."""
    with one_line_errors(PROJECT):
        _bench({**given, "matrix": "selfcheck"})


@takes(PROFILE_HELP)
def profile(context: Context, case: str | None = None, **given: Given) -> None:
    """Attribute a few chunks of each mode to their parts, and say what could be gained."""
    with one_line_errors(PROJECT):
        _bench({**given, "matrix": "profile", "only": case})


@task(
    help={"name": "of the matrix; part of its runs' ids", "out": "file; left out: <name>.toml"},
    auto_shortflags=False,
)
def new_matrix(context: Context, name: str = "", out: str | None = None) -> None:
    """Write a commented matrix of your own, which editors complete by its schema."""
    with one_line_errors(PROJECT):
        from shlex import quote

        from harness.host.matrix_form import new_matrix as write_matrix

        path = write_matrix(PROJECT, name, out)
        print(f"{path}: show its cases with `invoke bench --dry-run --matrix {quote(str(path))}`")


@takes(SUBMIT_HELP)
def submit(
    context: Context, to: str, launcher: str, image: str, out: str | None = None, **given: Given
) -> None:
    """Write a folder that Slurm or Kubernetes runs with the image built here."""
    with one_line_errors(PROJECT):
        from harness.host.engine import connect
        from harness.host.ready import Place
        from harness.host.submit import Wish
        from harness.host.submit import submit as write_submission

        wish = Wish.parse({"to": to, "launcher": launcher, "image": image, "out": out})
        place = Place(project=PROJECT, reports=REPORTS)
        print(write_submission(wish, given, place, connect(), print))


@task(help={"source": "folder that `invoke submit` wrote"}, auto_shortflags=False)
def collect(context: Context, source: str = "") -> None:
    """Make a run of what a submission brought back, and write its report."""
    with one_line_errors(PROJECT):
        from harness.host.collect import collect as collect_run
        from harness.host.ready import Place
        from harness.host.screen import Screen

        collect_run(source, Place(project=PROJECT, reports=REPORTS), _tools(), Screen())


@takes(IMAGE_HELP)
def build(context: Context, **given: Given) -> None:
    """Build the image, if the tree has changed since the last time."""
    with one_line_errors(PROJECT):
        from harness.host.engine import connect
        from harness.host.image import ensure_image
        from harness.host.options import BenchOptions

        print(ensure_image(connect(), PROJECT, BenchOptions.parse(given).image, print).tag)


@takes({"out": "file to write", **IMAGE_HELP})
def sbom(context: Context, out: str | None, **given: Given) -> None:
    """Write the bill of materials of the image (CycloneDX); needs the development packages."""
    with one_line_errors(PROJECT):
        from harness.host.bill import write_bill
        from harness.host.engine import connect
        from harness.host.image import ensure_image
        from harness.host.options import BenchOptions

        engine = connect()
        image = ensure_image(engine, PROJECT, BenchOptions.parse(given).image, print)
        print(write_bill(engine, image, Path(out or "sbom.cdx.json")))


@task
def audit(context: Context) -> None:
    """Known vulnerabilities of the locked packages: exit code 1 if any is not explained."""
    with one_line_errors(PROJECT):
        from harness.host.audit import audit as audit_locks

        answer = audit_locks(PROJECT)
        print(answer.text)
        sys.exit(answer.exit_code)


@task(
    help={
        "run": "id or folder of one run; without it every run and the index",
        "public": "scan what was rendered for names of hosts and users, paths, serials, UUIDs",
        "html": BENCH_HELP["html"],
    },
    auto_shortflags=False,
)
def report(
    context: Context, run: str | None = None, public: bool = False, html: bool = False
) -> None:
    """Render reports from their records; needs no torch, Docker or GPU."""
    with one_line_errors(PROJECT):
        from harness.report.public import scan
        from harness.report.render import render_all, render_run
        from harness.store import RunFolder

        if run:
            paths = [render_run(RunFolder.find(REPORTS, run).path, web=html)]
        else:
            paths = render_all(REPORTS, web=html)
        print(*paths, sep="\n")
        if public:
            print(*scan(paths), sep="\n")


@task(help={"run": "id or folder of a run"}, auto_shortflags=False)
def compact(context: Context, run: str = "") -> None:
    """Compress the large records of a finished run, for version control."""
    with one_line_errors(PROJECT):
        from harness.errors import UsageError
        from harness.store import RunFolder

        if not run:
            raise UsageError("a run is needed", next_step="give --run RUN")
        folder = RunFolder.find(REPORTS, run)
        done = folder.compact()
        print(f"{folder.path.name}: {len(done)} records compressed", *done, sep="\n")


@takes(REPRO_HELP)
def repro(
    context: Context,
    run: str,
    across: str,
    measure: str,
    dry_run: bool,
    quiet: bool,
    **given: Given,
) -> None:
    """Run an earlier run again, say what is not as it was, compare: exit codes of compare."""
    with one_line_errors(PROJECT):
        from harness.host.bench import repeat
        from harness.host.ready import Place
        from harness.host.repro import repetition
        from harness.host.screen import Screen
        from harness.report.compare import compare_runs

        place = Place(project=PROJECT, reports=REPORTS)
        again = repetition(run, given, place)
        print(*again.lines, sep="\n", flush=True)
        again.check(across)
        if dry_run:
            return
        screen = Screen(quiet=quiet)
        report = repeat(again.source, again.options, place, _tools(), screen)
        answer = compare_runs(
            REPORTS, a=str(again.source.path), b=str(report.parent), across=across, measure=measure
        )
        print(answer.text)
        sys.exit(answer.exit_code)


@task(
    help={
        "run": "id or folder of the run",
        "out": "file to write; left out: <gpu>-<run>.tar.gz in the current folder",
    },
    auto_shortflags=False,
)
def share(context: Context, run: str = "", out: str | None = None) -> None:
    """Pack a run into one file to send, once it is shown to name neither host nor user."""
    with one_line_errors(PROJECT):
        from harness.report.share import share as share_run

        print(share_run(REPORTS, run, out))


@task(
    help={"file": "a run packed by `invoke share`", "by": "who sent it, as the index names them"},
    auto_shortflags=False,
)
def add(context: Context, file: str = "", by: str | None = None) -> None:
    """Check a packed run, which may come from anyone, and add it to the reports."""
    with one_line_errors(PROJECT):
        from harness.host.locks import hold_reports
        from harness.report.share import add as add_run

        with hold_reports(REPORTS):
            print(*add_run(REPORTS, file, by), sep="\n")


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
    with one_line_errors(PROJECT):
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
    with one_line_errors(PROJECT):
        from harness.report.gate import gate_runs

        answer = gate_runs(REPORTS, **given)
        print(answer.text)
        sys.exit(answer.exit_code)


@takes({"host": "another host, ssh://user@box", "gpu": BENCH_HELP["gpu"], **IMAGE_HELP})
def doctor(context: Context, **given: Given) -> None:
    """Say what this host offers, what stands in the way, and what `auto` would choose."""
    with one_line_errors(PROJECT):
        from harness.host.choice import look
        from harness.host.doctor import examine
        from harness.host.last_error import last_finding
        from harness.host.options import BenchOptions

        options = BenchOptions.parse(given)
        around = look(options.gpu, options.reaching(os.environ))
        for finding in examine(options, around, PROJECT, REPORTS):
            print(finding.line, flush=True)
        if (kept := last_finding(PROJECT)) is not None:
            print(kept.line)


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
    with one_line_errors(PROJECT):
        from harness.report.audit import check_reports

        check_reports(REPORTS)


@task
def clean(context: Context) -> None:
    """Remove the project's images, compile-cache volumes and leftovers of killed runs."""
    with one_line_errors(PROJECT):
        from harness.host.engine import connect
        from harness.host.leftovers import remove_from_engine, remove_local
        from harness.host.locks import hold_reports

        with hold_reports(REPORTS):  # a run under way here needs its image
            print(*remove_local(), sep="\n")
            print(*remove_from_engine(connect()), sep="\n")
