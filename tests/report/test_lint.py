from dataclasses import dataclass
from pathlib import Path

import pytest
from jinja2 import DictLoader, Environment

from harness.report.cells import Block, Cell, Line, Table, line, table
from harness.report.lint import RULES, UnsourcedNumberError, check_template, check_view
from harness.report.templates import TEMPLATES, environment
from tests.records import build


@dataclass(frozen=True)
class View:
    title: Line
    rows: Table | None
    blocks: tuple[Block, ...] = ()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build.cpu_run(tmp_path)


def view_of(text: str, *sources: str) -> View:
    return View(line("It takes ", Cell(text, sources)), None)


@pytest.mark.parametrize(
    "source",
    [
        "run.json#/cases/0/kind",
        "run.json#/facts/git.commit/value",
        "cases/e2e-text-eager.json#",
        "cases/e2e-text-eager.json#/chunks/*/wall_ms",
        "cases/e2e-text-eager.json#/chunks/*/stage_ms/denoise.0",
        "published#chunk",
        "published#aten::mm",
        "rule#MIN_EFFECT",
        "rule#TELEMETRY",
        "../20261123-070000-quick/run.json#/matrix",
        "beside#20261123-070000-quick",
    ],
)
def test_a_source_that_exists_passes(folder: Path, source: str) -> None:
    check_view(view_of("5 ms", source), folder)


@pytest.mark.parametrize(
    "source",
    [
        "run.json#/no_such_key",
        "run.json#/cases/99",
        "run.json#/matrix/deeper",
        "cases/other.json#",
        "cases/e2e-text-eager.json#/chunks/*/nothing",
        "cases/e2e-text-eager.json#/components/*/wall_ms",
        "published#made_up",
        "rule#MADE_UP",
        "../no-such-run/run.json#/matrix",
        "beside#no-such-run",
    ],
)
def test_a_source_that_does_not_exist_fails(folder: Path, source: str) -> None:
    with pytest.raises(UnsourcedNumberError, match="not in the record"):
        check_view(view_of("5 ms", source), folder)


def test_a_number_without_source_fails(folder: Path) -> None:
    with pytest.raises(UnsourcedNumberError, match="without source: '5 ms'"):
        check_view(view_of("5 ms"), folder)


def test_a_number_deep_in_a_table_is_found(folder: Path) -> None:
    rows = table(("A",), [(line("of ", Cell("3")),)])
    with pytest.raises(UnsourcedNumberError):
        check_view(View(line("title"), rows), folder)


def test_a_number_in_a_block_is_found(folder: Path) -> None:
    with pytest.raises(UnsourcedNumberError):
        check_view(View(line("title"), None, (Block("exit 1", ()),)), folder)


def test_digits_inside_words_are_names(folder: Path) -> None:
    check_view(view_of("sha256 of e2e"), folder)


@pytest.mark.parametrize(
    "source",
    ["It takes 735 ms.", "{{ view.title }} and 5.3 %", "{{ '42' }}", "{{ 42 }}", "{% if x > 3 %}"],
)
def test_a_number_planted_in_a_template_fails(source: str) -> None:
    planted = Environment(loader=DictLoader({"planted": source}))
    with pytest.raises(UnsourcedNumberError, match="planted:1"):
        check_template(planted, "planted")


def test_our_templates_hold_no_number() -> None:
    names = [path.name for path in TEMPLATES.glob("*.j2")]
    assert len(names) == 10
    for name in names:
        check_template(environment(), name)


def test_a_template_may_print_only_cells() -> None:
    jinja = environment().overlay(loader=DictLoader({"bare": "{{ text }}"}))
    with pytest.raises(TypeError, match="not a cell"):
        jinja.get_template("bare").render(text="5 ms")
    assert jinja.get_template("bare").render(text=Cell("a|b")) == r"a\|b"


def test_a_template_cannot_print_what_is_missing() -> None:
    jinja = environment().overlay(loader=DictLoader({"bare": "{{ text.nothing }}"}))
    with pytest.raises(Exception, match="nothing"):
        jinja.get_template("bare").render(text=Cell("a"))


def test_every_rule_has_a_limit() -> None:
    assert all(limit > 0 for limit in RULES.values())
