"""harness.report.svg: smaller, and the same picture."""

import io
import re

import numpy as np
import pytest
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from harness.report.svg import packed, svg

POINTS = {"M": 2, "L": 2, "Q": 4, "C": 6, "z": 0}


def points(path: str) -> list[tuple[str, tuple[float, ...]]]:
    """Every command with its own numbers, as a reader of SVG takes them."""
    found, command, numbers = [], "", []
    for token in re.findall(r"[A-Za-z]|-?[0-9.]+(?:e-?[0-9]+)?", path):
        if token.isalpha():
            command = token
            if not POINTS[token]:
                found.append((token, ()))
            continue
        numbers.append(float(token))
        if len(numbers) == POINTS[command]:
            found.append((command, tuple(numbers)))
            command, numbers = {"M": "L"}.get(command, command), []
    assert not numbers
    return found


@pytest.mark.parametrize(
    "path",
    [
        "M 1 2 \nL 3 -4 \nL 5.25 6 \nz\n",
        "M 1 2 \nQ 3 4 5 6 \nQ 7 8 9 10 \nL 11 12 \nz\nM 0 0 \nL -1 1e-05 \n",
        "",
    ],
)
def test_a_path_keeps_every_point(path: str) -> None:
    assert points(packed(path)) == points(path)
    assert len(packed(path)) <= len(path)


def test_a_figure_keeps_the_scale_of_its_letters() -> None:
    figure = Figure()
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    axes.plot(np.linspace(0, 1, 50), np.sin(np.arange(50)))
    text = svg(figure).decode()
    assert "scale(0.015625)" in text
    assert not re.search(r"translate\([^)]*\d\.\d{3,}", text)
    assert "\r" not in text and " \n" not in text


def test_letters_stand_where_they_stood() -> None:
    figure = Figure()
    FigureCanvasSVG(figure)
    figure.text(0.1, 0.5, "Wall")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg")
    moved = [
        float(x) for x in re.findall(r"<use.*translate\(([-0-9.]+) 0", buffer.getvalue().decode())
    ]
    short = svg(figure).decode()
    assert moved and [int(x) for x in re.findall(r'<use.* x="(\d+)"/>', short)] == [
        round(x) for x in moved
    ]
    assert not re.search(r"(?m)^\s", short)
