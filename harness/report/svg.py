"""Matplotlib's SVG made small and the same every time: no date, no more digits than are seen."""

import io
import re

from matplotlib.figure import Figure

PATH = re.compile(r'(\bd=")([^"]*)"')
PLACE = re.compile(r'\b[xy]="[^"]*"|\btranslate\([^)]*\)')  # a scale keeps its digits
# Nothing refers to a picture, and two that are equal have one id.
PICTURE = re.compile(r'(data:image/png;base64,)(?:\s|&#10;)*([^"]+") id="[^"]+"')
# A letter moved along its line: `x` says the same, in a thousandth of its size.
LETTER = re.compile(r' transform="translate\(([-0-9.]+) 0\)"/>')
LONG_NUMBER = re.compile(r"\d+\.\d{3,}")
TOKEN = re.compile(r"[A-Za-z]|-?[0-9.]+(?:e-?[0-9]+)?")
IMPLIED = {"M": "L", "m": "l"}  # the command of further points, which need not be written


def svg(figure: Figure) -> bytes:
    """The figure's bytes: no date or version, no indents, places to a hundredth of a point."""
    buffer = io.BytesIO()
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(buffer, format="svg", metadata=metadata)
    text = LETTER.sub(lambda found: f' x="{float(found[1]):.0f}"/>', buffer.getvalue().decode())
    text = PLACE.sub(lambda found: _rounded(found[0]), text)
    text = PICTURE.sub(r"\1\2", text)
    text = PATH.sub(lambda path: f'{path[1]}{packed(_rounded(path[2]))}"', text)
    lines = text.splitlines()
    return ("\n".join(line.strip() for line in lines) + "\n").encode()


def packed(path: str) -> str:
    """A path's data without the commands and spaces that SVG lets one leave out."""
    text, implied = "", ""
    for token in TOKEN.findall(path):
        if token.isalpha():
            if token != implied:
                text += token
            implied = IMPLIED.get(token, token)
        else:
            apart = text[-1:].isalpha() or token.startswith("-") or not text
            text += token if apart else f" {token}"
    return text


def _rounded(text: str) -> str:
    return LONG_NUMBER.sub(lambda n: f"{float(n[0]):.2f}".rstrip("0").rstrip("."), text)
