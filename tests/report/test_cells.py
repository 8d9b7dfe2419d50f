import pytest

from harness.report.cells import (
    NOTHING,
    Block,
    Cell,
    Link,
    count,
    gibibytes,
    line,
    listed,
    ms,
    number,
    percent,
    rate,
    table,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234.56, "1,234.6"), (493.26, "493.3"), (38.9, "38.90"), (0.0912, "0.091"), (-5.0, "-5.000")],
)
def test_numbers_have_about_four_digits(value: float, text: str) -> None:
    assert number(value, "run.json#").text == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.2356, "23.6 %"),
        (0.00954, "0.95 %"),
        (0.0, "0.00 %"),
        (-0.00001, "0.00 %"),
        (1.0, "100.0 %"),
    ],
)
def test_percent(share: float, text: str) -> None:
    assert percent(share, "run.json#").text == text


def test_other_units() -> None:
    assert ms(12.0).text == "12.00 ms"
    assert count(17020).text == "17,020"
    assert rate(24.3219).text == "24.32"
    assert gibibytes(11 * 2**30).text == "11.00 GiB"
    assert gibibytes(5 * 2**20).text == "5.0 MiB"


@pytest.mark.parametrize("form", [number, percent, ms, count, rate, gibibytes])
def test_an_unknown_value_is_a_dash(form: object) -> None:
    assert form(None, "run.json#") is NOTHING  # type: ignore[operator]


def test_cells_print_escaped() -> None:
    assert Cell("a|b").__html__() == r"a\|b"
    assert Cell("a_b", form="code").__html__() == "`a_b`"
    assert Cell("1*0 ms", form="strong").__html__() == r"**1\*0 ms**"
    assert line("takes ", Cell("5 ms"), ".").__html__() == "takes 5 ms."
    assert Link(Cell("run [1]"), "a/report.md").__html__() == r"[run \[1\]](a/report.md)"
    assert Block("a\nb", ()).__html__() == "```text\na\nb\n```"


def test_lines_join_and_refuse_links() -> None:
    inner = line("a ", Cell("1", ("run.json#",)))
    assert [cell.text for cell in line("x ", inner).cells] == ["x ", "a ", "1"]
    with pytest.raises(TypeError):
        line(Link(Cell("x"), "y"))


@pytest.mark.parametrize(
    ("parts", "text"), [("", ""), ("a", "a"), ("ab", "a and b"), ("abc", "a, b and c")]
)
def test_parts_are_listed(parts: str, text: str) -> None:
    assert listed([Cell(part) for part in parts]).__html__() == text


def test_a_table_without_rows_is_none() -> None:
    assert table(("A", ">B"), []) is None


def test_a_table_aligns_numbers_and_checks_its_rows() -> None:
    found = table(("A", ">B"), [("x", Cell("1"))])
    assert found is not None
    assert [str(column.rule) for column in found.columns] == [":---", "---:"]
    with pytest.raises(ValueError, match="2 cells"):
        table(("A", "B"), [("only one",)])
