"""report.html: one file that needs nothing else, runs no script but its own and asks no network.

The policy in its head names its style and its script by their hashes and refuses everything else.
"""

import base64
import hashlib
import html
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath

from markupsafe import Markup

from harness.report.markdown import one_line
from harness.report.templates import TEMPLATES, rendered, template
from harness.report.view import Report
from harness.report.web.cells import held, released
from harness.report.web.figures import figure_html
from harness.report.web.prose import Figure, contents, to_html
from harness.report.web.timeline import timeline_data

STYLE = "page.css"
SCRIPTS = ("sections.js", "tables.js", "figures.js", "timeline.js")
TIMELINE = "timeline.svg"


@dataclass(frozen=True)
class PageView:
    """What the frame of the page prints; everything is HTML already."""

    charset: Markup
    policy: Markup
    title: Markup
    style: Markup
    contents: Markup
    body: Markup
    script: Markup


def web_page(report: Report) -> str:
    """The report as HTML: the Markdown's templates and cells, in a frame with figures inside.

    The caller has checked the view. Raises ValueError for a figure that holds more than drawing.
    """
    words = rendered("report.md.j2", report.view, held)
    prose = to_html(words, _drawer(report))
    style = (TEMPLATES / STYLE).read_text()
    script = "\n".join((TEMPLATES / name).read_text() for name in SCRIPTS)
    title = one_line("".join(cell.text for cell in report.view.title.cells))
    frame = PageView(
        charset=Markup("utf-8"),
        policy=Markup(_policy(style, script)),
        title=Markup(html.escape(title)),
        style=Markup(style),
        contents=Markup(contents(prose.headings)),
        body=Markup(released(prose.html)),
        script=Markup(script),
    )
    return template("page.html.j2").render(view=frame)


def _drawer(report: Report) -> Figure:
    """Draws a figure of the report by the path that the Markdown has for it.

    One that the Markdown shows again has ids of its own there.
    """
    times = Counter[str]()

    def draw(path: str, label: str) -> str:
        name = PurePosixPath(path).name
        times[name] += 1
        more = timeline_data(*report.timeline) if name == TIMELINE and report.timeline else ""
        again = f"-{times[name]}" if times[name] > 1 else ""
        return figure_html(name.removesuffix(".svg") + again, label, report.figures[name], more)

    return draw


def _policy(style: str, script: str) -> str:
    """The content security policy of a page with this one style and this one script."""
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src {_hash(style)}",
            f"script-src {_hash(script)}",
            "img-src data:",  # the pictures inside of figures
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
        )
    )


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
