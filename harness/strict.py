"""Base of every part of a record, its numbers and its names: a stranger may have sent it."""

from collections.abc import Sequence, Sized
from typing import Annotated

import msgspec
from msgspec import Meta

NonNegative = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Share = Annotated[float, Meta(ge=0, le=1)]
# A moment of CLOCK_MONOTONIC. A float of this size still tells microseconds apart.
Seconds = Annotated[float, Meta(ge=0, le=1e9)]
# A time that something took: never nothing, so that it can be divided by.
TookMs = Annotated[float, Meta(ge=1e-3, le=1e9)]
# Of the loop, such as "denoise.2"; empty in a profile between and after the stages.
Stage = Annotated[str, Meta(pattern=r"^([a-z_]{1,32}(\.[0-9]{1,3})?)?\Z")]
SidePx = Annotated[int, Meta(ge=1, le=128)]  # of a picture in a record
Frames = Annotated[int, Meta(ge=1, le=10**6)]  # of a chunk
# Of a dictionary: a report names a value by the path to it, which these can be a step of.
Key = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_. +-]{0,239}\Z")]

# Bytes of a picture. Base64 would hold slashes and gaps between letters, which a scan for paths and
# names takes for some; packed, both are as short.
Hex = Annotated[str, Meta(pattern=r"^[0-9a-f]*\Z")]


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every part of a record."""


def check_lengths(columns: Sequence[Sized]) -> None:
    """Raises ValueError unless all columns of a table are of one length."""
    if len({len(column) for column in columns}) > 1:
        raise ValueError("its columns are of different lengths")
