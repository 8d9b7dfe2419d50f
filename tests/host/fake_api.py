"""A container engine's API in memory: the methods of docker.APIClient that Engine calls."""

import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from docker.errors import APIError, NotFound
from requests import Response


def api_error(status: int, message: str) -> APIError:
    """The SDK's error for an answer of the engine."""
    response = Response()
    response.status_code = status
    kind = NotFound if status == 404 else APIError
    return kind(message, response=response, explanation=message)


@dataclass
class FakeApi:
    """Images by name, containers by id; `on_start` plays the measured process."""

    images_by_name: dict[str, dict[str, Any]] = field(default_factory=dict)
    build_messages: list[dict[str, Any]] = field(default_factory=list)
    pull_messages: list[dict[str, Any]] = field(default_factory=list)
    on_start: Callable[[dict[str, bytes]], dict[str, bytes]] = lambda files: {}
    end: dict[str, Any] = field(default_factory=lambda: {"StatusCode": 0})
    state: dict[str, Any] = field(default_factory=lambda: {"OOMKilled": False})
    output: list[bytes] = field(default_factory=list)
    containers_by_id: dict[str, dict[str, Any]] = field(default_factory=dict)
    volumes_by_name: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    created: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)  # what info() tells of it
    built_arguments: dict[str, str] = field(default_factory=dict)

    def version(self) -> dict[str, Any]:
        return {"Version": "99.0", "Platform": {"Name": ""}}

    def info(self) -> dict[str, Any]:
        return {"Runtimes": {"runc": {}}, **self.memory}

    def inspect_image(self, name: str) -> dict[str, Any]:
        if name not in self.images_by_name:
            raise api_error(404, f"no such image: {name}")
        return self.images_by_name[name]

    def pull(self, name: str, **_: Any) -> Iterator[dict[str, Any]]:
        self.calls.append(f"pull {name}")
        yield from self.pull_messages
        if not any("error" in message for message in self.pull_messages):
            self.images_by_name[name] = {
                "Id": "sha256:pulled",
                "RepoDigests": [f"{name}@sha256:d1"],
            }

    def build(self, *, tag: str, buildargs: dict[str, str], **_: Any) -> Iterator[dict[str, Any]]:
        self.calls.append(f"build {tag}")
        self.built_arguments = buildargs
        yield from self.build_messages
        if not any("error" in message for message in self.build_messages):
            self.images_by_name[tag] = {"Id": "sha256:built", "Config": {"Env": ["A=b=c"]}}

    def create_host_config(self, **settings: Any) -> dict[str, Any]:
        return settings

    def create_container(self, **settings: Any) -> dict[str, str]:
        self.created.append(settings)
        self.calls.append("create")
        return {"Id": "c1"}

    def put_archive(self, container: str, folder: str, archive: Any) -> None:
        self.calls.append("put")
        with tarfile.open(fileobj=io.BytesIO(archive.read())) as tar:
            for member in tar.getmembers():
                content = tar.extractfile(member)
                if content is not None:
                    self.files[f"{folder}/{member.name}"] = content.read()

    def start(self, container: str) -> None:
        self.calls.append("start")
        self.files |= self.on_start(self.files)

    def logs(self, container: str, **_: Any) -> Iterator[bytes]:
        yield from self.output

    def wait(self, container: str, **_: Any) -> dict[str, Any]:
        return self.end

    def inspect_container(self, container: str) -> dict[str, Any]:
        return {"State": self.state}

    def get_archive(self, container: str, path: str) -> tuple[Iterator[bytes], dict[str, Any]]:
        self.calls.append(f"get {path}")
        if path not in self.files:
            raise api_error(404, f"no such file: {path}")
        blob = io.BytesIO()
        with tarfile.open(fileobj=blob, mode="w") as tar:
            item = tarfile.TarInfo(path.rpartition("/")[2])
            item.size = len(self.files[path])
            tar.addfile(item, io.BytesIO(self.files[path]))
        return iter([blob.getvalue()]), {}

    def kill(self, container: str) -> None:
        self.calls.append("kill")

    def remove_container(self, container: str, **_: Any) -> None:
        self.calls.append(f"remove {container}")
        self.containers_by_id.pop(container, None)

    def containers(self, **_: Any) -> list[dict[str, Any]]:
        return list(self.containers_by_id.values())

    def volumes(self, **_: Any) -> dict[str, Any]:
        return {"Volumes": list(self.volumes_by_name.values()) or None}

    def images(self, **_: Any) -> list[dict[str, Any]]:
        return []

    def prune_images(self, **_: Any) -> dict[str, Any]:
        self.calls.append("prune")
        return {"ImagesDeleted": None, "SpaceReclaimed": 0}

    def remove_volume(self, name: str) -> None:
        self.calls.append(f"remove volume {name}")
        self.volumes_by_name.pop(name, None)
