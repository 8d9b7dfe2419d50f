"""The container engine: found and spoken to, here and nowhere else.

`connect` honours DOCKER_HOST, DOCKER_CONTEXT and the current Docker context. Everything that the
Docker SDK or the connection below it may raise leaves this module as an EngineError.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import IO, Any

import docker
from docker.context import ContextAPI
from docker.errors import APIError, NotFound
from docker.tls import TLSConfig

from harness.errors import EngineError
from harness.host.engine_errors import CONNECTION_ERRORS, translated
from harness.host.tunnel import SCHEME, Address, Tunnel

CONNECT_TIMEOUT_S = 15
CALL_TIMEOUT_S = 120  # also what an engine that hangs costs, each time that it is asked
BUILD_TIMEOUT_S = 3600  # between two lines of a build's output
POLL_S = 0.5


@dataclass(frozen=True)
class ContainerEnd:
    """How a container ended; `exit_code` is None when it no longer exists."""

    exit_code: int | None
    out_of_memory: bool


class Engine:
    """The calls of the Docker API that a benchmark needs. `api` is a docker.APIClient."""

    def __init__(
        self, api: Any, *, is_local: bool, address: str = "", tunnel: Tunnel | None = None
    ) -> None:
        self._client = api
        self.is_local = is_local
        self.address = address
        self._tunnel = tunnel

    @property
    def _api(self) -> Any:
        """The client; a tunnel that has broken is opened again first."""
        if self._tunnel is not None:
            self._tunnel.ensure()
        return self._client

    def version(self) -> str:
        """Name and version, for example 'Docker 27.3.1'."""
        with translated("tell its version"):
            answer = self._api.version()
        name = (answer.get("Platform") or {}).get("Name") or ""
        kind = "Podman" if "podman" in str(answer.get("Components", "")).lower() else "Docker"
        return f"{kind} {answer['Version']}" + (f" ({name})" if name else "")

    def information(self) -> dict[str, Any]:
        """What `docker info` shows."""
        with translated("tell about itself"):
            return dict(self._api.info())

    def image(self, name: str) -> dict[str, Any] | None:
        """An image as the engine describes it, or None if it has none of this name."""
        with translated(f"look for image {name}"):
            try:
                return dict(self._api.inspect_image(name))
            except NotFound:
                return None

    def pull(self, name: str) -> Iterator[dict[str, Any]]:
        """Pulls an image; yields the engine's messages."""
        with translated(f"pull image {name}"):
            yield from self._api.pull(name, stream=True, decode=True)

    def build(
        self, context: IO[bytes], tag: str, arguments: Mapping[str, str], network: str
    ) -> Iterator[dict[str, Any]]:
        """Builds an image from a tar of its context; yields the engine's messages."""
        with translated(f"build image {tag}"):
            yield from self._api.build(
                fileobj=context,
                custom_context=True,
                tag=tag,
                buildargs=dict(arguments),
                network_mode=network,
                rm=True,
                forcerm=True,
                decode=True,
                timeout=BUILD_TIMEOUT_S,
            )

    def create(self, settings: Mapping[str, Any], host_settings: Mapping[str, Any]) -> str:
        """Creates a container, not started; returns its id."""
        with translated("create a container"):
            host_config = self._api.create_host_config(**host_settings)
            return str(self._api.create_container(**settings, host_config=host_config)["Id"])

    def put(
        self, container: str, folder: str, archive: bytes | IO[bytes] | Iterable[bytes]
    ) -> None:
        """Unpacks a tar archive into a folder of a container."""
        with translated("copy files into a container"):
            self._api.put_archive(container, folder, archive)

    def get(self, container: str, path: str) -> Iterator[bytes] | None:
        """A file or folder of a container as a tar stream, or None if it does not exist."""
        with translated("copy files out of a container"):
            try:
                stream, _ = self._api.get_archive(container, path)
            except NotFound:
                return None
        return self._stream("copy files out of a container", stream)

    def start(self, container: str) -> None:
        """Starts a created container."""
        with translated("start a container"):
            self._api.start(container)

    def follow(self, container: str, is_lost: Callable[[], bool]) -> Iterator[bytes]:
        """Output of a container, both streams as they come, until it ends or is removed.

        Read by a thread of its own, so that an engine that hangs can be given up: EngineError once
        `is_lost` says so.
        """
        pieces: SimpleQueue[bytes | BaseException | None] = SimpleQueue()

        def read() -> None:
            try:
                for piece in self._output(container):
                    pieces.put(piece)
                pieces.put(None)
            except BaseException as error:  # noqa: BLE001 raised again by whoever follows
                pieces.put(error)

        threading.Thread(target=read, daemon=True).start()
        while True:
            try:
                piece = pieces.get(timeout=POLL_S)
            except Empty:
                if is_lost():
                    raise EngineError(
                        "the container engine does not answer any more", next_step="restart it"
                    ) from None
                continue
            if piece is None:
                return
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    def _output(self, container: str) -> Iterator[bytes]:
        with translated("read a container's output"):
            try:
                stream = self._api.logs(container, stream=True, follow=True)
            except NotFound:
                return
        yield from self._stream("read a container's output", stream)

    def wait(self, container: str, limit_s: float) -> ContainerEnd:
        """How the container ended; waits until it has. EngineError after `limit_s` seconds."""
        with translated("wait for a container"):
            try:
                code = int(self._api.wait(container, timeout=limit_s)["StatusCode"])
                state = self._api.inspect_container(container)["State"]
            except NotFound:
                return ContainerEnd(None, out_of_memory=False)
        return ContainerEnd(code, out_of_memory=bool(state.get("OOMKilled")))

    def kill(self, container: str) -> None:
        """Kills a container; one that has ended or gone is left alone."""
        with translated("kill a container"):
            try:
                self._api.kill(container)
            except APIError as error:
                if error.status_code not in (404, 409):
                    raise

    def remove(self, container: str) -> None:
        """Removes a container and its anonymous volumes, running or not."""
        with translated("remove a container"):
            try:
                self._api.remove_container(container, v=True, force=True)
            except APIError as error:
                if error.status_code not in (404, 409):  # gone, or its removal is under way
                    raise

    def containers(self, label: str) -> list[dict[str, Any]]:
        """Containers with a label ('key' or 'key=value'), running or not."""
        with translated("list containers"):
            return list(self._api.containers(all=True, filters={"label": label}))

    def volumes(self, label: str) -> list[dict[str, Any]]:
        """Volumes with a label."""
        with translated("list volumes"):
            return list(self._api.volumes(filters={"label": label}).get("Volumes") or [])

    def remove_volume(self, name: str) -> None:
        """Removes a volume; one that has gone is no error."""
        with translated(f"remove volume {name}"):
            try:
                self._api.remove_volume(name)
            except NotFound:
                return

    def images(self, repository: str) -> list[dict[str, Any]]:
        """Images of a repository."""
        with translated("list images"):
            return list(self._api.images(name=repository))

    def remove_image(self, name: str) -> None:
        """Removes an image by tag; one that has gone is no error."""
        with translated(f"remove image {name}"):
            try:
                self._api.remove_image(name)
            except NotFound:
                return

    def prune_images(self, label: str) -> int:
        """Removes images without a tag that carry a label; returns the bytes that this freed."""
        with translated("remove images without a tag"):
            answer = self._api.prune_images(filters={"dangling": True, "label": label})
        return int(answer.get("SpaceReclaimed") or 0)

    @staticmethod
    def _stream(doing: str, stream: Iterable[bytes]) -> Iterator[bytes]:
        with translated(doing):
            yield from stream


