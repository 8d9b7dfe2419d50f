"""harness.job: what crosses the border survives it, and foreign output is told apart."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.job import (
    ClipFile,
    Devices,
    GpuDevice,
    Job,
    PreflightRequest,
    Progress,
    parse_progress,
)
from harness.result import encode
from tests import samples

CLIP = ClipFile(
    role="mask",
    file="mask.safetensors",
    name="mask.mp4",
    sha256="0" * 64,
    frames_in_file=7,
    frames_used=12,
    looped=True,
)
GPU = GpuDevice(
    index=0,
    name="a GPU",
    uuid="GPU-0",
    total_bytes=2,
    free_bytes=1,
    capability=(9, 0),
    driver=None,
    utilisation_percent=None,
)
MESSAGES = [
    Job(case=samples.case(), salt="s", clips=[CLIP], weights_dir="/weights"),
    PreflightRequest(cases=[samples.case(), samples.case(mode="text")], gpu="1"),
    Devices(
        torch_version="2.13.0",
        torch_cuda=None,
        gpus=[GPU],
        problems=["no GPU"],
        python_version="3.11",
        cpu_count=2,
    ),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda value: type(value).__name__)
def test_a_message_survives_the_border(message: msgspec.Struct) -> None:
    assert msgspec.json.decode(encode(message), type=type(message)) == message


def test_progress_is_told_apart_from_what_libraries_print() -> None:
    progress = Progress(phase="warmup", done=3, total=20, text="chunk 3")
    assert parse_progress(msgspec.json.encode(progress).decode()) == progress
    for line in ("", "loading weights", "3", '{"phase": "warmup"}', "[" * 100_000, "\udcff"):
        assert parse_progress(line) is None


@given(st.text())
def test_no_line_breaks_the_progress_reader(line: str) -> None:
    assert parse_progress(line) is None or '"phase"' in line
