import json
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from requests import ReadTimeout

from harness.errors import DeviceError, EngineError
from harness.host import containers
from harness.host.containers import DockerRunner, install_facts
from harness.host.engine import Engine
from harness.host.gpu import Way
from harness.host.image import Image
from harness.host.leftovers import OWNER_LABEL, RUN_LABEL, labels
from harness.host.runner import case_limit_s
from harness.job import Devices, Job, PreflightRequest, Progress
from harness.result import Failure, Record, Result, encode
from tests.host.fake_api import FakeApi
from tests.samples import case, result

FAKE_IMAGE = Image(tag="vace-bench:1", facts={}, environment={"LD_LIBRARY_PATH": "/cuda/lib"})
NODES = Way(
    name="device-nodes",
    reason="nothing else",
    host_settings={"devices": ["/dev/nvidia0:/dev/nvidia0:rw"], "binds": {}},
    library_path="/usr/local/nvidia/lib64",
)
JOB = Job(case=case(), salt="salt")


def runner(api: FakeApi, **changes: Any) -> DockerRunner:
    fields = {
        "engine": Engine(api, is_local=changes.pop("is_local", True)),
        "image": FAKE_IMAGE,
        "run_id": "run-1",
    }
    return DockerRunner(**(fields | changes))


def run(api: FakeApi, **changes: Any) -> Record:
    return runner(api, **changes).run(JOB, [], lambda progress: None)


def answering(blob: bytes) -> Any:
    return lambda files: {"/exchange/record.json": blob}


def test_the_container_is_locked_down() -> None:
    api = FakeApi(on_start=answering(encode(result())))
    assert isinstance(run(api), Result)
    (settings,) = api.created
    host = settings["host_config"]
    assert settings["user"] == "1000:1000"
    assert settings["labels"][RUN_LABEL] == "run-1"
    assert host["network_mode"] == "none"
    assert host["read_only"] is True
    assert host["cap_drop"] == ["ALL"]
    assert host["security_opt"] == ["no-new-privileges"]
    assert host["init"] is True
    assert host["pids_limit"] > 0
    assert host["tmpfs"] == {"/tmp": "exec,nosuid,nodev,mode=1777"}
    assert [mount["Target"] for mount in host["mounts"]] == ["/exchange"]
    assert not {"privileged", "binds", "devices", "device_requests"} & set(host)


def test_the_container_gets_the_cpus_that_were_named() -> None:
    for cpus in (None, "0-1"):
        api = FakeApi(on_start=answering(encode(result())))
        runner(api, cpus=cpus).run(JOB, [], lambda progress: None)
        assert api.created[0]["host_config"].get("cpuset_cpus") == cpus


def test_the_job_goes_in_before_the_start_and_the_container_is_removed() -> None:
    api = FakeApi(on_start=answering(encode(result())))
    run(api)
    assert api.calls == ["create", "put", "start", "get /exchange/record.json", "remove c1"]
    sent = msgspec.json.decode(api.files["/exchange/job.json"], type=Job)
    assert sent == msgspec.structs.replace(JOB, limit_s=case_limit_s(JOB.case))


def test_the_way_to_the_gpu_and_the_weights_are_added(tmp_path: Path) -> None:
    api = FakeApi(on_start=answering(encode(result())))
    run(api, way=NODES, weights_dir=tmp_path)
    (settings,) = api.created
    libraries = settings["environment"]["LD_LIBRARY_PATH"]
    assert libraries == "/usr/local/nvidia/lib64:/cuda/lib"
    assert settings["host_config"]["devices"] == NODES.host_settings["devices"]
    weights = settings["host_config"]["mounts"][1]
    assert (weights["Source"], weights["ReadOnly"]) == (str(tmp_path), True)
    job = msgspec.json.decode(api.files["/exchange/job.json"], type=Job)
    assert job.weights_dir == "/weights"


def test_a_remote_engine_gets_the_weights_into_the_volume(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"weights")
    api = FakeApi(on_start=answering(encode(result())))
    run(api, weights_dir=tmp_path, is_local=False)
    assert api.files["/exchange/weights/a.pth"] == b"weights"
    assert len(api.created[0]["host_config"]["mounts"]) == 1
    job = msgspec.json.decode(api.files["/exchange/job.json"], type=Job)
    assert job.weights_dir == "/exchange/weights"


