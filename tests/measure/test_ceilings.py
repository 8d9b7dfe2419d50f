from harness.measure.ceilings import COPY_BYTES, LEAST_COPY_BYTES, copied_bytes


def test_the_copy_shrinks_with_the_free_memory() -> None:
    assert copied_bytes(100 * 2**30) == COPY_BYTES
    assert copied_bytes(4 * 2**30) == 2**30
    assert copied_bytes(2**20) == LEAST_COPY_BYTES
