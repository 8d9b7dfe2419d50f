"""Text from outside made safe for Markdown: names, messages and commands stay what they are.

Records hold text that nobody vetted (GPU names, error messages, clip names, branches). Here it
loses its power over the page: markup characters are escaped, characters that one does not see
(controls, directions, fillers without width) become spaces.
"""

import html
import itertools
import re
import unicodedata

# Controls, formats such as directions, lone surrogates, separators of lines and paragraphs.
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# An underscore inside a word is no markup and may stay readable.
_MARKUP = re.compile(r"([\\`*\[\]{}|~#!$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
# What would begin a list, a rule or an underlined heading at the start of a line.
_BLOCK = re.compile(r"^( *)(?:([-+=])(?=[ =-]|$)|(\d{1,9})([.)])(?= |$))")
_MAIL = re.compile(r"(?<=[\w.+-])@(?=\w)")


def one_line(text: str) -> str:
    """The text on one line, without control and direction characters."""
    return " ".join(visible(text).split())


def visible(text: str) -> str:
    """The text with a space in place of characters that one does not see."""
    if text.isascii() and text.isprintable():
        return text
    runs = itertools.groupby(text, lambda one: unicodedata.category(one) in _UNSEEN)
    return "".join(" " if unseen else "".join(run) for unseen, run in runs)


def escape(text: str) -> str:
    """Plain text for any place of a Markdown page, table cells included; keeps outer spaces."""
    flat = re.sub(r"^ {2,}", " ", visible(text))  # four would be a block of code
    escaped = _MARKUP.sub(r"\\\1", html.escape(flat, quote=False))
    return _without_links(_BLOCK.sub(_unblock, escaped))


def _without_links(text: str) -> str:
    """Markdown text in which a bare address stays text and becomes no link.

    An entity in its scheme sees to that; an address of mail, for which entities do not help, is
    split by an empty comment.
    """
    return _MAIL.sub("<!-- -->@", re.sub(r"(?i)(https?|ftp)://|www\.", _unlink, text))


def _unblock(match: re.Match[str]) -> str:
    spaces, sign, digits, dot = match.groups()
    return f"{spaces}\\{sign}" if sign else f"{spaces}{digits}\\{dot}"


def _unlink(match: re.Match[str]) -> str:
    return match[0].replace("://", "&#58;//").replace(".", "&#46;")


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
    return f"<code>{_without_links(entities)}</code>"  # what stands between tags is Markdown


def fence(text: str, language: str = "text") -> str:
    """A fenced block; the fence is longer than any run of backticks inside."""
    lines = [visible(line).rstrip() for line in text.splitlines()]
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    marks = "`" * max(3, longest + 1)
    return "\n".join([f"{marks}{language}", *lines, marks])
