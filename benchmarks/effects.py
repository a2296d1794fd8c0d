"""What a change of a genome is worth: paired trainings at fixed work, and the price of a step.

Variant and baseline train with the same seeds for the same number of tokens: the difference is the
effect at equal tokens. Their steps alternate on one core: the ratio of the means of the fastest
quartiles is the price. Divided by it, the tokens are what the baseline's work buys the variant, and
a training for exactly these gives the effect at equal work, which is what a search sees. Load on
the machine changes none of the three. Each figure is kept by the genome's hash in a file, so that a
measurement that was interrupted goes on.
"""

import hashlib
import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from scipy.stats import t as student

from benchmarks.trainers import Run, Trainers
from evolution.calibration import granted_tokens
from evolution.templates import template_path
from population import Genome, canonical_hash, knobs

#: Times a price is taken, each in two fresh processes: what differs between two of them differs by
#: some percent from the next two, and more steps of the same do not tell.
PRICINGS, PRICE_PAIRS = 4, 12
#: Share of the work that the baseline does once more with, to see what work is worth.
LESS = 0.8


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with half the width of its 95 % t-interval; in bits per byte, below 0 helps."""

    mean: float
    half_width: float

    @classmethod
    def of(cls, differences: Sequence[float]) -> "Interval":
        """From paired differences, at least two."""
        count = len(differences)
        sd = statistics.stdev(differences)
        width = float(student.ppf(0.975, count - 1)) * sd / math.sqrt(count)
        return cls(statistics.fmean(differences), width)

    def __neg__(self) -> "Interval":
        return Interval(-self.mean, self.half_width)

    def widened(self, half_width: float) -> "Interval":
        """With a further, independent source of error."""
        return Interval(self.mean, math.hypot(self.half_width, half_width))

    @property
    def text(self) -> str:
        """In thousandths of a bit per byte, as the tables show it."""
        return f"{1000 * self.mean:+.1f} ± {1000 * self.half_width:.1f}"


@dataclass(frozen=True, slots=True)
class Price:
    """Cost of a variant's token ÷ the baseline's; ``reach``: half the 95 % interval of its log."""

    ratio: float = 1.0
    reach: float = 0.0

    @classmethod
    def of(cls, ratios: Sequence[float]) -> "Price":
        """From independent pricings, at least two."""
        interval = Interval.of([math.log(ratio) for ratio in ratios])
        return cls(math.exp(interval.mean), interval.half_width)

    @property
    def is_told_from_one(self) -> bool:
        """False where the interval holds 1."""
        return abs(math.log(self.ratio)) > self.reach

    @property
    def text(self) -> str:
        """As the tables show it."""
        return f"{self.ratio:.2f} ± {self.ratio * self.reach:.2f}" if self.reach else "1"


@dataclass(frozen=True, slots=True)
class Effect:
    """What was measured of one variant against the baseline.

    Attributes:
        equal_tokens: Effect at the same number of tokens.
        price: Of the variant's token.
        equal_work: Effect where each gets the tokens that the same work buys; the error of the
            price is part of the interval.
        seed_count: Pairs behind each interval.
    """

    equal_tokens: Interval
    price: Price
    equal_work: Interval
    seed_count: int

    def reversed(self) -> "Effect":
        """The effect of the baseline against the variant."""
        price = Price(1 / self.price.ratio, self.price.reach)
        return Effect(-self.equal_tokens, price, -self.equal_work, self.seed_count)


class Notebook:
    """Figures by key, in a file; each is written as soon as it is known."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, object] = {}
        if path.exists():
            self._known = json.loads(path.read_text(encoding="utf-8"))

    def find(self, key: str) -> object | None:
        """What is known under a key; None for nothing."""
        return self._known.get(key)

    def keep(self, key: str, value: object) -> None:
        """Keep a figure; the file is replaced whole."""
        self._known[key] = value
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_name(self._path.name + ".part")
        part.write_text(json.dumps(self._known, indent=1), encoding="utf-8")
        part.replace(self._path)


