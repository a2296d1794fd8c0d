"""What an author did before, elsewhere in the run, is known again when it is committed."""

import json

from evolution.engine import Ending
from population import Lineage
from tests.evolution.cli.conftest import evolve  # noqa: F401 - a fixture
from tests.evolution.runs import a_run, an_engine


def test_the_same_edit_of_two_lineages_is_one(tmp_path, evolve):  # noqa: F811
    paths = a_run(tmp_path, limits__trials=24)
    with an_engine(paths) as (engine, space, _):
        assert engine.run() is Ending.FINISHED
        variants = {v.sha: v for v in space.store.variants()}
    again = [v for v in variants.values() if v.repeats]
    assert again
    lineage = Lineage(list(variants.values()))
    for variant in again:
        (before,) = variant.repeats
        assert variants[before].hypothesis == variant.hypothesis
        assert before not in lineage.edits(variant.parents[0])
        assert before in lineage.edits(variant.sha)
        assert variant.is_repeat
    made_by_author = [v for v in variants.values() if v.parents and not v.is_repeat]
    assert all(len(v.hunks) == 1 for v in made_by_author)
    words = ["show", again[0].name, "--runs", paths.root.parent]
    assert json.loads(evolve(*words, "--json").out)["repeated_names"] == [
        variants[again[0].repeats[0]].name
    ]
    assert "makes again those of" in evolve(*words).out
