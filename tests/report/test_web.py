"""report.html: the same cells, whatever they say; a strict policy; figures that only draw."""

import base64
import hashlib
import html.parser
import json
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.profiled import StageMark
from harness.report.cells import Block, Cell, Link, line, table
from harness.report.render import render_run
from harness.report.templates import environment
from harness.report.view import build
from harness.report.web.cells import cell_html, held, released
from harness.report.web.figures import figure_html
from harness.report.web.page import web_page
from harness.report.web.prose import to_html
from harness.report.web.timeline import timeline_data
from harness.store import RunFolder
from tests.records import build as records
from tests.report import made_limit
from tests.report.test_hostile import HOSTILE, TEXT, poisoned_run, words

MARKERS = "\x02616263\x03 \x02 \x03"  # of ours, in a text that is not
OUR_SCRIPTS = ({}, {"type": "application/json"})
ALLOWED = {
    "aria-label", "charset", "class", "content", "d", "fill", "height", "href", "http-equiv", "id",
    "image-rendering", "lang", "name", "open", "role", "scope", "tabindex", "title", "transform",
    "type", "viewbox", "width", "x", "y", "clip-path",
}  # fmt: skip


class Page(html.parser.HTMLParser):
    """Tags of a page with their attributes, links, and the text outside of style and script."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.tips: list[str] = []
        self.silent = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        strange = {name for name, _ in attrs if not name.startswith("stroke")} - ALLOWED
        assert not strange - {"fill-opacity", "opacity"}, (tag, attrs)
        found = {name: value or "" for name, value in attrs}
        self.links += [found["href"]] if "href" in found else []
        self.tips += [found["title"]] if "title" in found else []
        if tag == "script":
            assert found in OUR_SCRIPTS
        if tag in ("script", "style"):
            self.silent = tag

    def handle_endtag(self, tag: str) -> None:
        self.silent = "" if tag == self.silent else self.silent

    def handle_data(self, data: str) -> None:
        self.text += "" if self.silent else data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(data)


def page_of(template: str, **values: object) -> Page:
    """A template's words and cells, as the page makes them."""
    text = environment(finalize=held).from_string(template).render(**values)
    return Page(released(to_html(text, lambda path, label: "").html))


@settings(deadline=None)
@given(TEXT)
@example(MARKERS)
def test_a_text_is_only_text_wherever_it_stands(text: str) -> None:
    for template, tags in (
        ("{{ cell }}\n", ["p"]),
        ("# Head on {{ cell }}\n", ["h1"]),
        ("- {{ cell }}\n", ["ul", "li"]),
        ("- before {{ cell }} after\n", ["ul", "li"]),
        ("> [!NOTE]\n> **{{ cell }}.** Words.\n", ["blockquote", "p", "strong"]),
        (
            "<details><summary>{{ cell }}</summary>\n\nx\n\n</details>\n",
            ["details", "summary", "p"],
        ),
    ):
        page = page_of(template, cell=Cell(text))
        assert page.tags == tags, template
        assert not page.links
        assert words(text) in words(page.text)


@settings(deadline=None)
@given(TEXT, st.sampled_from(["text", "code", "strong", "struck"]))
def test_every_form_and_source_escapes(text: str, form: str) -> None:
    cell = msgspec.convert({"text": f"1 {text}", "sources": [text], "form": form}, Cell)
    page = Page(cell_html(cell))
    assert set(page.tags) <= {"span", "code", "strong", "s"}
    assert words(text) in words(page.text)
    assert len(page.tips) == 1


@settings(deadline=None)
@given(TEXT)
@example(MARKERS)
def test_a_text_stays_in_its_cell_and_in_its_block(text: str) -> None:
    rows = table(("Head", ">Code"), [(Cell(text), Cell(text, form="code")), ("x", "y")])
    page = page_of('{% from "macros.md.j2" import table %}{{ table(view) }}', view=rows)
    assert set(page.tags) <= {"div", "table", "thead", "tr", "th", "tbody", "td", "code"}
    assert (page.tags.count("tr"), page.tags.count("td")) == (3, 4)
    block = page_of("before\n\n{{ block }}\n\nafter\n", block=Block(text, ()))
    assert block.tags == ["p", "div", "pre", "code", "p"]