class Measurement:
    """Pairs of one baseline with its variants, on one text, at one amount of work."""

    def __init__(
        self,
        trainers: Trainers | None,
        notebook: Notebook,
        baseline: str,
        *,
        data_hash: str,
        seq_len: int,
        steps: int,
        rng_seeds: Sequence[int],
        snapshot_at: float | None = None,
    ) -> None:
        """Hold what all pairs share.

        Args:
            trainers: None to use what is known, and to measure nothing.
            notebook: Where figures are kept.
            baseline: Text of the genome that variants are compared with.
            data_hash: Of the prepared text: figures of other texts do not count.
            seq_len: Tokens in a row.
            steps: Steps of the baseline that make up the work.
            rng_seeds: At least two.
            snapshot_at: Share of the work at which each training is scored on the way, too.
        """
        self._trainers, self._notebook, self._baseline = trainers, notebook, baseline
        ruler = template_path("prepare.py").read_bytes()
        self._conditions = hashlib.sha256(ruler + data_hash.encode()).hexdigest()[:12]
        self._seq_len, self._rng_seeds = seq_len, tuple(rng_seeds)
        self._snapshot_at = snapshot_at
        self.tokens = steps * self._step_tokens(baseline)

    def effect(self, text: str, *, is_same_work: bool = False) -> Effect | None:
        """The variant against the baseline; None if figures are missing and none are made.

        Args:
            text: The variant's.
            is_same_work: True where a step does the same arithmetic with other values.
        """
        references = self.scores(self._baseline, self.tokens)
        scores = self.scores(text, self.tokens)
        price = Price() if is_same_work else self._price(text)
        worth = 0.0 if is_same_work else self._worth_of_work()
        if references is None or scores is None or price is None or worth is None:
            return None
        granted = scores
        if price.is_told_from_one:
            size = self._step_tokens(text)
            bought = max(1, round(granted_tokens(self.tokens, price.ratio) / size)) * size
            again = self.scores(text, bought)
            if again is None:
                return None
            granted = again
        return Effect(
            equal_tokens=_paired(scores, references),
            price=price,
            equal_work=_paired(granted, references).widened(worth * price.reach),
            seed_count=len(self._rng_seeds),
        )

    def _step_tokens(self, text: str) -> int:
        found = knobs(text)
        return int(str(found["BATCH_SIZE"])) * int(str(found["GRAD_ACCUM"])) * self._seq_len

    def scores(self, text: str, tokens: int) -> list[float] | None:
        """Validation bits per byte by seed; None if figures are missing and none are made."""
        runs = self.runs(text, tokens)
        return None if runs is None else [run.val_bpb for run in runs]

    def runs(self, text: str, tokens: int) -> list[Run] | None:
        """One training for each seed; None if figures are missing and none are made."""
        found = []
        for rng_seed in self._rng_seeds:
            run = self.run(text, tokens, rng_seed)
            if run is None:
                return None
            found.append(run)
        return found

    def run(self, text: str, tokens: int, rng_seed: int) -> Run | None:
        """One training; None if it is not known and none is made.

        Raises:
            TrainerError: It ended without a score.
        """
        key = f"score {self._key(text)} {tokens} {rng_seed}"
        if self._snapshot_at is not None:
            key = f"{key} {self._snapshot_at:g}"
        known = self._notebook.find(key)
        if known is None:
            if self._trainers is None:
                return None
            run = self._trainers.train(
                text, tokens=tokens, rng_seed=rng_seed, snapshot_at=self._snapshot_at
            )
            known = asdict(run)
            self._notebook.keep(key, known)
        assert isinstance(known, dict)
        return Run(**known)

    def _worth_of_work(self) -> float | None:
        """What more work is worth to the baseline: bits per byte for a factor of e."""
        step = self._step_tokens(self._baseline)
        fewer = max(1, round(LESS * self.tokens / step)) * step
        if fewer == self.tokens:
            return 0.0
        less = self.scores(self._baseline, fewer)
        whole = self.scores(self._baseline, self.tokens)
        if less is None or whole is None:
            return None
        return max(0.0, _paired(less, whole).mean / math.log(self.tokens / fewer))

    def _price(self, text: str) -> Price | None:
        ratios = []
        for number in range(PRICINGS):
            key = f"price {self._key(text)} {self._key(self._baseline)} {number}"
            known = self._notebook.find(key)
            if known is None:
                if self._trainers is None:
                    return None
                price = self._trainers.price(text, self._baseline, pair_count=PRICE_PAIRS)
                known = price.cost_ratio
                self._notebook.keep(key, known)
            ratios.append(float(str(known)))
        return Price.of(ratios)

    def _key(self, text: str) -> str:
        return f"{canonical_hash(Genome.single(text))[:16]} {self._conditions}"


def _paired(scores: Sequence[float], references: Sequence[float]) -> Interval:
    return Interval.of([one - other for one, other in zip(scores, references, strict=True)])
