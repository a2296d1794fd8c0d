"""What does one decision cost late in a long run, and does it believe what all at once would say?

A lineage is made up as a search would make it: mutations, merges, stacks that take edits in and
out, replicates, trials that were stopped at their snapshot, that crashed, that went wrong by a
hundred σ. A posterior of most trials is told some further ones, each with its variant, as the
engine tells it: that, the means and sds of all fitnesses, P(better than the baseline) of all and
the means of all single edits are one decision. The same from all readings at once, at known scales,
is the batch. Times are CPU time.

    python -m benchmarks.posterior --variants 500 2000 5000 --told 20
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from evolution.noise import Posterior, Reading, Scales, VariantNode, fit

SIGMA, OFFSET, FRACTION = 0.003, 0.1, 0.25
OPERATORS = ("knob", "structure", "mutator", "explore")


@dataclass
class Search:
    """A made-up search.

    Attributes:
        rng: Draws all of it.
        disaster: Effect of one edit in 25, in bpb.
        trials: Readings, one list a trial that gave any.
    """

    rng: np.random.Generator
    disaster: float = 0.3
    nodes: list[VariantNode] = field(default_factory=lambda: [VariantNode("baseline")])
    trials: list[list[Reading]] = field(default_factory=list)
    edits: dict[str, set[str]] = field(default_factory=lambda: {"baseline": set()})
    effects: dict[str, tuple[float, float]] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    singles: list[str] = field(default_factory=list)
    started: int = 0

    def run(self, sha: str) -> None:
        """One trial: of 25 one crashes, of the others half are stopped at their snapshot."""
        self.started += 1
        rng, carried = self.rng, sorted(self.edits[sha])
        if rng.random() < 0.04:
            return
        level = 1.5 + sum(self.effects[edit][0] for edit in carried)
        curve = sum(self.effects[edit][1] for edit in carried)
        seed, own = SIGMA * rng.normal(size=2)
        snapshot = level + OFFSET + curve + 0.5 * seed + own
        readings = [Reading(sha, float(snapshot), self.started, FRACTION)]
        if sha == "baseline" or rng.random() < 0.5:
            readings.append(Reading(sha, float(level + seed), self.started))
            self.scores.setdefault(sha, float(level + seed))
        self.trials.append(readings)

    def breed(self) -> None:
        """One offspring of the better ones, run once or more."""
        rng, sha = self.rng, f"{len(self.nodes):040d}"
        best = sorted(self.scores, key=self.scores.__getitem__)[:16]
        parent, mate = best[int(min(rng.integers(len(best), size=2)))], best[-1]
        kind = rng.random()
        node = VariantNode(sha, (parent,), OPERATORS[int(rng.integers(len(OPERATORS)))])
        carried = set(self.edits[parent])
        if kind < 0.1 and mate != parent:
            node, carried = VariantNode(sha, (parent, mate), "merge"), carried | self.edits[mate]
        elif kind < 0.3 and len(self.singles) > 10:
            picks = [
                self.singles[int(i)] for i in rng.integers(-200, 0, size=3) % len(self.singles)
            ]
            adds = tuple(sorted({pick for pick in picks if pick not in carried}))
            drops = tuple(sorted(carried & set(self.singles))[-1:]) if kind < 0.15 else ()
            node = VariantNode(sha, (parent,), "guided", adds, drops)
            carried = (carried | set(adds)) - set(drops)
        effect, curve = 0.004 + 0.006 * rng.standard_t(3), 0.003 * rng.standard_t(3)
        if node.unites:
            effect = SIGMA * rng.normal()
        else:
            self.singles.append(sha)
        self.effects[sha] = (self.disaster if rng.random() < 0.04 else float(effect), float(curve))
        self.edits[sha] = carried | {sha}
        self.nodes.append(node)
        self.run(sha)
        if rng.random() < 0.1:
            self.run(sha)


def searched(count: int, seed: int = 0, *, disaster: float = 0.3) -> Search:
    """A search of so many variants."""
    search = Search(np.random.default_rng(seed), disaster)
    for _ in range(4):
        search.run("baseline")
    while len(search.nodes) < count:
        search.breed()
    return search


def decide(posterior: Posterior, search: Search, nodes: Sequence[VariantNode]) -> float:
    """All that selection asks; the best probability, so that nothing is left out as unused."""
    shas = [node.sha for node in nodes]
    posterior.fitnesses()
    posterior.edit_means([sha for sha in search.singles if sha in posterior])
    return max(posterior.p_better(sha, "baseline") for sha in shas if sha != "baseline")


def measured(count: int, told: int) -> str:
    """One line of the table."""
    search = searched(count)
    born = {node.sha: place for place, node in enumerate(search.nodes)}
    first, last = search.trials[:-told], search.trials[-told:]
    known = 1 + max(born[trial[0].variant] for trial in first)
    began = time.process_time()
    readings = [reading for trial in first for reading in trial]
    posterior = fit(search.nodes[:known], readings, fraction=FRACTION, scales=Scales())
    decide(posterior, search, search.nodes[:known])
    batch = time.process_time() - began
    times = []
    for trial in last:
        began = time.process_time()
        known = max(known, 1 + born[trial[0].variant])
        posterior = posterior.after(search.nodes[:known], trial)
        decide(posterior, search, search.nodes[:known])
        times.append(time.process_time() - began)
    once = posterior.at_once()
    off = max(abs(posterior.mean(n.sha) - once.mean(n.sha)) for n in search.nodes[:known])
    middle = statistics.median(times)
    return (
        f"{count:8d} {len(search.trials):7d} {1e3 * middle:12.1f} {1e3 * max(times):9.1f} "
        f"{batch:10.2f} {batch / middle:8.0f} {off:12.1e}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", type=int, nargs="+", default=[500, 2000])
    parser.add_argument("--told", type=int, default=20, help="trials that are told one by one")
    asked = parser.parse_args()
    print("variants  trials  decision ms   most ms    batch s    ratio  means apart")
    for count in asked.variants:
        print(measured(count, asked.told), flush=True)


if __name__ == "__main__":
    main()
