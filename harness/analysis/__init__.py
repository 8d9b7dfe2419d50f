"""WHAT it means: pure functions over records."""
