from harness.measure.stalls import MOST_TOLD, stalls, told


def test_a_steady_sampler_has_none() -> None:
    assert stalls([0.0, 0.1, 0.2, 2.9], []) == []
    assert stalls([], []) == []


def test_a_gap_is_found_where_it_lies() -> None:
    assert stalls([0.0, 0.1, 7.1, 7.2], []) == [(0.1, 7.1)]


def test_a_pause_explains_its_own_part_of_a_gap() -> None:
    assert stalls([0.0, 0.1, 9.1], [(0.15, 9.0)]) == []
    assert stalls([0.0, 0.1, 9.1], [(0.15, 3.0)]) == [(0.1, 9.1)]


def test_only_some_are_told_one_by_one() -> None:
    lines = told([(float(n), n + 4.0) for n in range(MOST_TOLD + 2)])
    assert len(lines) == MOST_TOLD + 1
    assert lines[0] == "nothing was sampled from 0.0 s to 4.0 s: something stood still"
    assert lines[-1] == "nothing was sampled in 2 more stretches"
