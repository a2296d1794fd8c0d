"""OpenEvolve as a rival: its workers in virtual time, and its own code on a small world."""

import random

import numpy as np
import pytest

from benchmarks.open_evolve import OPEN_EVOLVES, Ordered, StandIn, blocks, missing, open_evolved
from benchmarks.rivals import Proposer
from benchmarks.search import ABLATED, EVERY_ARM, WHOLE, Asked, arms_of, code_of, main, search
from benchmarks.virtual_pool import VirtualPool
from benchmarks.worlds import CRASH_SHARE, FULL_SECONDS, SETUP_SECONDS, WORLDS, Landscape, World

SMALL = World("small", helpful=0.4, parts=12, knob_count=3)


def drive(pool: VirtualPool, handed_in: list) -> list:
    """A search that hands in one thing for each that ended, as OpenEvolve does."""
    waiting, ended = [pool.submit(*work) for work in handed_in], []
    while True:
        done = next((one for one in waiting if one.done()), None)
        if done is None:
            return ended
        waiting.remove(done)
        ended.append((pool.now, done.result(timeout=330), pool.now))
        waiting.append(pool.submit(300.0, f"after {ended[-1][1]}"))


def pool_of(workers: int, device_seconds: float, **others) -> tuple[VirtualPool, list, list]:
    looks, closed = [], []
    pool = VirtualPool(
        workers,
        device_seconds,
        play=lambda seconds, name: (seconds, name),
        look=looks.append,
        close=lambda: closed.append(True),
        **others,
    )
    return pool, looks, closed


def test_workers_end_in_the_order_of_time_and_take_what_waits():
    pool, looks, closed = pool_of(2, 1400.0)
    ended = drive(pool, [(300.0, "long"), (75.0, "crash"), (100.0, "third"), (300.0, "fourth")])
    names = [name for _, name, _ in ended]
    assert names[:4] == ["crash", "third", "long", "fourth"]
    assert [now for _, _, now in ended][:4] == [75.0, 175.0, 300.0, 475.0]
    # What was known is looked at before the clock goes on.
    assert looks[:4] == [0.0, 150.0, 350.0, 600.0]
    assert closed


def test_the_search_is_closed_when_the_device_seconds_of_all_workers_are_spent():
    pool, _, closed = pool_of(2, 1000.0)
    ended = drive(pool, [(300.0, "a"), (300.0, "b"), (300.0, "c")])
    assert [now for _, _, now in ended] == [300.0, 300.0, 600.0]
    assert closed
    # Four had started and one more has, which was never paid for.
    assert pool.started == 5


def test_what_takes_no_time_is_no_training():
    pool, *_ = pool_of(1, 600.0)
    drive(pool, [(0.0, "nothing changed"), (300.0, "a")])
    assert (pool.now, pool.started) == (600.0, 3)


def test_trouble_closes_the_search():
    pool, _, closed = pool_of(1, 600.0, troubles=["it went wrong"])
    assert drive(pool, [(300.0, "a")]) == []
    assert closed


def test_nothing_can_be_had_before_it_ends():
    pool, *_ = pool_of(2, 600.0)
    late, early = pool.submit(300.0, "late"), pool.submit(75.0, "early")
    assert not late.done()
    with pytest.raises(ValueError, match="something else ends before this"):
        late.result()
    assert early.done()


def test_a_set_is_read_in_the_order_in_which_it_was_filled():
    words = Ordered()
    for word in ("later", "first", "gone", "first"):
        words.add(word)
    words.discard("gone")
    words.discard("never there")
    assert list(words) == ["later", "first"]
    assert "first" in words
    assert len(words) == 2


def test_a_crash_scores_nothing_and_costs_what_it_costs_everywhere():
    landscape = Landscape(SMALL, 0)
    stand_in = StandIn(Proposer(landscape, np.random.default_rng(0)))
    rng = np.random.default_rng(1)
    texts = [landscape.edited(landscape.start, rng) for _ in range(60)]
    crashing = next(text for text in texts if landscape.truth(text) is None)
    read = []
    for text in (landscape.start, crashing):
        with pytest.raises(StopIteration) as told:
            stand_in.evaluate_program(text, "").send(None)
        read.append((told.value.value["combined_score"], stand_in.seconds))
    assert read[0][0] == pytest.approx(1.0, abs=0.01)
    assert read[0][1] > 300
    assert read[1] == (0.0, SETUP_SECONDS + CRASH_SHARE * FULL_SECONDS)


