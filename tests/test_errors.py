"""harness.errors: one line each, exit code 2."""

import inspect

import pytest

from harness import errors
from harness.errors import HarnessError, UsageError

CLASSES = [
    value
    for _, value in inspect.getmembers(errors, inspect.isclass)
    if issubclass(value, HarnessError)
]


def test_a_message_is_one_line_with_the_next_step() -> None:
    error = UsageError("unknown\n  matrix 'x'", next_step="choose\tone")
    assert error.line == str(error) == "unknown matrix 'x'; choose one"
    assert (error.what, error.next_step) == ("unknown\n  matrix 'x'", "choose\tone")


def test_a_message_without_a_next_step_ends_plainly() -> None:
    assert UsageError("no such run").line == "no such run"


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_is_expected_and_drawn_in_the_tree(kind: type[HarnessError]) -> None:
    assert kind("x").exit_code == 2
    assert kind.__name__ in (errors.__doc__ or "")


def test_quoted_text_can_neither_drive_nor_fill_a_terminal() -> None:
    line = UsageError("run '\x1b]0;evil\x07\u202ea\ud800" + "x" * 100_000, next_step="stop").line
    assert line.isprintable()
    assert len(line) < 5000
    assert line.endswith("; stop")
    line.encode()
