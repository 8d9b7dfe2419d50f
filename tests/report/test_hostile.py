"""Records from strangers: whatever their texts say, a report shows it and does nothing else.

The pages are rendered by GitHub's own Markdown library with raw HTML let through, so that only the
report's own escaping stands between a record and the reader.
"""

import html.parser
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import cmarkgfm
import msgspec
import pytest
from cmarkgfm.cmark import Options
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.errors import StorageError
from harness.report.cells import Cell, line, table
from harness.report.markdown import code, escape, fence
from harness.report.render import render_index, render_run
from harness.report.templates import environment
from harness.result import Fact, Failure, Result
from harness.store import RunFolder
from tests.records import build

EXTENSIONS = ["table", "autolink", "strikethrough"]
HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</code></td></details><h1>evil</h1>",
    "![evil](http://example.org/pixel.png)",
    "[evil](javascript:alert(1))",
    "[evil]: http://example.org",
    "<http://example.org>",
    "http://example.org/evil",
    "xhttps://www.example.org",
    "mailto:evil@example.org and xmpp:evil@example.org/x",
    "a | b | c",
    "`` tick ` tick ``",
    "```\n# evil\n```",
    "~~~\nevil\n~~~",
    "# evil",
    "evil\n====",
    "--- evil",
    "- evil",
    "+ evil",
    "1. evil",
    "    evil()",
    "> evil",
    "**evil** _evil_ ~~evil~~ ~evil~",
    "&lt;b&gt; &amp; &#60;i&#62;",
    "\\`\\<b>\\|",
    "$\\frac{1}{0}$ $$x$$",
    "{{ 7 * 7 }} {% include 'x' %}",
    "\u202eevil\u2066\u200b\u061c\ufeff",
    "\x00\x07\x1b[31mevil\x1b[0m\r\n\x85\u2028",
    "<!-- evil --> --> <![CDATA[ x ]]> <?php ?>",
)
TEXT = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=40)).flatmap(
    lambda first: st.text(max_size=8).map(lambda more: first + more)
)


