"""What real trainings of single edits and their merges gave, and what a run would believe of it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from evolution.belief import BPB_SIGMA
from evolution.noise import Posterior, Reading, VariantNode, fit

SNAPSHOT_AT = 0.25
#: The first seed that had no part in choosing what is merged.
FRESH = 1001


@dataclass(frozen=True, slots=True)
class Trained:
    """One genome's trainings.

    Attributes:
        sha: Names it.
        source: ``baseline``, ``seed``, ``catalogue``, ``knob``, ``structure``, or ``guided``.
        what: In words.
        adds: Of a merge, the edits in it.
        finals: Scores by seed, in bits per byte.
        snapshots: At a quarter of the tokens, on the small slice, by seed.
        predicted: Of a merge, effect that was expected before it trained, and its error.
    """

    sha: str
    source: str
    what: str
    adds: tuple[str, ...] = ()
    finals: Mapping[int, float] = field(default_factory=dict)
    snapshots: Mapping[int, float] = field(default_factory=dict)
    predicted: tuple[float, float] | None = None

    def on(self, seeds: Iterable[int]) -> "Trained":
        """The same with these seeds alone."""
        chosen = set(seeds)
        return replace(
            self,
            finals={seed: bpb for seed, bpb in self.finals.items() if seed in chosen},
            snapshots={seed: bpb for seed, bpb in self.snapshots.items() if seed in chosen},
        )


@dataclass(frozen=True, slots=True)
class Readings:
    """All that was trained.

    Attributes:
        profile: Of sizes and text.
        tokens: Of each training.
        baseline: The baseline.
        edits: Single edits, no-ops left out.
        merges: Of those that seemed to help.
        counts: What was left out on the way.
    """

    profile: str
    tokens: int
    baseline: Trained
    edits: tuple[Trained, ...]
    merges: tuple[Trained, ...]
    counts: Mapping[str, int]

    def write(self, path: Path) -> None:
        """As JSON, one genome a line."""
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = asdict(self)
        lines = [f' "{name}": {json.dumps(whole[name])}' for name in ("profile", "tokens")]
        lines.append(f' "counts": {json.dumps(whole["counts"])}')
        lines.append(f' "baseline": {json.dumps(whole["baseline"])}')
        for name in ("edits", "merges"):
            rows = ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in whole[name])
            lines.append(f' "{name}": [\n{rows}\n ]')
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Readings":
        """What ``write`` wrote."""
        whole = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            profile=whole["profile"],
            tokens=whole["tokens"],
            baseline=_read_trained(whole["baseline"]),
            edits=tuple(_read_trained(row) for row in whole["edits"]),
            merges=tuple(_read_trained(row) for row in whole["merges"]),
            counts=whole["counts"],
        )

    def chosen_by(self) -> "Readings":
        """What was known when the merges were chosen."""
        seeds = [seed for seed in self.edits[0].finals if seed < FRESH]
        return replace(
            self,
            baseline=self.baseline.on(seeds),
            edits=tuple(edit.on(seeds) for edit in self.edits),
            merges=(),
        )


def _read_trained(row: Mapping[str, object]) -> Trained:
    found = dict(row)
    for name in ("finals", "snapshots"):
        found[name] = {int(seed): bpb for seed, bpb in dict(found[name]).items()}  # type: ignore[call-overload]
    found["adds"] = tuple(found["adds"])  # type: ignore[arg-type]
    found["predicted"] = tuple(found["predicted"]) if found["predicted"] else None  # type: ignore[arg-type]
    return Trained(**found)  # type: ignore[arg-type]


def posterior(readings: Readings) -> Posterior:
    """What a run would believe of all this: its own model, with nothing told of pairs."""
    rows = [readings.baseline, *readings.edits, *readings.merges]
    parent = readings.baseline.sha
    nodes = [VariantNode(parent, (), "baseline")]
    nodes += [VariantNode(row.sha, (parent,), row.source, row.adds) for row in rows[1:]]
    read: list[Reading] = []
    trial = 0
    for row in rows:
        for seed, bpb in row.finals.items():
            trial += 1
            read.append(Reading(row.sha, bpb, trial))
            if seed in row.snapshots:
                read.append(Reading(row.sha, row.snapshots[seed], trial, SNAPSHOT_AT))
    return fit(nodes, read, fraction=SNAPSHOT_AT, prior_sigma=BPB_SIGMA)
