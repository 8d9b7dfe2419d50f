from collections.abc import Iterator

import pytest
import torch


@pytest.fixture
def fresh_dynamo() -> Iterator[None]:
    """What another test of this process compiled is not found again."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()