def test_warm_caches_are_a_named_volume() -> None:
    api = FakeApi()
    warm = Job(case=case(warm_cache=True), salt="salt")
    runner(api).run(warm, [], lambda progress: None)
    (settings,) = api.created
    mount = settings["host_config"]["mounts"][1]
    assert (mount["Target"], mount["Source"]) == ("/cache", "vace-bench-cache-1")
    assert settings["environment"]["TRITON_CACHE_DIR"] == "/cache/triton"


@pytest.mark.parametrize(
    ("changes", "category", "message"),
    [
        ({"end": {"StatusCode": 137}}, "killed", "killed from outside (SIGKILL)"),
        ({"end": {"StatusCode": 143}}, "killed", "killed from outside (SIGTERM)"),
        ({"end": {"StatusCode": 139}}, "bug", "the container crashed (SIGSEGV)"),
        (
            {"end": {"StatusCode": 2}, "output": [b"error: record.json cannot be written\n"]},
            "infrastructure",
            "no record: record.json cannot be written",
        ),
        (
            {"end": {"StatusCode": 137}, "state": {"OOMKilled": True}},
            "memory",
            "ran out of memory",
        ),
        ({"end": {"StatusCode": 1}, "output": [b"Trace", b"back\n"]}, "bug", "exit 1"),
        ({"on_start": answering(b"{")}, "bug", "exit 0"),
    ],
)
def test_how_a_container_ended(changes: dict[str, Any], category: str, message: str) -> None:
    api = FakeApi(**changes)
    record = run(api)
    assert isinstance(record, Failure)
    assert record.category == category
    assert message in record.message
    if api.output:
        assert record.detail == b"".join(api.output).decode().strip()
    assert api.calls[-1] == "remove c1"


class Gone(FakeApi):
    """The container was removed from outside while it ran."""

    def wait(self, container: str, **_: Any) -> dict[str, Any]:
        return self.inspect_image(container)  # not found


def test_a_container_removed_from_outside_is_a_failure() -> None:
    record = run(Gone())
    assert isinstance(record, Failure)
    assert (record.category, record.exit_code) == ("killed", None)
    assert "removed from outside" in record.message


class Hanging(FakeApi):
    """The engine accepts calls and answers none, once the container runs."""

    def logs(self, container: str, **_: Any) -> Any:
        threading.Event().wait()

    def kill(self, container: str) -> None:
        raise ReadTimeout("timed out")


def test_an_engine_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "GRACE_S", 0.1)
    with pytest.raises(EngineError, match="does not answer any more"):
        run(Hanging(), limit_s=0.1)


class Restarting(FakeApi):
    """An engine that is away for a while, and comes back as a newer one."""

    away: int = 0
    answers_before: int = 0  # while it shuts down

    def info(self) -> dict[str, Any]:
        if self.answers_before:
            self.answers_before -= 1
        elif self.away:
            self.away -= 1
            raise ConnectionRefusedError(111, "Connection refused")
        return super().info()

    def version(self) -> dict[str, Any]:
        return {"Version": "100.0", "Platform": {"Name": ""}}


def test_after_a_restart_of_the_engine_cases_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "RETURN_POLL_S", 0.01)
    left = {"Id": "left", "Labels": labels("run-1")}
    helper = {"Id": "helper", "Labels": {RUN_LABEL: "run-1", OWNER_LABEL: "another-boot:1:2"}}
    api = Restarting(
        images_by_name={FAKE_IMAGE.tag: {"Id": "i"}},
        containers_by_id={"left": left, "helper": helper},
    )
    api.answers_before, api.away = 2, 3
    restarted = runner(api)
    restarted.recover()
    assert api.away == 0
    assert set(api.containers_by_id) == {"helper"}  # of a bench beside us
    assert restarted.facts()["engine.version"].value == "Docker 100.0"


def test_an_engine_that_stays_away_or_lost_the_image_ends_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(containers, "RETURN_LIMIT_S", 0.05)
    monkeypatch.setattr(containers, "RETURN_POLL_S", 0.01)
    api = Restarting()
    api.away = 1000
    with pytest.raises(EngineError, match="cannot be reached"):
        runner(api).recover()
    monkeypatch.setattr(containers, "RETURN_LIMIT_S", 5)
    with pytest.raises(EngineError, match="vace-bench:1 was removed while the run was under way"):
        runner(FakeApi()).recover()


def test_what_a_record_says_of_the_engine_needs_no_engine() -> None:
    """The failure of a case whose engine has gone is written while it is away."""
    api = FakeApi(memory={"MemoryLimit": True, "MemTotal": 1000})
    seen = runner(api)
    seen.run(JOB, [], lambda progress: None)
    api.version = None  # type: ignore[method-assign, assignment]  # any call of it would fail
    assert seen.facts()["engine.version"].value == "Docker 99.0"
    assert seen.facts()["container.memory_limit_bytes"].value == 900
    assert api.created[0]["host_config"]["mem_limit"] == 900


