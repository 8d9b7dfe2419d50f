"""A pipeline of one's own, measured on a CPU from its file to the record."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from harness.job import PIPELINE_FILE, Job
from harness.matrix import Case
from harness.measure.session import run_job
from harness.result import SCHEMA_VERSION, Failure, Record, Result, decode, encode
from tests.measure.cases import SALT

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "tiny_transformer.py"
HEAD = """
import torch
from harness.workload.streaming import StreamingPipeline, Work

class Small(StreamingPipeline):
    def reset(self):
        self.x = torch.ones(4)
    def step(self, given, mark):
        mark({stage!r})
        self.x = torch.ones(4) * 2
        {then}
        return {frames}
    {more}

def build(wish):
    {build}
    small = Small(wish.device)
    small.reset()
    return small
"""


def ignore(_: object) -> None:
    """Progress that nobody looks at."""


def source(**changes: str) -> str:
    plain = {"stage": "work", "then": "pass", "frames": "2", "more": "", "build": "pass"}
    return HEAD.format(**plain | changes)


def measured(folder: Path, text: str, **changes: Any) -> Record:
    (folder / PIPELINE_FILE).write_text(text)
    fields: dict[str, Any] = {
        "kind": "e2e",
        "mode": "own",
        "preset": "tiny",
        "width_px": 64,
        "height_px": 64,
        "device": "cpu",
        "blocks": 2,
        "chunks_per_block": 2,
        "warmup_max_chunks": 5,
        "pipeline": "small",
        "pipeline_sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    job = Job(case=Case(**fields | changes), salt=SALT, pipeline="small.py")
    return run_job(job, folder, ignore)


def failed(folder: Path, text: str, **changes: Any) -> Failure:
    record = measured(folder, text, **changes)
    assert isinstance(record, Failure)
    assert decode(encode(record), name="x") == record
    return record


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("example")
    record = measured(folder, EXAMPLE.read_text(), profile=True)
    assert isinstance(record, Result), record.detail
    return record


def test_the_example_is_short() -> None:
    assert len(EXAMPLE.read_text().splitlines()) < 100


def test_the_example_gives_a_whole_record(example: Result) -> None:
    assert decode(encode(example), name="example") == example
    assert (example.schema_version, example.case_id) == (SCHEMA_VERSION, "e2e-own-small")
    steady = [chunk for chunk in example.chunks if chunk.phase == "steady"]
    assert [chunk.block for chunk in steady] == [0, 0, 1, 1]
    assert {chunk.frames for chunk in steady} == {4}
    assert min(chunk.chunk for chunk in steady) >= 3  # the window is full
    frames = [f"frame.{frame}" for frame in range(4)]
    assert [list(chunk.stage_ms) for chunk in steady] == [[*frames, "decode"]] * 4
    assert (example.clips, example.compile, example.vace_context_sha256) == ([], None, None)
    phases = list(dict.fromkeys(mark.name for mark in example.phases))
    assert phases == [
        *("load", "warmup", "steady", "components"),
        *("profile", "memory", "count"),
    ]


def test_the_example_s_components_are_measured_in_its_own_process(example: Result) -> None:
    (block,) = example.components
    assert (block.name, block.variant, block.calls_per_chunk) == ("block", "eager", 16)
    assert len(block.wall_ms) == 4


def test_the_example_is_attributed_to_its_parts_and_stages(example: Result) -> None:
    profile = example.profile
    assert profile is not None
    assert profile.problems == []
    assert [chunk.kind for chunk in profile.chunks] == ["steady", "first", "filling"]
    parts = {part.part for part in profile.chunks[0].parts}
    assert {"attention", "attention/cache", "mlp", "choose", "embed", "decode"} <= parts
    calls = {part.part: part.calls for part in profile.chunks[0].parts if part.stage == "frame.0"}
    assert (calls["attention"], calls["choose"]) == (4, 1)


def test_the_example_s_described_work_is_in_the_record(example: Result) -> None:
    dim, tokens, window = 128, 16, 192
    assert set(example.described) == {"attention", "mlp", "choose", "decode"}
    assert example.described["mlp"].flops == 16 * 16 * tokens * dim**2
    attention = 8 * tokens * dim**2 + 4 * tokens * window * dim
    assert example.described["attention"].flops == 16 * attention


def test_the_record_says_which_file_was_executed(example: Result) -> None:
    facts = {name: fact.value for name, fact in example.provenance.items()}
    sha256 = hashlib.sha256(EXAMPLE.read_bytes()).hexdigest()
    assert (facts["pipeline.file"], facts["pipeline.sha256"]) == ("small.py", sha256)
    assert facts["pipeline.class"] == "TinyTransformer"
    assert (facts["workload.dtype"], facts["workload.seed"]) == ("float32", 42)
    assert not [name for name in facts if name.startswith(("attention.", "weights."))]


def test_a_pipeline_that_says_no_more_than_it_must_is_measured(tmp_path: Path) -> None:
    record = measured(tmp_path, source(), profile=True)
    assert isinstance(record, Result), record.detail
    assert (record.components, record.described) == ([], {})
    assert record.profile is not None
    assert [chunk.kind for chunk in record.profile.chunks] == ["steady", "first"]


def test_a_file_that_is_not_the_case_s_is_not_executed(tmp_path: Path) -> None:
    told = tmp_path / "executed"
    text = f"open({str(told)!r}, 'w')\n" + source()
    record = failed(tmp_path, text, pipeline_sha256="0" * 64)
    assert (record.category, told.exists()) == ("input", False)
    assert "not the one that the case names" in record.message


SHORT_CYCLE = "chunks_per_cycle = 5"
BAD_COST = "def describe_cost(self): return {'work': Work(-1.0, 0.0)}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("build = 3", "the file has no function build(wish)"),
        ("import nothing_like_it", "No module named 'nothing_like_it'"),
        ("def build(wish): return 3", "build(wish) returned int, no StreamingPipeline"),
        (source(build="1 / 0"), "building the pipeline failed: ZeroDivisionError"),
        (source(more=SHORT_CYCLE), "has to be reset every 5 chunks, measuring it takes 7"),
        (source(then="raise KeyError('k')"), "KeyError: 'k'"),
        (source(stage="Work 1"), "step() marked 'Work 1'"),
        (source(frames="0"), "returned 0 frames"),
        (source(frames="None"), "returned None frames"),
        (source().replace("mark('work')", "pass"), "step() marked no stage"),
        (source(more=BAD_COST), "describe_cost(): "),
    ],
)
def test_an_error_of_the_file_is_the_file_s(tmp_path: Path, text: str, problem: str) -> None:
    record = failed(tmp_path, text, profile=True)
    assert record.category == "input"
    assert problem in record.message


@pytest.mark.parametrize("where", ["then", "build"])
def test_a_file_that_ends_the_process_leaves_a_record(tmp_path: Path, where: str) -> None:
    record = failed(tmp_path, source(**{where: "raise SystemExit(0)"}))
    assert record.category == "input"
    assert "SystemExit: 0" in record.message


@pytest.mark.parametrize("first", ["-1", "1001", "'x'", "True"])
def test_a_first_steady_chunk_that_cannot_be_reached_is_named(tmp_path: Path, first: str) -> None:
    record = failed(tmp_path, source(more=f"first_steady_chunk = {first}"))
    assert record.category == "input"
    assert f"first_steady_chunk is {first}, no number from 0 to 1000" in record.message


def test_the_traceback_of_a_failed_step_shows_its_line(tmp_path: Path) -> None:
    record = failed(tmp_path, source(then="raise KeyError('k')"))
    assert "raise KeyError('k')" in record.detail
    assert record.provenance["pipeline.file"].value == "small.py"