def test_what_is_no_cell_is_refused_and_links_stay_inside() -> None:
    with pytest.raises(TypeError, match="which is not a cell"):
        page_of("{{ view }}", view="bare")
    assert cell_html(Link(Cell("run <1>"), "gpu/run/report.md")) == (
        '<a href="gpu/run/report.md">run &lt;1&gt;</a>'
    )
    for target in ("javascript:alert", "//example.org", "https://example.org", "data:x"):
        with pytest.raises(ValueError, match="no relative link"):
            cell_html(Link(Cell("x"), target))


def test_a_number_names_where_it_comes_from() -> None:
    sources = tuple(f"cases/one.json#/chunks/{i}/wall_ms" for i in range(5))
    assert cell_html(Cell("12.5 ms", sources, "strong")) == (
        '<strong><span title="cases/one.json chunks[0].wall_ms; cases/one.json chunks[1].wall_ms; '
        'cases/one.json chunks[2].wall_ms; and 2 more">12.5 ms</span></strong>'
    )
    assert cell_html(line("no ", Cell("digit", sources))) == "no digit"


def web_of(folder: Path) -> str:
    return web_page(build(RunFolder(folder).load()))


@pytest.fixture(scope="module")
def gpu_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return web_of(records.gpu_run(tmp_path_factory.mktemp("reports")))


def skeleton(page: Page) -> list[str]:
    """Its tags without those around numbers, which a text's digits decide."""
    return [tag for tag in page.tags if tag != "span"]


def test_a_poisoned_run_renders_as_a_sound_one_does(tmp_path: Path) -> None:
    def page(name: str, text: str) -> Page:
        run = RunFolder(poisoned_run(tmp_path / name, text)).load()
        return Page(web_page(build(run, lambda *_: {})))

    plain = skeleton(page("plain", "plain words"))
    for number, text in enumerate((*HOSTILE[::6], MARKERS)):  # all of them: see above
        poisoned = page(str(number), text)
        assert skeleton(poisoned) == plain, text
        assert all(link.startswith("#") for link in poisoned.links), text


@pytest.mark.parametrize("text", [HOSTILE[0], HOSTILE[2], MARKERS])
def test_the_figures_of_a_poisoned_run_only_draw(tmp_path: Path, text: str) -> None:
    page = Page(web_of(poisoned_run(tmp_path, text)))
    assert page.tags.count("figure") == 1
    assert all(link.startswith("#") for link in page.links)


def test_the_policy_allows_this_style_and_this_script_alone(gpu_page: str) -> None:
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', gpu_page)
    assert policy is not None
    found = {}
    for kind, tag in (("style-src", "style"), ("script-src", "script")):
        blocks = re.findall(rf"<{tag}>(.*?)</{tag}>", gpu_page, re.S)
        assert len(blocks) == 1
        digest = base64.b64encode(hashlib.sha256(blocks[0].encode()).digest()).decode()
        found[kind] = f"'sha256-{digest}'"
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules == {
        "default-src": "'none'",
        **found,
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
    }
    assert gpu_page.index("Content-Security-Policy") < gpu_page.index("<style>")


def test_the_page_has_the_reports_sections_figures_and_numbers(gpu_page: str) -> None:
    page = Page(gpu_page)
    assert "a steady chunk of 12 frames at 512x512 takes 492.9 ms" in page.text
    sections = re.findall(r'<h2 id="([^"]+)"', gpu_page)
    assert len(sections) > 10
    assert re.findall(r'<li><a href="#([^"]+)"', gpu_page) == sections
    assert gpu_page.count("<figure") == 6
    assert 'scope="col"' in gpu_page and "<img" not in gpu_page
    ids = re.findall(r' id="([^"]+)"', gpu_page)
    assert len(ids) == len(set(ids))


def test_the_same_run_gives_the_same_page_and_only_on_request(tmp_path: Path) -> None:
    path = records.cpu_run(tmp_path)
    page = path / "report.html"
    assert render_run(path) == path / "report.md"
    assert not page.exists()
    assert render_run(path, web=True) == page
    first = page.read_bytes()
    page.write_text("old")
    render_run(path)
    assert page.read_bytes() == first


def test_a_page_that_is_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    path = records.cpu_run(tmp_path / "reports")
    mine = tmp_path / "mine.html"
    mine.write_text("mine")
    (path / "report.html").symlink_to(mine)
    render_run(path)
    assert mine.read_text() == "mine"
    assert not (path / "report.html").is_symlink()


