"""Seeded worlds with known truth: a lineage, what each variant is worth, and noisy readings."""

from dataclasses import dataclass, field

import numpy as np

from evolution.noise import Reading, VariantNode

BASELINE = "b"
SIGMA = 0.003
OFFSET = 0.1
FRACTION = 0.25


@dataclass
class World:
    """Grows by `mutate` and `merge`; `run` takes readings."""

    rng: np.random.Generator
    sigma: float = SIGMA
    effect: float = 0.010
    mean_effect: float = 0.008
    curve: float = 0.004
    disaster_share: float = 0.05
    nodes: list[VariantNode] = field(default_factory=lambda: [VariantNode(BASELINE)])
    readings: list[Reading] = field(default_factory=list)
    effects: dict[str, tuple[float, float]] = field(default_factory=dict)
    edits: dict[str, frozenset[str]] = field(default_factory=lambda: {BASELINE: frozenset()})

    def truth(self, sha):
        return 1.55 + sum(self.effects[edit][0] for edit in self.edits[sha])

    def mutate(self, parent, *, effect=None):
        sha = f"v{len(self.nodes):04d}"
        heavy = self.rng.standard_t(3, size=2)
        drawn = self.mean_effect + 0.6 * self.effect * heavy[0]
        curve = 0.6 * self.curve * heavy[1]
        if self.rng.random() < self.disaster_share:
            drawn, curve = 0.3, 0.1
        self.effects[sha] = (drawn if effect is None else effect, curve)
        self.edits[sha] = self.edits[parent] | {sha}
        self.nodes.append(VariantNode(sha, (parent,), "knob" if heavy[0] > 0 else "structure"))
        return sha

    def merge(self, one, other):
        sha = f"v{len(self.nodes):04d}"
        self.effects[sha] = (0.5 * self.sigma * self.rng.normal(), 0.0)
        self.edits[sha] = self.edits[one] | self.edits[other] | {sha}
        self.nodes.append(VariantNode(sha, (one, other), "merge"))
        return sha

    def run(self, sha, *, full=True, snapshot=True):
        trial, seed = 1 + len(self.readings), self.rng.normal() * self.sigma
        if snapshot:
            curve = sum(self.effects[edit][1] for edit in self.edits[sha])
            reading = self.truth(sha) + OFFSET + curve + 0.5 * seed
            reading += self.rng.normal() * self.sigma
            self.readings.append(Reading(sha, reading, trial, FRACTION))
        if full:
            self.readings.append(Reading(sha, self.truth(sha) + seed, trial))
        return trial


def grown(seed, *, size=30, **settings):
    """A world after a search of ``size`` offspring: parents are the better readings."""
    world = World(np.random.default_rng(seed), **settings)
    for _ in range(4):
        world.run(BASELINE)
    read = {BASELINE: 1.55}
    for _ in range(size):
        best = sorted(read, key=read.__getitem__)[:6]
        parent, mate = (best[min(world.rng.integers(len(best), size=2))] for _ in range(2))
        unlike = world.edits[parent] - world.edits[mate] and world.edits[mate] - world.edits[parent]
        sha = world.merge(parent, mate) if unlike else world.mutate(parent)
        full = bool(world.rng.random() < 0.7)
        world.run(sha, full=full)
        if full:
            read[sha] = world.readings[-1].bpb
    return world
