import io

from harness.host.screen import Screen, duration
from harness.job import Progress
from harness.matrix import Process
from tests.samples import case, failure, result

FIRST, SECOND = case(mode="depth"), case(mode="text")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def play(stream: io.StringIO) -> str:
    """Two cases of an expected 10 s each; the first takes 20 s."""
    now = [0.0]
    screen = Screen(stream, clock=lambda: now[0])
    screen.plan({FIRST.id: 10.0, SECOND.id: 10.0}, total=3)
    screen.begin(Process(FIRST, 0))
    for done in range(3):
        screen.progress(Progress(phase="warmup", done=done, total=5, text="chunk"))
    now[0] = 20.0
    screen.end(result(FIRST))
    screen.begin(Process(SECOND, 0))
    now[0] = 25.0
    screen.end(failure(SECOND))
    return stream.getvalue()


def test_lines_for_a_log() -> None:
    assert play(io.StringIO()).splitlines() == [
        f"[2/3] {FIRST.id}: started, about 20 s left",
        f"[2/3] {FIRST.id}: warmup 0/5 chunk",
        f"[2/3] {FIRST.id}: finished (20 s), about 20 s left",
        f"[3/3] {SECOND.id}: started, about 20 s left",
        f"[3/3] {SECOND.id}: FAILED, {failure(SECOND).message} (5 s)",
    ]


def test_a_terminal_gets_one_updating_line() -> None:
    shown = play(Terminal())
    assert shown.count("\n") == 2  # one line a case stays
    assert "\r[2/3] " in shown and "warmup 2/5 chunk" in shown


def test_durations() -> None:
    assert [duration(s) for s in (-1, 0.4, 99, 100, 185)] == [
        "0 s",
        "0 s",
        "99 s",
        "1 min 40 s",
        "3 min 05 s",
    ]