def drawing(inside: str, attributes: str = "") -> bytes:
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f"<svg {spaces} {attributes}>{inside}</svg>".encode()


def test_a_drawing_keeps_its_styles_as_attributes_and_its_ids_apart() -> None:
    svg = drawing(
        '<style>*{stroke-linejoin: round}</style><defs><path id="a" d="M 0 0&#10;L 1 1"/></defs>'
        '<use xlink:href="#a" clip-path="url(#b)" style="fill: #ffffff; stroke-width: 0.8"/>',
        'width="10pt" viewBox="0 0 10 10"',
    )
    text = figure_html("one", "What <it> shows", svg)
    assert '<path id="one-a" d="M 0 0\nL 1 1">' in text
    assert 'href="#one-a" clip-path="url(#one-b)" fill="#ffffff" stroke-width="0.8"' in text
    assert 'aria-label="What &lt;it&gt; shows"' in text
    assert not re.search(r"style|width=\"10pt", text)


@pytest.mark.parametrize(
    "inside",
    [
        "<script>alert(1)</script>",
        '<image xlink:href="http://example.org/pixel.png"/>',
        '<image xlink:href="data:image/svg+xml;base64,PHN2Zz4="/>',
        '<image xlink:href="data:image/png;base64,iVBO&quot; onload=&quot;x"/>',
        '<image xlink:href="data:image/png,iVBO"/>',
        '<image href="data:image/png;base64,iVBO"/>',
        '<image xlink:href="data:image/png;base64,iVBO" onload="alert(1)"/>',
        '<use xlink:href="data:image/png;base64,iVBO"/>',
        '<foreignObject><p xmlns="http://www.w3.org/1999/xhtml">x</p></foreignObject>',
        '<a xlink:href="http://example.org"><path d="M 0 0"/></a>',
        '<path d="M 0 0" onload="alert(1)"/>',
        '<use xlink:href="http://example.org/other.svg#a"/>',
        '<path d="M 0 0" style="fill: url(http://example.org/a)"/>',
        '<path d="M 0 0" style="background: red"/>',
        '<path d="M 0 0" clip-path="url(//example.org#a)"/>',
    ],
)
def test_a_drawing_that_does_more_than_draw_is_refused(inside: str) -> None:
    with pytest.raises(ValueError, match="figure one holds"):
        figure_html("one", "label", drawing(inside))


def test_a_picture_inside_a_drawing_stays_as_it_is() -> None:
    address = "data:image/png;base64,iVBORw0KGgo+/A=="
    inside = f'<image xlink:href="{address}" style="image-rendering: pixelated" width="8"/>'
    text = figure_html("one", "label", drawing(inside))
    assert f'<image href="{address}" width="8" image-rendering="pixelated"></image>' in text


def test_the_page_of_a_proof_has_its_frames(tmp_path: Path) -> None:
    page = web_of(made_limit.run(tmp_path, name="fastest", processes=1))
    assert Page(page).tags.count("image") == 10
    assert ' id="stacks-figure_1"' in page and ' id="stacks-2-figure_1"' in page  # shown twice
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_the_timeline_is_data_that_nothing_ends(tmp_path: Path) -> None:
    shown = build(RunFolder(records.gpu_run(tmp_path)).load()).timeline
    assert shown is not None
    case, line_ = shown
    evil = StageMark(stage="</script><script>alert(1)</script>", start_ms=0.0, end_ms=1.0)
    block = timeline_data(case, msgspec.structs.replace(line_, stages=[evil]))
    assert block.count("<") == 2
    told = json.loads(block.removeprefix('<script type="application/json">')[: -len("</script>")])
    assert told["stages"][0]["label"] == evil.stage
    busy = told["lanes"][0]["series"][0]["shares"]
    assert busy == pytest.approx(line_.busy, abs=1e-4)


def test_a_long_text_is_marked_so_that_its_column_stays_readable() -> None:
    rows = table(("Head", "Other"), [(Cell(length * "<a "), Cell("x")) for length in (3, 30)])
    template = '{% from "macros.md.j2" import table %}{{ table(view) }}'
    text = environment(finalize=held).from_string(template).render(view=rows)
    assert to_html(text, lambda path, label: "").html.count('<td class="long">') == 1
