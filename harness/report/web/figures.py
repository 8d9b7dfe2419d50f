"""Figures inside the page: SVG of ours, let through by lists of what a drawing may hold.

The page's policy refuses styles on elements, so that they become attributes of the same names.
"""

import html
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator

SVG = "http://www.w3.org/2000/svg"
IMAGE = f"{{{SVG}}}image"
LINK = "{http://www.w3.org/1999/xlink}href"
ELEMENTS = {"svg", "g", "defs", "clipPath", "path", "rect", "use", "image"}
DROPPED = {"style", "metadata"}
STYLES = {
    "fill", "fill-opacity", "image-rendering", "opacity", "stroke", "stroke-dasharray",
    "stroke-dashoffset", "stroke-linecap", "stroke-linejoin", "stroke-miterlimit",
    "stroke-opacity", "stroke-width",
}  # fmt: skip
NAMES = {"id", LINK, "clip-path"}  # that define or use an id of the figure
SHAPES = {"d", "height", "transform", "viewBox", "width", "x", "y", *STYLES}
VALUE = re.compile(r"[-#.,() \n\w]*")
OWN = re.compile(r"#[\w.-]+|url\(#[\w.-]+\)|[\w.-]+")
PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+={0,2}")  # the only one of an image
# What matplotlib says of every element in the style sheet of a figure.
DEFAULTS = {"stroke-linejoin": "round", "stroke-linecap": "butt"}


def figure_html(name: str, label: str, svg: bytes, more: str = "") -> str:
    """A figure of the page, its text alternative `label`; `more` is HTML inside it.

    Raises ValueError for an SVG that holds more than drawing.
    """
    root = ElementTree.fromstring(svg)
    if root.tag != f"{{{SVG}}}svg":
        raise ValueError(f"figure {name} is no SVG")
    drawn = "".join(_drawn(root, name, {"role": "img", "aria-label": label, **DEFAULTS}))
    box = f'<div class="wide" role="region" aria-label="{html.escape(label)}" tabindex="0">'
    return f'<figure class="figure">{box}{drawn}</div>{more}</figure>\n'


def _drawn(element: ElementTree.Element, figure: str, more: dict[str, str]) -> Iterator[str]:
    """The element as HTML writes it, without namespaces."""
    tag = element.tag.removeprefix(f"{{{SVG}}}")
    if tag in DROPPED:
        return
    if tag not in ELEMENTS:
        raise ValueError(f"figure {figure} holds an element {tag!r}")
    attributes = {**more, **dict(_attributes(element, figure))}
    if tag == "svg":  # as large as its box
        attributes = {k: v for k, v in attributes.items() if k not in ("width", "height")}
    written = "".join(f' {key}="{html.escape(value)}"' for key, value in attributes.items())
    yield f"<{tag}{written}>"
    for child in element:
        yield from _drawn(child, figure, {})
    yield f"</{tag}>"


def _attributes(element: ElementTree.Element, figure: str) -> Iterator[tuple[str, str]]:
    """Its attributes, those of its style too, and ids that no other figure has."""
    own = dict(element.attrib)
    own.pop("version", None)
    declared = [rule.partition(":") for rule in own.pop("style", "").split(";") if rule.strip()]
    styles = {key.strip(): value.strip() for key, _, value in declared}
    for key, value in {**own, **styles}.items():
        if element.tag == IMAGE and key == LINK:
            if not PICTURE.fullmatch(value):
                raise ValueError(f"figure {figure} holds an image that is no PNG of its own")
            yield "href", value
        elif key in NAMES and OWN.fullmatch(value):
            unique = re.sub(r"^(#|url\(#|)", rf"\g<1>{figure}-", value)
            yield ("href" if key == LINK else key), unique
        elif key in SHAPES and VALUE.fullmatch(value):
            yield key, value
        else:
            raise ValueError(f"figure {figure} holds {key}={value!r}")
