"""Islands and plateaus in a real run: who breeds with whom, what is copied, what a kill changes."""

import shutil
from collections import Counter

import pytest

from agents import Proposal
from evolution.archipelago import MIGRATION, Archipelago, island_records
from evolution.cli.tables import status_lines
from evolution.config import IslandSettings
from evolution.engine import Ending
from evolution.events import read_events
from evolution.islands import Ring
from evolution.progress import BEGAN, ENDED, last_episode
from evolution.status import run_status
from population import (
    CommissionState,
    Lineage,
    Mark,
    Marked,
    Origin,
    RunPaths,
    Store,
    set_knobs,
)
from tests.builders import NOW
from tests.evolution.runs import Steps, a_run, an_engine, run_in_cuts
from tests.evolution.staffs import Author, HouseStaff

SHORT = {"verdict__pairs": 2, "verdict__depths": [1.0], "stopping__enabled": False}
ISLANDS = {"islands__count": 3, "islands__interval": 2, "islands__elites": 1}


def ended(paths, executor=None, **options):
    """Run to the end; the store, for reading."""
    options = {"operators": {"knob": Steps()}} | options
    with an_engine(paths, executor, **options) as (engine, _, _):
        assert engine.run() is Ending.FINISHED
    return Store.open(paths.database, read_only=True)


def told(paths, *kinds):
    return [event for event in read_events(paths.events) if event.kind in kinds]


def by_cuts(folder, cut, **changes):
    """What a run decided whose engine is killed after every ``cut`` trials; None lets it be."""
    paths = a_run(folder, **SHORT, **changes)
    run_in_cuts(paths, cut, {"knob": Steps()})
    with Store.open(paths.database, read_only=True) as store:
        names = {v.sha: v.name for v in store.variants()}
        migrations = [
            (kept["island"], [names[sha] for sha in kept["elites"]])
            for kept in store.decided(MIGRATION)
        ]
        return (
            [(v.name, v.genome_hash, v.island) for v in store.variants()],
            [(t.purpose, t.conditions.rng_seed, t.outcome.val_bpb) for t in store.trials()],
            migrations,
            [len(store.decided(kind)) for kind in (BEGAN, ENDED)],
        )


@pytest.fixture(scope="module")
def ring_run(tmp_path_factory):
    """A run of three islands that came to its end."""
    paths = a_run(tmp_path_factory.mktemp("ring"), limits__trials=14, **SHORT, **ISLANDS)
    ended(paths).close()
    return paths


@pytest.fixture
def taken_up(ring_run, tmp_path):
    """A copy of that run, to be changed."""
    shutil.copytree(ring_run.root, tmp_path / "runs" / "night")
    return RunPaths(tmp_path / "runs" / "night")


def test_all_islands_breed_by_turns_and_elites_are_copied(ring_run):
    with Store.open(ring_run.database, read_only=True) as store:
        bred = store.variants()[1:]
        assert [v.island for v in bred] == [serial % 3 for serial in range(1, len(bred) + 1)]
        migrations = store.decided(MIGRATION)
        assert len(migrations) >= 4
        assert any(one["elites"] for one in migrations)
        homes = {v.sha: v.island for v in store.variants()}
        for one in migrations:
            assert all(homes[sha] != one["island"] for sha in one["elites"])
    events = told(ring_run, "migration")
    assert [event.payload["island"] for event in events] == [one["island"] for one in migrations]


def test_parents_are_at_home_on_the_island_or_were_copied_to_it(ring_run):
    with Store.open(ring_run.database, read_only=True) as store:
        homes = {v.sha: v.island for v in store.variants()}
        copied = {(one["island"], sha) for one in store.decided(MIGRATION) for sha in one["elites"]}
        foreign = 0
        for variant in store.variants():
            for parent in variant.parents:
                assert homes[parent] in (None, variant.island) or (variant.island, parent) in copied
                foreign += homes[parent] not in (None, variant.island)
        assert foreign  # what was copied had offspring there


def test_status_tells_how_each_island_stands(ring_run):
    with Store.open(ring_run.database, read_only=True) as store:
        status = run_status(store, NOW)
        births = Counter(v.island for v in store.variants() if v.island is not None)
    assert [(one.island, one.births) for one in status.islands] == sorted(births.items())
    assert [one["births"] for one in status.as_dict()["islands"]] == [births[i] for i in range(3)]
    words = dict(status_lines(status))["islands"].plain
    assert words.startswith(f"3: {births[0]} bred, best g0")
    assert words.endswith("copied")


def test_a_run_of_one_field_says_nothing_of_islands(tmp_path):
    with ended(a_run(tmp_path, limits__trials=3, **SHORT)) as store:
        assert {v.island for v in store.variants()} == {None}
        assert island_records(store) == []
        assert "islands" not in dict(status_lines(run_status(store, NOW)))


def test_an_engine_killed_between_decisions_goes_on_as_the_unbroken_one(tmp_path):
    """Cut after every other trial: islands, migrations and a plateau that is answered to."""
    changes = {
        "islands__count": 2,
        "islands__interval": 1,
        "plateau__window": 2,
        "plateau__gain": 20.0,
        "plateau__responds": True,
        "limits__trials": 6,
    }
    variants, trials, migrations, plateaus = by_cuts(tmp_path / "whole", None, **changes)
    assert {island for _, _, island in variants} == {None, 0, 1}
    assert any(elites for _, elites in migrations)
    assert plateaus[0]
    cut = by_cuts(tmp_path / "cut", 2, **changes)
    assert cut == (variants, trials, migrations, plateaus)


