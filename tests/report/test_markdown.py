import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.markdown import code, escape, fence, one_line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NVIDIA H200", "NVIDIA H200"),
        ("a|b", r"a\|b"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("vace_forward", "vace_forward"),
        ("**bold** _it_ `code`", r"\*\*bold\*\* \_it\_ \`code\`"),
        ("[label](target)", r"\[label\](target)"),
        ("first\nsecond\r\n| third", r"first second \| third"),
        ("https://example.org", "https&#58;//example.org"),
        ("www.example.org", "www&#46;example.org"),
        ("a \u202eb", "a  b"),
        ("# head", r"\# head"),
    ],
)
def test_markup_loses_its_power(text: str, expected: str) -> None:
    assert escape(text) == expected


def test_outer_spaces_stay_for_sentences() -> None:
    assert escape(" of ") == " of "


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("e2e-text-eager", "`e2e-text-eager`"),
        ("a b\nc", "`a b c`"),
        ("a|b", "<code>a&#124;b</code>"),
        ("tick ` tick", "<code>tick &#96; tick</code>"),
        ("<b>|</b>", "<code>&#60;b&#62;&#124;&#60;/b&#62;</code>"),
        ("", ""),
    ],
)
def test_code_spans(text: str, expected: str) -> None:
    assert code(text) == expected


def test_a_fence_is_longer_than_what_it_holds() -> None:
    assert fence("one\n```\ntwo").splitlines() == ["````text", "one", "```", "two", "````"]


def test_one_line() -> None:
    assert one_line(" a\n\tb  c ") == "a b c"


@given(st.text())
def test_no_text_leaves_its_table_cell(text: str) -> None:
    for safe in (escape(text), code(text)):
        assert not set(safe) & set("\n\r\x00\u2028")
        unescaped = safe.replace("\\\\", "").replace("\\|", "")
        assert "|" not in unescaped


@given(st.text(alphabet="`a\n"))
def test_no_text_ends_its_fence(text: str) -> None:
    marks, *body, end = fence(text, "").splitlines()
    assert marks == end
    assert all(line.strip() != marks for line in body)
