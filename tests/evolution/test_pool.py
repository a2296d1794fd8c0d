import threading

import pytest

from evolution.pool import Pool


def taken(pool, count):
    """The results of ``count`` pieces of work."""
    results = []
    while len(results) < count:
        results += pool.finished()
    return results


def test_work_is_done_side_by_side_and_taken_in_as_it_ends():
    pool, gate, both = Pool(), threading.Event(), threading.Barrier(2, timeout=20)

    def first():
        both.wait()
        gate.wait(20)
        return "first"

    def second():
        both.wait()
        return "second"

    pool.submit(1, first)
    pool.submit(2, second)
    assert taken(pool, 1) == [(2, "second")]
    assert 1 in pool
    assert 2 not in pool
    gate.set()
    assert taken(pool, 1) == [(1, "first")]
    assert len(pool) == 0


def test_what_work_raises_is_raised_where_its_result_is_wanted():
    pool = Pool()

    def broken():
        raise KeyError("lost")

    pool.submit(1, broken)
    with pytest.raises(KeyError, match="lost"):
        taken(pool, 1)


def test_closing_waits_no_longer_than_it_may():
    pool, gate = Pool(), threading.Event()
    pool.submit(1, lambda: gate.wait(20))
    assert pool.close(0.01) == [1]
    gate.set()
    assert pool.close(20) == []


def test_a_key_names_one_piece_of_work():
    pool, gate = Pool(), threading.Event()
    pool.submit(1, lambda: gate.wait(20))
    with pytest.raises(ValueError, match="under way"):
        pool.submit(1, lambda: True)
    gate.set()
    pool.close(20)