def test_a_banned_line_is_copied_nowhere_and_breeds_on_no_island(taken_up, monkeypatch):
    with an_engine(taken_up) as (engine, workspace, _):
        store, known = workspace.store, engine._known()
        bred = [v for v in store.variants() if v.island is not None]
        line = next(v for v in bred if Lineage(store.variants()).children(v.sha))
        store.set_mark(line.sha, Marked(line.sha, Mark.BANNED, NOW))
        barred = store.barred()
        assert len(barred) > 1
        for island in range(3):
            assert not barred.intersection(dict(engine._breeder.field(known, island).survivors))
        asked = []
        monkeypatch.setattr(Ring, "next_migration", lambda *_, without, **__: asked.append(without))
        engine._migrate()
        assert asked == [barred]


def test_a_pinned_variant_has_its_place_on_its_own_island_alone(taken_up):
    with an_engine(taken_up) as (engine, workspace, _):
        store, known = workspace.store, engine._known()
        natives = [v for v in store.variants() if v.island == 1 and known.fitnesses[v.sha].mean]
        worst = min(natives, key=lambda v: known.fitnesses[v.sha])
        store.set_mark(worst.sha, Marked(worst.sha, Mark.PINNED, NOW))
        fields = [engine._breeder.field(known, island) for island in range(3)]
        assert [field.pinned for field in fields] == [[], [worst.sha], []]
        assert [worst.sha in dict(f.survivors) for f in fields] == [False, True, False]


def test_what_models_propose_is_at_home_where_it_was_asked_for(tmp_path):
    alone = {"operators__knob": 0.0, "operators__structure": 0.0, "operators__merge": 0.0}
    agents = {"agents__kind": "claude", "agents__limit_usd": 1.0}
    paths = a_run(tmp_path, limits__trials=5, **alone, **agents, **SHORT, **ISLANDS)
    with ended(paths, operators={}, staff=lambda _: HouseStaff(Author())) as store:
        born = [c for c in store.commissions() if c.state is CommissionState.BORN]
        made = {store.variant(c.variant).island: c.id % 3 for c in born}
        assert len(made) == 3
        assert all(island == number for island, number in made.items())


# --- plateaus ------------------------------------------------------------------------------------


def test_a_search_that_gains_nothing_is_told_flat_once(tmp_path):
    class Idle(Steps):
        """Turns a knob that does nothing."""

        def propose(self, context):
            text = set_knobs(
                context.parents[0].genome.main, {"EMBED_STD": 1 + float(context.rng.random())}
            )
            parent = context.parents[0]
            genome = parent.genome.with_main(text)
            return Proposal(genome, (parent.variant.sha,), Origin.MUTATION, self.name, "idle")

    paths = a_run(tmp_path, limits__trials=6, plateau__window=3, plateau__gain=3.0, **SHORT)
    with ended(paths, operators={"knob": Idle()}) as store:
        episode = last_episode(store)
        status = run_status(store, NOW)
        assert episode is not None
        assert episode.ended_at is None
        assert status.plateau == episode
        assert status.as_dict()["plateau"]["began_at"] == episode.began_at
        assert "flat since" in dict(status_lines(status))["progress"].plain
    assert [event.kind for event in told(paths, BEGAN, ENDED)] == [BEGAN]


def test_a_gain_ends_the_plateau(tmp_path):
    class Late(Steps):
        """Does nothing for a while; then what helps."""

        def propose(self, context):
            late = len(context.seen) > 6
            parent = context.parents[0]
            change = {"ROPE_BASE": 20_000.0 + len(context.seen)} if late else {}
            text = set_knobs(
                parent.genome.main, {"EMBED_STD": 1 + float(context.rng.random()), **change}
            )
            genome = parent.genome.with_main(text)
            return Proposal(genome, (parent.variant.sha,), Origin.MUTATION, self.name, "late")

    paths = a_run(tmp_path, limits__trials=9, plateau__window=3, plateau__gain=3.0, **SHORT)
    with ended(paths, operators={"knob": Late()}) as store:
        assert last_episode(store).ended_at is not None
        assert "progress" not in dict(status_lines(run_status(store, NOW)))
    assert [event.kind for event in told(paths, BEGAN, ENDED)][:2] == [BEGAN, ENDED]


@pytest.mark.parametrize(
    ("count", "workers", "is_flat", "expected"),
    [(0, 16, True, 4), (0, 16, False, 1), (0, 15, True, 1), (1, 64, True, 1), (3, 1, False, 3)],
)
def test_automatic_islands_are_for_flat_searches_of_many_workers(
    ring_run, count, workers, is_flat, expected
):
    with Store.open(ring_run.database, read_only=True) as store:
        archipelago = Archipelago(
            store,
            IslandSettings(count=count),
            worker_count=workers,
            is_flat=lambda: is_flat,
        )
        assert archipelago.count == expected
        assert (archipelago.ring() is None) == (expected == 1)


def test_tournaments_are_smaller_while_the_search_answers_to_being_flat(taken_up):
    with an_engine(taken_up) as (engine, _, _):
        breeder, field = engine._breeder, engine._breeder.field(engine._known())
        rng = engine._rng

        def share_of_the_best():
            draws = [breeder.draw_parents(1, field, rng)[0] for _ in range(300)]
            return draws.count(field.survivors[0][0]) / 300

        usual = share_of_the_best()
        breeder.is_flat = lambda: True
        assert share_of_the_best() < usual - 0.15
