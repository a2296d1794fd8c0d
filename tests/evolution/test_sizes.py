"""Sizes that a genome does not take are said, by name."""

from evolution.profiles import load_profile
from evolution.sizes import sizes_notice, unreached_sizes
from evolution.templates import template_path
from population import set_knobs

SHIPPED = template_path("train.py").read_text(encoding="utf-8")
GPU = load_profile("gpu", {"DEPTH": 4})


def test_a_genome_that_has_the_sizes_is_no_news():
    sized = set_knobs(SHIPPED, GPU.knobs)
    assert unreached_sizes(sized, GPU.knobs) == {}
    assert sizes_notice("train.py", sized, GPU.knobs, profile="gpu") is None


def test_a_genome_that_keeps_its_own_sizes_is_told_with_both():
    edited = set_knobs(SHIPPED, {**GPU.knobs, "DEPTH": 3})
    assert unreached_sizes(edited, GPU.knobs) == {"DEPTH": 3}
    said = sizes_notice("mine/train.py", edited, GPU.knobs, profile="gpu")
    assert "mine/train.py was edited and keeps its own sizes: DEPTH = 3 (not 4)" in said


def test_knobs_that_the_genome_does_not_have_are_not_asked_of_it():
    assert unreached_sizes("DEPTH = 4\n", {"DEPTH": 4, "NOPE": 1}) == {}
