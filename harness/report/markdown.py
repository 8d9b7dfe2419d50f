"""Text from outside made safe for Markdown: names, messages and commands stay what they are.

Records hold text that nobody vetted (GPU names, error messages, clip names, branches). Here it
loses its power over the page: markup characters are escaped, control characters become spaces.
"""

import html
import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
# An underscore inside a word is no markup and may stay readable.
_MARKUP = re.compile(r"([\\`*\[\]{}|~#!$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")


def one_line(text: str) -> str:
    """The text on one line, without control and direction characters."""
    return " ".join(_CONTROL.sub(" ", text).split())


def escape(text: str) -> str:
    """Plain text for any place of a Markdown page, table cells included; keeps outer spaces."""
    flat = _CONTROL.sub(" ", text)
    escaped = _MARKUP.sub(r"\\\1", html.escape(flat, quote=False))
    # A bare address would become a link: an entity in its scheme keeps it text.
    return re.sub(r"(?i)\b(https?|ftp)://|\bwww\.", _unlink, escaped)


def _unlink(match: re.Match[str]) -> str:
    return match[0].replace("://", "&#58;//").replace("www.", "www&#46;")


def code(text: str) -> str:
    """An inline code span, for table cells too."""
    flat = one_line(text)
    if not flat:
        return ""
    if "`" not in flat and "|" not in flat:
        return f"`{flat}`"
    entities = "".join(
        character if character.isalnum() or character in " -./:,=@" else f"&#{ord(character)};"
        for character in flat
    )
    return f"<code>{entities}</code>"


def fence(text: str, language: str = "text") -> str:
    """A fenced block; the fence is longer than any run of backticks inside."""
    lines = [_CONTROL.sub(" ", line).rstrip() for line in text.splitlines()]
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    marks = "`" * max(3, longest + 1)
    return "\n".join([f"{marks}{language}", *lines, marks])
