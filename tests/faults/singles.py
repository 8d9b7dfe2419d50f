"""The faults with a moment of their own: what hangs, runs out, goes away, is held or is set."""

from tests.faults.around import (
    clock_between,
    freeze_all,
    freeze_container,
    reader_gone,
    second_bench,
)
from tests.faults.engines import engine_gone, engine_hangs, image_removed
from tests.faults.single import Single, failed, flagged, in_case, in_run, refused
from tests.faults.storage import full_disk, full_temporary, read_only

SHORT_LIMIT = "0.1"  # minutes: of a played case that hangs
MEMORY_BYTES = 256 << 20
ENGINE_TIMEOUT_S = 3

SINGLES = (
    Single(
        name="case hangs",
        place="local",
        inject=in_case("hang", failed("timeout", "stopped after", "in hang"), limit=SHORT_LIMIT),
    ),
    Single(
        name="case hangs",
        place="docker",
        inject=in_case("hang", failed("timeout", "stopped after", "in hang"), limit=SHORT_LIMIT),
    ),
    Single(
        name="container frozen",
        place="docker",
        inject=in_run(
            freeze_container, failed("timeout"), limit=SHORT_LIMIT, more={"grace_s": 1.0}
        ),
    ),
    Single(
        name="everything frozen for a while",
        place="local",
        inject=in_run(freeze_all, flagged("something stood still"), real=True),
    ),
    Single(
        name="case crashes",
        place="local",
        inject=in_case("crash", failed("bug", "crashed (SIGSEGV)", "in crash")),
    ),
    Single(
        name="container out of memory",
        place="docker",
        inject=in_case(
            "eat-memory",
            failed("memory", "ran out of memory"),
            more={"memory_bytes": MEMORY_BYTES},
        ),
    ),
    Single(
        name="CUDA out of memory",
        place="local",
        inject=in_case("cuda-out-of-memory", failed("memory", "CUDA out of memory")),
    ),
    Single(
        name="CUDA sticky error",
        place="local",
        inject=in_case("cuda-sticky-error", failed("device", "device-side assert")),
    ),
    Single(
        name="GPU lost",
        place="local",
        inject=in_case("gpu-lost", failed("device", "the GPU is lost")),
    ),
    Single(
        name="GPU lost by a daemon-reload",
        place="local",
        inject=in_case("daemon-reload", failed("infrastructure", "daemon-reload")),
    ),
    Single(name="disk full", place="local", inject=full_disk, root=True),
    Single(name="reports read-only", place="local", inject=read_only, root=True),
    Single(name="temporary folder full", place="local", inject=full_temporary, root=True),
    Single(
        name="clock set back during a case",
        place="local",
        inject=in_case("clock-back", flagged("the clock was set back by 3600")),
    ),
    Single(name="clock set back between runs", place="local", inject=clock_between),
    Single(
        name="host sleeps",
        place="local",
        inject=in_case("sleep", flagged("the host slept for 600")),
    ),
    Single(
        name="two benches, one reports folder",
        place="local",
        inject=second_bench("the reports folder reports/ is in use", {}, other_folder=False),
    ),
    Single(
        name="two benches, one GPU",
        place="local",
        inject=second_bench("this GPU is in use", {"gpu": "GPU-faults"}, other_folder=True),
    ),
    Single(name="nobody reads the output", place="local", inject=reader_gone),
    Single(
        name="engine gone",
        place="private",
        inject=in_run(
            engine_gone, refused("cannot be reached"), at_once=False, more={"return_s": 3.0}
        ),
    ),
    Single(
        name="engine hangs",
        place="private",
        inject=in_run(
            engine_hangs,
            refused("engine"),
            limit=SHORT_LIMIT,
            at_once=False,
            more={"grace_s": 1.0, "call_timeout_s": ENGINE_TIMEOUT_S, "return_s": 3.0},
        ),
    ),
    Single(
        name="image removed",
        place="private",
        inject=in_run(image_removed, refused("was removed while the run was under way")),
    ),
)
