"""Matrices of one entry, the two devices they are expanded for, and the ids that come of it."""

import msgspec

from harness.expansion import Settings, expand
from harness.matrix import Matrix

CPU = Settings(preset="tiny", device="cpu")
GPU = Settings(preset="full", device="cuda")


def ids(matrix: Matrix, settings: Settings = GPU) -> list[str]:
    return [case.id for case in expand(matrix, settings)]


def one(**axes: object) -> Matrix:
    entry = {"kind": ["e2e"], "mode": ["inpainting"]} | axes
    return msgspec.convert({"name": "one", "cases": [entry]}, Matrix)
