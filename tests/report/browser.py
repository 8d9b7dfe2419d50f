"""A page in Debian's Chromium without a window, over its DevTools protocol on a pair of pipes.

The pipes (`--remote-debugging-pipe`) carry JSON that ends with a zero byte: they need no library,
and no port that another process could reach. Everything that Chromium logs, throws or requests is
kept, from before the page is loaded.
"""

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # CI is root, for whom the sandbox does not start
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)
ANSWER_S = 60.0
KEYS = {
    "Tab": ("Tab", 9, None),
    "Enter": ("Enter", 13, "\r"),
    "ArrowRight": ("ArrowRight", 39, None),
    "+": ("Equal", 187, "+"),
    "-": ("Minus", 189, "-"),
}


def find_browser() -> str | None:
    """The path of an installed Chromium."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One tab. Messages of the browser that answer nothing are kept in `events`."""

    def __init__(self, into: int, out_of: int) -> None:
        self._into, self._out_of = into, out_of
        self._numbers = itertools.count(1)
        self._rest = b""
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []

    def open_tab(self) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Any:
        """The result of a command; raises RuntimeError for an error of the browser."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._into, json.dumps(message).encode() + b"\0")
        return self._wait(lambda answer: answer.get("id") == number, method).get("result")

    def load(self, page: Path) -> None:
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri())
        self._wait(lambda answer: answer.get("method") == "Page.loadEventFired", "load")

    def run(self, script: str) -> Any:
        """The value of an expression in the page; raises RuntimeError for one that throws."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        code, number, text = KEYS[key]
        common = {"key": key, "code": code, "windowsVirtualKeyCode": number}
        down = {"text": text} if text else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **down)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def screen(self, width_px: int, height_px: int, *, dark: bool = False) -> None:
        phone = width_px < 600
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width_px, height=height_px, deviceScaleFactor=1, mobile=phone,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, file: Path) -> None:
        """What the screen shows, as a PNG."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def of(self, *methods: str) -> list[dict[str, Any]]:
        """Parameters of the events of these kinds since the page was loaded."""
        return [e["params"] for e in self.events if e.get("method") in methods]

    def _wait(self, fits: Any, what: str) -> dict[str, Any]:
        end_s = time.monotonic() + ANSWER_S
        while True:
            answer = self._next(end_s, what)
            if fits(answer):
                if "error" in answer:
                    raise RuntimeError(f"{what}: {answer['error']}")
                return answer
            self.events.append(answer)

    def _next(self, end_s: float, what: str) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._out_of], [], [], max(end_s - time.monotonic(), 0))
            blob = os.read(self._out_of, 1 << 16) if ready else b""
            if not blob:
                raise RuntimeError(f"the browser did not answer: {what}")
            self._rest += blob
        message, _, self._rest = self._rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are neither 3 nor 4, to which they will be copied."""
    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return moved[0], moved[1]


@contextmanager
def started(program: str) -> Iterator[Browser]:
    """A browser with an empty profile, and a tab; ended with everything it started."""
    commands, into = _pipe()
    out_of, answers = _pipe()
    # Chromium reads commands from descriptor 3 and answers on 4.
    shell = f'exec 3<&{commands} 4>&{answers}; exec "$@"'
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                "bash",
                "-c",
                shell,
                "-",
                program,
                *FLAGS,
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            pass_fds=(commands, answers),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        try:
            browser = Browser(into, out_of)
            browser.open_tab()
            yield browser
        finally:
            os.close(into)  # ends the browser
            os.close(out_of)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
