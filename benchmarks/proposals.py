"""How many of the built-in operators' proposals train without a crash?

Proposals are drawn as the engine draws them, knobs and structure by their default weights, on the
baseline, on the shipped seeds and on lineages that grow: children that trained are parents of
others, up to six generations. Each is trained for a few steps for real, evaluated, and, if it was
scored, built once more at 1.5 times its depth. Sizes are those of the ``tiny`` profile with two
layers and two heads, so that windows, heads and layers are there to be edited.

    python -m benchmarks.proposals --proposals 1000 --steps 5 --json proposals.json
"""

import argparse
import gc
import json
import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from numpy.random import Generator, default_rng
from rich.console import Console
from rich.progress import Progress

from agents import Context, KnobEdit, Operator, Parent, Refusal, StructureEdit
from agents.structure import EDITS
from benchmarks.agents import Figures, share
from benchmarks.trainings import Order, Training, prepared, train_all
from evolution.config import OperatorSettings
from evolution.seeds import at_sizes, read_idea
from evolution.templates import seed_paths, template_path
from population import Genome, Origin, Variant, canonical_hash, set_knobs

SIZES = {"DEPTH": 2, "WIDTH": 64, "HEAD_DIM": 32, "GATE_CHANNELS": 16}
OLDEST = 6
BATCH = 40
#: Of the parents, those that are the baseline, those that are seeds; the rest are earlier children.
BASELINE_SHARE, SEED_SHARE = 0.25, 0.25


@dataclass(frozen=True, slots=True)
class Line:
    """A genome that may have children: where it comes from, and its generation there."""

    genome: Genome
    source: str
    generation: int


@dataclass(frozen=True, slots=True)
class Made:
    """A proposal, and how its training ended."""

    line: Line
    operator: str
    edit: str
    kind: str
    hypothesis: str
    training: Training | None = None


def first_lines() -> list[Line]:
    """The baseline and the shipped seeds at the benchmark's sizes."""
    start = template_path("train.py").read_text(encoding="utf-8")
    lines = [Line(Genome.single(set_knobs(start, SIZES)), "baseline", 0)]
    for path in seed_paths():
        text = read_idea(path.read_text(encoding="utf-8")).text
        lines.append(Line(Genome.single(at_sizes(text, start, SIZES)), path.stem, 0))
    return lines


class Draws:
    """Draws proposals; what trained comes back as a parent."""

    def __init__(self, rng: Generator) -> None:
        self.baseline, *self.seeds = first_lines()
        self.children: list[Line] = []
        self.refusals: Counter[str] = Counter()
        self._seen = {canonical_hash(line.genome) for line in (self.baseline, *self.seeds)}
        self._rng = rng
        weights = OperatorSettings()
        self._operators: list[tuple[Operator, float]] = [
            (KnobEdit(), weights.knob),
            (StructureEdit(), weights.structure),
        ]
        self._kinds = {edit.name: edit.kind.value for edit in EDITS}

    def draw(self) -> Made | None:
        """One proposal; None if the operator had none."""
        line = self._parent()
        total = sum(weight for _, weight in self._operators)
        is_first = self._rng.random() < self._operators[0][1] / total
        operator = self._operators[0 if is_first else 1][0]
        proposal = operator.propose(self._context(line.genome))
        if isinstance(proposal, Refusal):
            self.refusals[f"{operator.name}: {proposal.reason}"] += 1
            return None
        self._seen.add(canonical_hash(proposal.genome))
        edit = proposal.trailers.get("Edit", "")
        return Made(
            Line(proposal.genome, line.source, line.generation + 1),
            operator.name,
            edit or operator.name,
            self._kinds.get(edit, operator.name),
            proposal.hypothesis,
        )

    def _parent(self) -> Line:
        chance = self._rng.random()
        if chance < BASELINE_SHARE or (not self.children and chance >= 0.5):
            return self.baseline
        if chance < BASELINE_SHARE + SEED_SHARE:
            return self.seeds[int(self._rng.integers(len(self.seeds)))]
        return self.children[int(self._rng.integers(len(self.children)))]

    def _context(self, genome: Genome) -> Context:
        variant = Variant(
            sha="0" * 40,
            name="parent",
            generation=0,
            parents=(),
            origin=Origin.BASELINE,
            operator="baseline",
            hypothesis="",
            genome_hash=canonical_hash(genome),
            created_at=0.0,
        )
        return Context(
            parents=[Parent(variant, genome)],
            baseline=self.baseline.genome,
            seen=frozenset(self._seen),
            rng=self._rng,
        )


