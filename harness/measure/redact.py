"""Keeps folders out of a record: texts of libraries name files by their absolute paths."""

import re

_FOLDERS = re.compile(r"(?<![\w./>])/(?:[^\s/:;,'\"()<>]+/)+")


def without_folders(text: str) -> str:
    """Absolute paths cut down to their last part."""
    return _FOLDERS.sub("", text)
