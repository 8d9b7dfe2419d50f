"""The templates' Markdown as HTML: headings with ids, notes, tables that scroll and sort, figures.

What is read here holds our own words and markers (`web.cells`), no text of a record.
"""

import html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from harness.report.web.cells import released

LONG = 40  # characters
TAG = re.compile(r"<[^>]*>")
NOTE = re.compile(r"\[!(NOTE|WARNING)\]\n")


@dataclass(frozen=True)
class Heading:
    """A section for the table of contents."""

    anchor: str
    text: str


@dataclass(frozen=True)
class Prose:
    """The body of a page, and its sections."""

    html: str
    headings: tuple[Heading, ...]


Figure = Callable[[str, str], str]  # its path and text alternative in the Markdown -> HTML


def to_html(markdown: str, figure: Figure) -> Prose:
    """The page's body, with figures in place of the Markdown's images."""
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    tokens = reader.parse(markdown)
    headings = tuple(_headings(tokens))
    _mark_notes(tokens)
    _mark_long(tokens)
    shaped = [new for token in _with_figures(tokens, figure) for new in _shaped(token)]
    return Prose(reader.renderer.render(shaped, reader.options, {}), headings)


def _headings(tokens: list[Token]) -> Iterator[Heading]:
    """Gives headings below the title an id; yields those of sections."""
    for head, words in pairwise(tokens):
        if head.type == "heading_open" and head.tag != "h1":
            anchor = re.sub(r"[^a-z0-9]+", "-", words.content.lower()).strip("-")
            head.attrSet("id", anchor)
            if head.tag == "h2":
                yield Heading(anchor, words.content)


def _mark_notes(tokens: list[Token]) -> None:
    """GitHub's `> [!NOTE]` as a class of the quotation."""
    for quote, _, words in zip(tokens, tokens[1:], tokens[2:], strict=False):
        found = NOTE.match(words.content)
        if quote.type == "blockquote_open" and found and words.children:
            quote.attrSet("class", found[1].lower())
            del words.children[:2]  # the mark and the end of its line


def _mark_long(tokens: list[Token]) -> None:
    """Cells whose text a narrow column would make a tower of."""
    for cell, words in pairwise(tokens):
        if cell.type == "td_open":
            cell.meta["long"] = len(TAG.sub("", released(words.content))) > LONG


def _with_figures(tokens: list[Token], figure: Figure) -> Iterator[Token]:
    """Paragraphs of an image alone become the figure itself."""
    rest = iter(tokens)
    for token in rest:
        if token.type != "paragraph_open":
            yield token
            continue
        words, end = next(rest), next(rest)
        inside = words.children or []
        if len(inside) == 1 and inside[0].type == "image":
            yield _raw(figure(str(inside[0].attrs["src"]), inside[0].content))
        else:
            yield from (token, words, end)


def _shaped(token: Token) -> Iterator[Token]:
    """A table in a box that scrolls, alignment as a class: the policy refuses styles."""
    if token.type in ("th_open", "td_open"):
        numeric = "right" in str(token.attrs.get("style", ""))
        shape = "number" if numeric else "long" if token.meta.get("long") else ""
        token.attrs = {"class": shape} if shape else {}
        if token.type == "th_open":
            token.attrs["scope"] = "col"
    if token.type == "table_open":
        yield _raw('<div class="wide" role="region" aria-label="Table" tabindex="0">')
    if token.type == "fence":
        token = _raw(f'<pre tabindex="0"><code>{html.escape(token.content)}</code></pre>\n')
    yield token
    if token.type == "table_close":
        yield _raw("</div>\n")


def _raw(text: str) -> Token:
    return Token("html_block", "", 0, content=text)


def contents(headings: tuple[Heading, ...]) -> str:
    """Links to the sections."""
    items = (f'<li><a href="#{one.anchor}">{html.escape(one.text)}</a></li>' for one in headings)
    return "\n".join(items)
