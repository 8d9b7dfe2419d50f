"""The form of the tasks: options from a table, one-letter ones with two dashes, one-line errors."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

from invoke.tasks import Task, task

from harness.errors import HarnessError
from harness.host.last_error import forget, keep


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
    "dry_run": False,
    "json": False,
    "quiet": False,
    "html": False,
    "parallel": False,
    "split": False,
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


READER_GONE = 141  # as a shell says it of a program that SIGPIPE has ended


@contextmanager
def one_line_errors(project: Path) -> Iterator[None]:
    """An expected failure is one line and exit code 2; anything else keeps its traceback.

    The line is kept in the project's folder for `invoke doctor`, until the task succeeds.
    """
    try:
        yield
        sys.stdout.flush()
    except HarnessError as error:
        keep(project, error)
        print(f"error: {error.line}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # as `invoke doctor | head`: whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(READER_GONE)
    except SystemExit:  # an answer that is an exit code: the task has done its work
        forget(project)
        raise
    else:
        forget(project)