def test_the_arm_is_refused_with_what_to_install_and_left_out_unasked(monkeypatch, capsys):
    lack = "OpenEvolve is not there"
    assert set(arms_of(None, None)) == set(EVERY_ARM) - set(ABLATED)
    assert set(arms_of(None, None)) - set(arms_of(None, lack)) == set(OPEN_EVOLVES)
    assert arms_of(["GA"], lack) == ["GA"]
    with pytest.raises(ValueError, match=lack):
        arms_of(["GA", "OpenEvolve"], lack)

    monkeypatch.setattr("benchmarks.open_evolve.VERSION", "0.0.1")  # nobody has it
    assert "pip install -e '.[rivals]'" in missing()
    with pytest.raises(RuntimeError, match=r"openevolve 0\.0\.1, but .* is installed"):
        search(Asked("OpenEvolve", "plain", 0, 1, 5))
    monkeypatch.setattr("sys.argv", ["search", "--arms", "OpenEvolve"])
    with pytest.raises(SystemExit):
        main()
    assert "pip install -e '.[rivals]'" in capsys.readouterr().err


def test_what_is_left_out_is_said(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("benchmarks.open_evolve.VERSION", "0.0.1")
    monkeypatch.setattr("benchmarks.search.EVERY_ARM", ("random", *OPEN_EVOLVES))
    few = {"worlds": "plain", "workers": 1, "instances": 2, "trainings": 5, "folder": tmp_path}
    words = [word for name, value in few.items() for word in (f"--{name}", str(value))]
    monkeypatch.setattr("sys.argv", ["search", *words])
    main()
    told = capsys.readouterr().out
    assert "Left out OpenEvolve and OpenEvolve with unions" in told
    assert "random" in told


def test_its_courses_follow_from_its_code():
    assert code_of("OpenEvolve") not in {code_of("GA"), code_of("TPE")}


# --- with OpenEvolve -----------------------------------------------------------------------------


@pytest.mark.parametrize("world", ["plain", "clashing", "knobs"])
def test_a_diff_makes_the_genome_that_was_drawn(world):
    code_utils = pytest.importorskip("openevolve.utils.code_utils")
    landscape = Landscape(WORLDS[world], 0)
    proposer = Proposer(landscape, np.random.default_rng(0))
    text = landscape.start
    for _ in range(12):
        before, text = text, proposer.mutant(text)
        assert code_utils.apply_diff(before, blocks(before, text)) == text
    assert code_utils.apply_diff(text, blocks(text, text)) == text


@pytest.mark.parametrize("arm", OPEN_EVOLVES)
@pytest.mark.parametrize("workers", [1, 4])
def test_open_evolve_spends_what_it_has_and_replays(arm, workers):
    pytest.importorskip("openevolve")
    state = random.getstate()
    one, again = (
        open_evolved(arm, Landscape(SMALL, 0), 0, workers=workers, device_seconds=40 * WHOLE)
        for _ in range(2)
    )
    assert one == again
    assert random.getstate() == state
    assert 38 <= one.trials <= 70
    assert one.seconds == sorted(one.seconds)
    assert one.seconds[-1] <= (40 + workers) * WHOLE
    assert all(np.isfinite(one.bpb))
    assert one.bpb[0] == pytest.approx(1.0)
    assert one.bpb[-1] < 1.0


def test_what_goes_wrong_inside_is_not_passed_over(monkeypatch):
    pytest.importorskip("openevolve")
    monkeypatch.setattr("benchmarks.open_evolve.blocks", lambda *_: "no diff at all")
    with pytest.raises(RuntimeError, match="No valid diffs found in response"):
        open_evolved("OpenEvolve", Landscape(SMALL, 0), 0, workers=2, device_seconds=9 * WHOLE)