class Interrupted(FakeApi):
    """Ctrl-C while the output is read."""

    def logs(self, container: str, **_: Any) -> Any:
        raise KeyboardInterrupt


def test_ctrl_c_removes_the_container() -> None:
    api = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        run(api)
    assert api.calls[-1] == "remove c1"


def test_a_preflight_without_an_answer_says_why() -> None:
    api = FakeApi(output=[b"ImportError: no torch\n"], end={"StatusCode": 1})
    with pytest.raises(DeviceError, match="ImportError: no torch"):
        runner(api).preflight(PreflightRequest(cases=[]))


def test_the_install_report_becomes_facts() -> None:
    report = {
        "torch": {"source": "wheel", "version": "2", "file": "torch.whl", "sha256": "ab"},
        "kept": {},
        "installed": {},
    }
    facts = install_facts(json.dumps(report).encode())
    assert facts["torch.wheel_sha256"].value == "ab"
    kept = {"torch": {"source": "base image", "version": "2"}, "kept": {"numpy": "2"}}
    facts = install_facts(json.dumps(kept).encode())
    assert facts["torch.wheel_sha256"].value is None
    assert "kept" in str(facts["torch.wheel_sha256"].reason)
    assert facts["image.kept_packages"].value == "numpy 2"
    assert install_facts(None)["torch.wheel_sha256"].reason


# ------------------------------------------------------------------ with a real engine


def left_behind(engine: Engine, run_id: str) -> list[str]:
    label = f"{RUN_LABEL}={run_id}"
    found = [str(item["Id"]) for item in engine.containers(label)]
    return found + [str(item["Name"]) for item in engine.volumes(label)]


def test_the_preflight_runs_in_the_container(engine: Engine, image: Image) -> None:
    real = DockerRunner(engine=engine, image=image, run_id="test-preflight")
    devices = real.preflight(PreflightRequest(cases=[case()]))
    assert isinstance(devices, Devices)
    assert devices.problems == []
    facts = real.facts()
    assert len(str(facts["torch.wheel_sha256"].value)) == 64
    assert facts["image.base_digest"].value is None or "sha256:" in str(
        facts["image.base_digest"].value
    )
    assert left_behind(engine, "test-preflight") == []


@pytest.mark.slow
def test_a_tiny_case_is_measured_in_the_container(engine: Engine, image: Image) -> None:
    tiny = case(mode="text", blocks=1, chunks_per_block=1, warmup_max_chunks=5)
    real = DockerRunner(engine=engine, image=image, run_id="test-case")
    phases: set[str] = set()

    def notify(progress: Progress) -> None:
        phases.add(progress.phase)

    record = real.run(Job(case=tiny, salt="0" * 32), [], notify)
    assert isinstance(record, Result), record
    assert record.provenance["container.user"].value == "uid 1000 gid 1000"
    assert record.provenance["container.read_only_root"].value is True
    assert "steady" in phases
    assert left_behind(engine, "test-case") == []


def test_a_container_killed_from_outside(engine: Engine, image: Image) -> None:
    sleeping = DockerRunner(
        engine=engine, image=image, run_id="test-kill", program=("sh", "-c", "sleep 300")
    )

    def kill() -> None:
        for _ in range(600):
            for item in engine.containers(f"{RUN_LABEL}=test-kill"):
                if item["State"] == "running":
                    engine.kill(str(item["Id"]))
                    return
            time.sleep(0.1)

    killer = threading.Thread(target=kill)
    killer.start()
    record = sleeping.run(JOB, [], lambda progress: None)
    killer.join()
    assert isinstance(record, Failure)
    assert (record.category, record.exit_code) == ("killed", 137)
    assert left_behind(engine, "test-kill") == []


def test_weights_are_copied_for_a_remote_engine(
    engine: Engine, image: Image, tmp_path: Path
) -> None:
    (tmp_path / "a.pth").write_bytes(b"12345")
    script = "import os; print(os.path.getsize('/exchange/weights/a.pth'))"
    remote = Engine(engine._api, is_local=False)
    real = DockerRunner(
        engine=remote,
        image=image,
        run_id="test-weights",
        weights_dir=tmp_path,
        program=("python", "-c", script),
    )
    record = real.run(JOB, [], lambda progress: None)
    assert isinstance(record, Failure)
    assert record.detail == "5"
