import threading

import pytest

from evolution.pool import Broken, Pool


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


def raising(error):
    def work():
        raise error

    return work


def test_what_work_raises_is_its_result_and_the_others_keep_theirs():
    pool, error = Pool(), KeyError("lost")
    pool.submit(1, raising(error))
    pool.submit(2, lambda: "second")
    assert dict(taken(pool, 2)) == {1: Broken(error), 2: "second"}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(2), OSError("no disk")])
def test_what_ends_a_process_or_all_work_is_raised_where_results_are_wanted(error):
    pool = Pool(lasting=(OSError,))
    pool.submit(1, raising(error))
    with pytest.raises(type(error)):
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
