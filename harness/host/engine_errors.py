"""What the Docker SDK and the connection below it raise, translated into an EngineError."""

from collections.abc import Iterator
from contextlib import contextmanager

import requests
import urllib3
from docker.errors import APIError, DockerException

from harness.errors import EngineError

CONNECTION_ERRORS = (DockerException, requests.RequestException, urllib3.exceptions.HTTPError)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turns the SDK's and the connection's errors into EngineError, most specific first."""
    try:
        yield
    except APIError as error:
        reason = error.explanation or str(error)
        raise EngineError(
            f"the container engine refused to {doing} ({reason})",
            next_step="run `invoke doctor`",
        ) from error
    except (*CONNECTION_ERRORS, OSError) as error:
        raise _unreachable(error, doing) from error


def _unreachable(error: BaseException, doing: str) -> EngineError:
    causes = list(_causes(error))
    if any(isinstance(cause, PermissionError) for cause in causes):
        return EngineError(
            "no permission on the container engine's socket",
            next_step="join the docker group (`sudo usermod -aG docker $USER`, then log in again) "
            "or use sudo",
        )
    reason = next(
        (cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror),
        str(error),
    )
    return EngineError(
        f"the container engine cannot be reached ({reason}, when asked to {doing})",
        next_step="start it, check DOCKER_HOST or the Docker context, or use --runtime local",
    )


def _causes(error: BaseException, depth: int = 0) -> Iterator[BaseException]:
    """The error, what it was raised from and what it carries (requests nests errors in args)."""
    yield error
    if depth < 8:
        inner = [error.__cause__, error.__context__, *error.args]
        for cause in inner:
            if isinstance(cause, BaseException):
                yield from _causes(cause, depth + 1)