def connect(environment: Mapping[str, str] = os.environ) -> Engine:
    """An engine that answers. Raises EngineError with what to do about it."""
    with translated("answer"):
        settings = _address(environment)
        host = str(settings.get("base_url", "unix://"))
        if host.startswith(SCHEME):
            return _connect_by_ssh(host, environment)
        api = _client(settings)
    is_local = host.startswith(("unix://", "http+unix://", "npipe://"))
    return Engine(api, is_local=is_local, address=host)


def _client(settings: Mapping[str, Any]) -> Any:
    api = docker.APIClient(version="auto", timeout=CONNECT_TIMEOUT_S, **settings)
    api.timeout = CALL_TIMEOUT_S
    return api


def _connect_by_ssh(host: str, environment: Mapping[str, str]) -> Engine:
    address = Address.parse(host)
    tunnel = Tunnel(address, environment)
    tunnel.ensure()
    try:
        api = _client({"base_url": tunnel.url})
    except CONNECTION_ERRORS as error:
        words = tunnel.last_words()
        tunnel.close()
        raise EngineError(
            f"no engine answers at {address.socket} of {address.host} (ssh: {words})",
            next_step="start it there, let the user use it (docker group), or name its socket: "
            "ssh://user@host/path",
        ) from error
    return Engine(api, is_local=False, address=host, tunnel=tunnel)


def _address(environment: Mapping[str, str]) -> dict[str, Any]:
    """DOCKER_HOST first, then DOCKER_CONTEXT or the context chosen in Docker's configuration."""
    host = environment.get("DOCKER_HOST")
    if host and host.startswith(SCHEME):
        return {"base_url": host}
    if host:
        return dict(docker.utils.kwargs_from_env(environment=dict(environment)))
    name = environment.get("DOCKER_CONTEXT")
    context = ContextAPI.get_context(name)
    if context is None:
        raise EngineError(f"Docker context '{name}' not found", next_step="see `docker context ls`")
    settings: dict[str, Any] = {}
    if context.Host:
        settings["base_url"] = context.Host
    if isinstance(context.TLSConfig, TLSConfig):
        settings["tls"] = context.TLSConfig
    return settings
