"""How well do edits of the baseline go together? Every pair of seeds and discoveries, merged.

Pure: git's three-way merge of the texts, once by itself and once with the knobs merged by name
first, as the crossover operator does it. Whether a merge is any good is not asked here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from agents.crossover import merged_knobs
from evolution.seeds import read_idea
from evolution.templates import seed_paths
from population import Genome, contract_problems, merge_files, set_knobs


@dataclass(frozen=True, slots=True)
class MergeShare:
    """How many pairs merge.

    Attributes:
        pair_count: All pairs.
        by_git: Pairs without a conflict in git's merge of the texts.
        by_name: The same, once the knobs are merged by name.
        conflicts: The pairs that neither merges.
    """

    pair_count: int
    by_git: int
    by_name: int
    conflicts: tuple[tuple[str, str], ...]


def edits_of_baseline(baseline: str) -> dict[str, str]:
    """Every seed and every discovery as a genome one edit away from the baseline, by name."""
    from benchmarks.catalogue import DISCOVERIES

    edits = {path.stem: read_idea(path.read_text("utf-8")).text for path in seed_paths()}
    for each in DISCOVERIES:
        text = each.strip(baseline) if each.in_baseline else each.apply(baseline)
        edits[f"without {each.name}" if each.in_baseline else each.name] = text
    return edits


def merge_share(baseline: str, edits: Mapping[str, str]) -> MergeShare:
    """Merge every pair that is not one and the same text."""
    base = Genome.single(baseline)
    pairs = [pair for pair in combinations(edits, 2) if edits[pair[0]] != edits[pair[1]]]
    by_git, conflicts = 0, []
    for one, other in pairs:
        ours, theirs = Genome.single(edits[one]), Genome.single(edits[other])
        by_git += _merges(base, ours, theirs)
        values = merged_knobs(base, ours, theirs, is_mixing=False).values
        united = (Genome.single(set_knobs(each.main, values)) for each in (base, ours, theirs))
        if not _merges(*united):
            conflicts.append((one, other))
    return MergeShare(len(pairs), by_git, len(pairs) - len(conflicts), tuple(conflicts))


def _merges(base: Genome, ours: Genome, theirs: Genome) -> bool:
    merged = merge_files(base, ours, theirs).genome
    return merged is not None and not contract_problems(merged)
