import pytest

from harness.measure.redact import without_folders


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('File "/home/ann/bench/harness/x.py", line 3', 'File "x.py", line 3'),
        ("cannot open /data/models/w.pt: no such file", "cannot open w.pt: no such file"),
        ("ratio a/b and 3/4 stay, so does aten::mm", "ratio a/b and 3/4 stay, so does aten::mm"),
        ("CXX=/opt/rh/bin/c++, next", "CXX=c++, next"),
    ],
)
def test_paths_are_cut_down_to_their_last_part(text: str, expected: str) -> None:
    assert without_folders(text) == expected
