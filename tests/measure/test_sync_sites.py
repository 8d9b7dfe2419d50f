import warnings

from harness.measure.sync_sites import SYNC_WARNING, count_sites
from harness.profiled import SyncSite


def warned(filename: str, line: int, message: str) -> warnings.WarningMessage:
    return warnings.WarningMessage(UserWarning(message), UserWarning, filename, line)


def test_sites_are_counted_by_line_and_other_warnings_left_out() -> None:
    called = f"called a {SYNC_WARNING} (function warn_or_error_on_sync)"
    caught = [
        warned("/opt/app/kv_cache.py", 86, called),
        warned("/opt/app/kv_cache.py", 86, called),
        warned("/opt/app/context.py", 31, called),
        warned("/opt/app/kv_cache.py", 86, "something is deprecated"),
    ]
    assert count_sites(caught) == [
        SyncSite(location="kv_cache.py:86", calls=2),
        SyncSite(location="context.py:31", calls=1),
    ]
