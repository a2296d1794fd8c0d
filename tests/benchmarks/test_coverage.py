"""Places of the truth in beliefs, and edits of a world that are taken out again."""

import pytest

from benchmarks.courses import Course
from benchmarks.coverage import covered, without
from benchmarks.search import report_places
from benchmarks.world_search import evolved
from benchmarks.worlds import WORLDS, Landscape, values_of

WHOLE = 345.0


def test_an_edit_is_taken_out_of_a_later_genome():
    world = Landscape(WORLDS["clashing"], 0)
    values = values_of(world.start)
    before, after = world.text({3: 1}, values), world.text({3: 1, 7: 2}, values)
    later = world.text({3: 1, 7: 2, 100: 4}, {**values, "SOFTCAP": 9.0})
    assert without(world, later, before, after) == world.text(
        {3: 1, 100: 4}, {**values, "SOFTCAP": 9.0}
    )
    assert without(world, world.text({3: 1, 7: 1}, values), before, after) is None


def test_what_an_edit_changed_is_put_back_to_what_it_was():
    world = Landscape(WORLDS["plain"], 0)
    values = values_of(world.start)
    turned, twice = {**values, "SOFTCAP": 9.0}, {**values, "SOFTCAP": 8.0}
    of_knob = (world.text({}, values), world.text({}, turned))
    assert without(world, world.text({5: 1}, turned), *of_knob) == world.text({5: 1}, values)
    assert without(world, world.text({5: 1}, twice), *of_knob) is None
    of_part = (world.text({5: 2}, values), world.text({5: 1}, values))
    assert without(world, world.text({5: 1}, turned), *of_part) == world.text({5: 2}, turned)


def test_the_middle_of_places_is_counted():
    assert covered([0.01, 0.03, 0.5, 0.97, 0.98]) == (3, 5)
    assert covered([0.2, 0.3, 0.7], level=0.5) == (2, 3)


def test_a_search_tells_where_the_truth_lies_in_what_it_believes():
    course = evolved(Landscape(WORLDS["rich"], 1), 1, workers=2, device_seconds=40 * WHOLE)
    of_fitness, of_edits = course.places["fitness"], course.places["edit"]
    of_effects = course.places["edit, champion"]
    assert all(0 <= place <= 1 for place in [*of_fitness, *of_edits, *of_effects])
    assert len(of_fitness) > 30
    assert 1 <= len(of_effects) < len(of_edits) < len(of_fitness)
    # Nothing is claimed of one short search but that its beliefs are of the right size.
    assert covered(of_fitness)[0] > 0.7 * len(of_fitness)
    assert covered(of_edits)[0] > 0.7 * len(of_edits)


def test_intervals_are_counted_by_world():
    courses = [Course("evoresearch", "plain", number, 0, 1) for number in range(2)]
    courses[0].places = {"fitness": [0.5] * 9 + [0.001], "edit": [0.4]}
    courses[1].places = {"fitness": [0.5] * 10, "edit": []}
    rows = {row[0]: row[1:] for row in report_places(courses).rows}
    assert rows["fitness"][:4] == ("plain", "2", "20", "95.0%")
    assert rows["edit"] == ("plain", "1", "1", "100.0%", "")


@pytest.mark.parametrize("world", ["knobs", "rugged"])
def test_the_whole_genome_less_nothing_is_itself(world):
    landscape = Landscape(WORLDS[world], 2)
    assert without(landscape, landscape.start, landscape.start, landscape.start) == landscape.start