def measure(options: argparse.Namespace, folder: Path, data: Path) -> tuple[list[Made], Draws]:
    """Draw and train, a batch at a time: so that the draws do not depend on who ends first."""
    draws = Draws(default_rng(options.rng_seed))
    made: list[Made] = []
    until = time.monotonic() + 60 * options.minutes
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("training", total=options.proposals)
        while len(made) < options.proposals and time.monotonic() < until:
            count = min(BATCH, options.proposals - len(made))
            drawn = [draws.draw() for _ in range(count)]
            batch = [each for each in drawn if each is not None]
            gc.freeze()  # what is here now need not be looked at in every child
            ended = train_all(
                [Order(each.line.genome.main, asks_deeper=True) for each in batch],
                data=data,
                tokens=options.steps * 16 * 64,
                folder=folder,
                workers=options.workers,
                limit=options.limit,
            )
            trained = {}
            for index, training in ended:
                trained[index] = replace(batch[index], training=training)
                bar.advance(task)
            made += [trained[index] for index in sorted(trained)]
            scored = [m for m in made[-len(batch) :] if m.training and m.training.stage == "scored"]
            draws.children += [m.line for m in scored if m.line.generation < OLDEST]
    return made, draws


# --- the tables ----------------------------------------------------------------------------------


def valid(made: Sequence[Made]) -> Figures:
    """How many of these were scored, with Wilson's interval."""
    scored = sum(m.training is not None and m.training.stage == "scored" for m in made)
    return share(scored, len(made))


def grouped(made: Sequence[Made], attribute: str) -> dict[str, Figures]:
    """The same for each value of an attribute of the proposals, worst first."""
    values = {str(_value(m, attribute)) for m in made}
    shares = {v: valid([m for m in made if str(_value(m, attribute)) == v]) for v in sorted(values)}
    return dict(sorted(shares.items(), key=lambda item: item[1]["share"]))


def _value(made: Made, attribute: str) -> object:
    return getattr(made.line if attribute in ("source", "generation") else made, attribute)


def figures(made: Sequence[Made], draws: Draws) -> dict[str, object]:
    """All that the benchmark says."""
    trainings = [m.training for m in made if m.training is not None]
    stages = Counter(t.stage for t in trainings)
    deeper = [t.is_deeper for t in trainings if t.is_deeper is not None]
    refused = draws.refusals.total()
    return {
        "all": valid(made),
        "by_kind": grouped(made, "kind"),
        "by_edit": grouped(made, "edit"),
        "by_source": grouped(made, "source"),
        "by_generation": grouped(made, "generation"),
        "stages": dict(stages),
        "asked": len(made) + refused,
        "refused": refused,
        "refusals": dict(draws.refusals),
        "deeper": share(sum(deeper), len(deeper)),
        "cpu_seconds": sum(t.cpu_seconds for t in trainings),
        "edits": len(EDITS),
        "failures": [
            {
                "edit": m.edit,
                "what": m.hypothesis,
                "source": m.line.source,
                "generation": m.line.generation,
                **asdict(m.training),
            }
            for m in made
            if m.training is not None and (m.training.stage != "scored" or m.training.reason)
        ],
    }


def show(found: dict[str, object]) -> None:
    """The tables, for people."""
    for title in ("all", "by_kind", "by_edit", "by_source", "by_generation"):
        rows = found[title]
        assert isinstance(rows, dict)
        print(f"\n{title.replace('_', ' ')}")
        for name, row in ({"proposals": rows} if title == "all" else rows).items():
            print(
                f"  {name:22} {row['count']:4} of {row['of']:4}  {row['share']:6.1%}  "
                f"[{row['low']:.1%}, {row['high']:.1%}]"
            )
    deeper = found["deeper"]
    assert isinstance(deeper, dict)
    print(f"\nended: {found['stages']}; {found['cpu_seconds']:.0f} CPU-seconds")
    print(f"refused before training: {found['refused']} of {found['asked']} asked")
    print(
        f"built at depth × 1.5: {deeper['count']} of {deeper['of']} "
        f"[{deeper['low']:.1%}, {deeper['high']:.1%}]"
    )
    failures = found["failures"]
    assert isinstance(failures, list)
    for failure in failures:
        print(f"  {failure['stage']:9} {failure['edit']}: {failure['what'][:70]}")
        print(f"            {failure['reason'][:140]}")


def main() -> None:
    """Measure and print; figures go to ``--json``."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--proposals", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=5, help="of 1,024 tokens")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--limit", type=float, default=60.0, help="wall seconds of one training")
    parser.add_argument("--minutes", type=float, default=math.inf, help="no new batch after these")
    parser.add_argument("--rng-seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where the figures go")
    options = parser.parse_args()
    options.json = options.json and options.json.absolute()
    with prepared("tiny") as (data, folder):
        made, draws = measure(options, folder, data)
    found = figures(made, draws)
    show(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
