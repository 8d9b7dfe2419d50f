"""report.html in Debian's Chromium: it runs without an error or a request, and by keyboard alone.

Skips where no Chromium is installed; fails there if VACE_BENCH_REQUIRE_BROWSER=1, as in CI.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.report.view import build
from harness.report.web.page import web_page
from harness.store import RunFolder, runs
from tests.records import build as records
from tests.report import made_limit
from tests.report.browser import Browser, find_browser, started

REPORTS = Path(__file__).resolve().parents[2] / "reports"
LIMIT_BYTES = 3_000_000
DESKTOP, PHONE, SMALLEST_PHONE = (1280, 900), (390, 844), (320, 640)
MOST_TABS = 60  # to reach what a test wants to use
FOCUS = "document.activeElement"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        if os.environ.get("VACE_BENCH_REQUIRE_BROWSER") == "1":
            pytest.fail("VACE_BENCH_REQUIRE_BROWSER=1, but no Chromium is installed")
        pytest.skip("no Chromium is installed")
    with started(program) as browser:
        yield browser


def written(run: Path, folder: Path) -> Path:
    """The page of a run, in a folder of its own."""
    page = folder / "report.html"
    page.write_text(web_page(build(RunFolder(run).load())))
    return page


@pytest.fixture(scope="module")
def page_with_frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a proof of output with frames side by side."""
    folder = tmp_path_factory.mktemp("frames")
    return written(made_limit.run(folder / "reports", name="fastest", processes=1), folder)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a run with every section: components, profile, causes, GPU state, timeline."""
    folder = tmp_path_factory.mktemp("page")
    return written(records.gpu_run(folder / "reports"), folder)


def complaints(browser: Browser) -> list[str]:
    """Errors, warnings and exceptions, violations of the policy among them."""
    kinds = (
        "Runtime.exceptionThrown",
        "Runtime.consoleAPICalled",
        "Log.entryAdded",
        "Audits.issueAdded",
    )
    return [str(told) for told in browser.of(*kinds)]


def requested(browser: Browser) -> list[str]:
    return [told["request"]["url"] for told in browser.of("Network.requestWillBeSent")]


@pytest.mark.parametrize("screen", [DESKTOP, PHONE, SMALLEST_PHONE], ids=str)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_no_complaint_no_request_and_no_overflow(
    browser: Browser, page: Path, screen: tuple[int, int], dark: bool
) -> None:
    browser.screen(*screen, dark=dark)
    browser.load(page)
    assert complaints(browser) == []
    assert requested(browser) == [page.as_uri()]
    assert browser.run("document.documentElement.scrollWidth") <= screen[0]
    browser.run("for (const one of document.querySelectorAll('details')) one.open = true")
    assert browser.run("document.documentElement.scrollWidth") <= screen[0]
    ground = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") is not dark


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_frames_are_drawn_from_the_page_alone(
    browser: Browser, page_with_frames: Path, dark: bool
) -> None:
    """An image of a figure that the policy stops is a complaint."""
    assert page_with_frames.stat().st_size < LIMIT_BYTES
    browser.screen(*PHONE, dark=dark)
    browser.load(page_with_frames)
    assert complaints(browser) == []
    addresses = [url for url in requested(browser) if not url.startswith("data:image/png;base64,")]
    assert addresses == [page_with_frames.as_uri()]
    assert browser.run("document.querySelectorAll('.figure image').length") == 10
    assert browser.run("document.documentElement.scrollWidth") <= PHONE[0]
    stopped = page_with_frames.with_name("stopped.html")
    stopped.write_text(page_with_frames.read_text().replace("img-src data:; ", ""))
    browser.load(stopped)
    assert any("Content Security Policy" in told for told in complaints(browser))


@pytest.mark.parametrize(
    "attack",
    [
        "<script>document.title = 'evil'</script>",
        "<img src='http://127.0.0.1:9/x' onerror=\"document.title = 'evil'\">",
        "<link rel=stylesheet href='http://127.0.0.1:9/x.css'>",
        "<iframe src='data:text/html,x'></iframe>",
        "<p style='position: fixed'>x</p>",
    ],
)
def test_the_policy_stops_what_escaping_would_have_let_through(
    browser: Browser, page: Path, tmp_path: Path, attack: str
) -> None:
    """The second line of defence, and the proof that a complaint would be seen above."""
    broken = tmp_path / "broken.html"
    broken.write_text(page.read_text().replace("</main>", f"{attack}</main>"))
    browser.load(broken)
    assert browser.run("document.title") != "evil"
    assert any("Content Security Policy" in told for told in complaints(browser))


def tab_to(browser: Browser, wanted: str) -> None:
    """Presses the tab key until `wanted`, an expression, holds."""
    for _ in range(MOST_TABS):
        browser.press("Tab")
        if browser.run(wanted):
            return
    raise AssertionError(f"not reached by keyboard: {wanted}")


def column(browser: Browser, table: str, number: int) -> list[str]:
    cells = f"[...{table}.tBodies[0].rows].map((row) => row.cells[{number}].textContent)"
    values: list[str] = browser.run(cells)
    return values


def test_a_table_sorts_by_keyboard(browser: Browser, page: Path) -> None:
    browser.screen(*DESKTOP)
    browser.load(page)
    table = "document.querySelector('main table')"
    head = f"{table}.tHead.rows[0].cells[1]"
    before = column(browser, table, 1)
    tab_to(browser, f"{FOCUS} === {head}.firstElementChild")
    orders = {}
    for _ in range(3):
        browser.press("Enter")
        orders[browser.run(f"{head}.ariaSort")] = column(browser, table, 1)
    numbers = sorted(before, key=float)
    assert orders == {"ascending": numbers, "descending": numbers[::-1], "none": before}
    assert numbers != before


def test_columns_sort_by_their_numbers_and_what_is_missing_comes_last(
    browser: Browser, page: Path, tmp_path: Path
) -> None:
    values = ["12 ms", "–", "1,035.6 ms", "0.9 s", "−3 ms", "words", "20 µs", ""]
    rows = "".join(f"<tr><td>{value}</td></tr>" for value in values)
    table = f"<table><thead><tr><th>x</th></tr></thead><tbody>{rows}</tbody></table>"
    made = tmp_path / "made.html"
    made.write_text(page.read_text().replace('<main id="report">', f'<main id="report">{table}'))
    browser.load(made)
    browser.run("document.querySelector('main th button').click()")
    found = column(browser, "document.querySelector('main table')", 0)
    assert found == ["−3 ms", "20 µs", "12 ms", "0.9 s", "1,035.6 ms", "words", "–", ""]


def test_the_timeline_zooms_and_reads_out_by_keyboard(browser: Browser, page: Path) -> None:
    browser.screen(*DESKTOP)
    browser.load(page)
    browser.run("document.querySelector('.timeline button').focus()")
    tab_to(browser, f"{FOCUS}.getAttribute('role') === 'application'")
    texts = "[...document.querySelectorAll('.timeline text')].map((one) => one.textContent)"
    words = "document.querySelector('.timeline .words').textContent"
    whole, told = browser.run(texts), browser.run(words)
    assert whole[0] == "0 ms"
    browser.press("+")
    browser.press("ArrowRight")
    assert browser.run(texts) != whole
    assert browser.run(words) != told
    assert "GPU busy" in browser.run(words)
    for _ in range(2):
        browser.press("-")
    assert browser.run(texts) == whole


def test_a_figure_grows_by_keyboard_inside_its_box(browser: Browser, page: Path) -> None:
    browser.screen(*PHONE)
    browser.load(page)
    browser.run("document.querySelector('.figure button').focus()")
    tab_to(browser, f"{FOCUS}.matches('.figure .wide')")
    width = f"{FOCUS}.querySelector('svg').getBoundingClientRect().width"
    before = browser.run(width)
    browser.press("+")
    assert browser.run(width) == pytest.approx(1.5 * before, rel=0.01)
    assert browser.run("document.documentElement.scrollWidth") <= PHONE[0]


def test_everything_that_acts_can_be_reached_and_has_a_name(browser: Browser, page: Path) -> None:
    browser.load(page)
    nameless = """[...document.querySelectorAll("a, button, summary, [tabindex], svg[role]")]
        .filter((one) => !(one.ariaLabel || one.textContent.trim())).map((one) => one.outerHTML)"""
    assert browser.run(nameless) == []
    unreachable = """[...document.querySelectorAll(".wide, pre")]
        .filter((one) => one.tabIndex !== 0).map((one) => one.outerHTML)"""
    assert browser.run(unreachable) == []


@pytest.mark.parametrize("run", runs(REPORTS)[-2:], ids=lambda path: path.name)
def test_a_stored_run_fits_its_page(browser: Browser, run: Path, tmp_path: Path) -> None:
    page = written(run, tmp_path)
    assert page.stat().st_size < LIMIT_BYTES
    browser.screen(*PHONE)
    browser.load(page)
    assert complaints(browser) == []
    assert requested(browser) == [page.as_uri()]
    assert browser.run("document.documentElement.scrollWidth") <= PHONE[0]