class Page(html.parser.HTMLParser):
    """Tags with their attributes, and the text, of a rendered page."""

    def __init__(self, markdown: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        options = Options.CMARK_OPT_UNSAFE
        self.feed(cmarkgfm.markdown_to_html_with_extensions(markdown, options, EXTENSIONS))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        strange = {name for name, _ in attrs} - {"href", "src", "alt", "align", "lang", "class"}
        assert not strange, (tag, attrs)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        assert not data.strip()

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(data)


def words(text: str) -> str:
    """A text as one reads it: without what is not seen, and spaces as in a paragraph."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def test_the_reader_would_see_what_gets_through() -> None:
    page = Page("<script>alert(1)</script>\n\n[a](javascript:b) ![c](d) e@f.org")
    assert page.tags == ["script", "p", "a", "img", "a"]
    assert page.links == ["javascript:b", "d", "mailto:e@f.org"]


@settings(deadline=None)
@given(TEXT)
def test_a_text_is_only_text_wherever_it_stands(text: str) -> None:
    for before, after, tags in (
        ("", "", ["p"]),
        ("# Head on ", "", ["h1"]),
        ("- ", "", ["ul", "li"]),
        ("- before ", " after", ["ul", "li"]),
    ):
        page = Page(f"{before}{escape(text)}{after}\n")
        assert page.tags == tags or not words(text), before
        assert not page.links
        assert words(text) in words(page.text)


@settings(deadline=None)
@given(TEXT)
def test_a_text_stays_in_its_cell(text: str) -> None:
    rows = table(("Head", "Code"), [(Cell(text), Cell(text, form="code")), ("x", "y")])
    template = '{% from "macros.md.j2" import table %}{{ table(view) }}'
    page = Page(environment().from_string(template).render(view=rows))
    assert set(page.tags) <= {"table", "thead", "tr", "th", "tbody", "td", "code"}
    assert (page.tags.count("tr"), page.tags.count("td")) == (3, 4)
    assert not page.links


@settings(deadline=None)
@given(TEXT)
@example("https://evil.example|")
@example("www.evil.example|`")
@example("who@evil.example|")
def test_a_text_stays_in_its_fence_and_in_its_code(text: str) -> None:
    assert Page(fence(text)).tags == ["pre", "code"]
    assert not set(Page(f"see {code(text)} there").tags) - {"p", "code"}
    inside = Page(f"<details><summary>{Cell(text).html}</summary>\n\nx\n\n</details>")
    assert inside.tags == ["details", "summary", "p"]


def test_a_sentence_of_hostile_parts_is_one_sentence() -> None:
    for text in HOSTILE:
        page = Page("- " + line(Cell(text), " and ", Cell(text), ".").__html__())
        assert page.tags == ["ul", "li"]


def poisoned(result: Result, text: str) -> Result:
    """Every free text of a record says `text`."""
    fact = Fact(value=text)
    changed = msgspec.structs.replace(
        result,
        provenance=dict.fromkeys((*result.provenance, "gpu.name"), fact),
        clips=[msgspec.structs.replace(clip, name=text, sha256=text) for clip in result.clips],
        flags=[text],
        components=[
            msgspec.structs.replace(one, name=text if index == 0 else one.name)
            for index, one in enumerate(result.components)
        ],
        gpu=msgspec.structs.replace(
            result.gpu, reason=text, events=[text], unsupported={"fan_percent": text}
        ),
    )
    if changed.count_pass is not None:
        operators = [
            msgspec.structs.replace(one, name=f"{text} {index}")
            for index, one in enumerate(changed.count_pass.operators[:4])
        ]
        passed = msgspec.structs.replace(
            changed.count_pass,
            operators=operators,
            attention_kernels={role: [text] for role in changed.count_pass.attention_kernels},
        )
        changed = msgspec.structs.replace(changed, count_pass=passed)
    if changed.compile is not None:
        told = msgspec.structs.replace(
            changed.compile, break_reasons=[text], recompile_reasons=[text]
        )
        changed = msgspec.structs.replace(changed, compile=told)
    return changed


def poisoned_run(reports: Path, text: str) -> Path:
    cases = build.cpu_cases()
    plan = build.manifest(
        cases,
        facts={name: Fact(value=text) for name in ("git.commit", "git.branch", "image.id")},
        command=["invoke", text],
        runtime_reason=text,
    )
    failed = Failure(
        schema_version=plan.schema_version,
        case=cases[0],
        case_id=cases[0].id,
        started_utc=plan.created_utc,
        category="bug",
        message=text,
        detail=f"{text}\n{text}",
        exit_code=1,
        provenance={"gpu.name": Fact(value=text)},
    )
    results = [one for one in build.results(cases[1:]) if isinstance(one, Result)]
    return build.store(reports, plan, [failed, *(poisoned(one, text) for one in results)])


@pytest.fixture(scope="module")
def plain_tags(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    page = render_run(poisoned_run(tmp_path_factory.mktemp("plain"), "plain words"))
    return Page(page.read_text()).tags


def test_a_poisoned_run_renders_as_a_sound_one_does(tmp_path: Path, plain_tags: list[str]) -> None:
    """The same tags in the same order: nothing was added, nothing fell apart."""
    for number, text in enumerate(HOSTILE):
        folder = poisoned_run(tmp_path / str(number), text)
        page = Page(render_run(folder).read_text())
        assert page.tags == plain_tags, text
        assert all(re.match(r"figures/|\.\./", link) for link in page.links), text
        own, index = (Page(p.read_text()) for p in render_index(tmp_path / str(number)))
        gpu = folder.parent.name
        assert index.links == [f"{gpu}/README.md", f"{gpu}/{folder.name}/report.md"]
        assert own.links == [f"{folder.name}/report.md", "../README.md"]
        for figure in folder.glob("figures/*.svg"):
            root = ElementTree.parse(figure).getroot()
            assert not [e for e in root.iter() if e.tag.rpartition("}")[2] in ("script", "image")]


def test_figures_are_not_written_through_a_link(tmp_path: Path) -> None:
    folder = build.cpu_run(tmp_path / "reports")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "own.svg").write_text("mine")
    (folder / "figures").symlink_to(elsewhere)
    with pytest.raises(StorageError, match="figures is a link, which is not followed"):
        render_run(folder)
    assert [path.name for path in elsewhere.iterdir()] == ["own.svg"]


def test_a_report_that_is_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    folder = build.cpu_run(tmp_path / "reports")
    mine = tmp_path / "mine.md"
    mine.write_text("mine")
    (folder / "report.md").symlink_to(mine)
    render_run(folder)
    assert mine.read_text() == "mine"
    assert not (folder / "report.md").is_symlink()


def test_a_stray_file_beside_the_failures_changes_nothing(tmp_path: Path) -> None:
    folder = poisoned_run(tmp_path, "x")
    stray = folder / "cases" / f"{RunFolder(folder).load().missing[0]}.failed-later.json"
    stray.write_text("not ours")
    render_run(folder)
