"""Confirmation: champion against baseline on fresh seeds, in pairs, at home and deeper.

Decides which verdict runs are needed next and what they say, from the store alone, so that it
resumes anywhere. The statistics live in `racing`.
"""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from evolution.config import VerdictSettings
from evolution.noise import Posterior
from evolution.racing import judge_rung, nominate, should_continue
from population import (
    Budget,
    Calibration,
    Conditions,
    FailureClass,
    Purpose,
    RungVerdict,
    SealedGain,
    Store,
    Trial,
    TrialStatus,
    Verdict,
)

#: The store's fact that says which claim is being tried.
CLAIM = "claim"


@dataclass(frozen=True, slots=True)
class Claim:
    """A champion put forward: ``label`` names its verdict and its pairs."""

    label: str
    champion: str | None


class Confirmation:
    """Tries one claim at a time.

    Args:
        baseline: Commit that the champion is compared with.
        budget: Training budget of one verdict run.
        device_class: Where the runs take place.
    """

    def __init__(
        self,
        *,
        store: Store,
        settings: VerdictSettings,
        baseline: str,
        budget: Budget,
        device_class: str,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._settings = settings
        self._baseline = baseline
        self._budget = budget
        self._device_class = device_class
        self._clock = clock

    def claim(self) -> Claim | None:
        """The claim under trial; None before one was made."""
        fact = self._store.fact(CLAIM)
        if not isinstance(fact, dict):
            return None
        champion = fact["champion"]
        return Claim(str(fact["label"]), None if champion is None else str(champion))

    def put_forward(self, posterior: Posterior) -> Claim:
        """Nominate a champion; the claim is stored before any run of it.

        A banned line claims nothing. A claim that was made before its ban is tried to its end.
        """
        without = {self._baseline, *self._store.barred()}
        candidates = [v.sha for v in self._store.variants() if v.sha not in without]
        champion = nominate(posterior, candidates, self._baseline)
        label = f"v{len(self._store.verdicts()) + 1:03d}"
        self._store.set_fact(CLAIM, {"label": label, "champion": champion})
        return Claim(label, champion)

    def queue_next(self, claim: Claim, posterior: Posterior) -> list[Trial]:
        """Queue the pairs that the verdict still needs; none if all are there or under way."""
        if claim.champion is None:
            return []
        queued: list[Trial] = []
        for depth in self._settings.depths:
            pairs = self._pairs(claim, depth)
            queued += self._complete(pairs, claim.champion)
            missing = self._settings.pairs - len(pairs)
            if missing <= 0 and self._wants_more(claim, depth, posterior):
                missing = 1
            for number in range(len(pairs) + 1, len(pairs) + 1 + missing):
                queued += self._queue_pair(claim, claim.champion, depth, number)
        return queued

    def judge(self, claim: Claim, posterior: Posterior) -> Verdict:
        """The verdict as the finished pairs stand; stored, and the claim closed."""
        rungs = () if claim.champion is None else tuple(self._rungs(claim, posterior))
        verdict = Verdict(claim.label, claim.champion, self._baseline, rungs, self._clock())
        self._store.add_verdict(verdict)
        self._store.set_fact(CLAIM, None)
        return verdict

    def _rungs(self, claim: Claim, posterior: Posterior) -> list[RungVerdict]:
        return [self._rung(claim, depth, posterior) for depth in self._settings.depths]

    def _rung(self, claim: Claim, depth: float, posterior: Posterior) -> RungVerdict:
        pairs = [
            (_scores(pair.get(self._baseline)), _scores(pair.get(claim.champion)))
            for pair in self._pairs(claim, depth).values()
            if not any(_failed_by_our_fault(trial) for trial in pair.values())
        ]
        judge = functools.partial(
            judge_rung,
            depth,
            pooled_variance=posterior.sigma**2,
            pooled_df=posterior.sigma_df,
            min_pairs=self._settings.pairs,
            # Only home gets further pairs for its looks; a deeper rung is looked at once.
            max_pairs=self._settings.max_pairs if depth == 1.0 else self._settings.pairs,
        )
        rung = judge([(one[0], other[0]) for one, other in pairs])
        sealed = judge([(one[1], other[1]) for one, other in pairs])
        if sealed.gain is None or sealed.low is None or sealed.high is None:
            return rung
        gain = SealedGain(sealed.gain, sealed.low, sealed.high, sealed.pair_count)
        return replace(rung, sealed=gain)

    def _wants_more(self, claim: Claim, depth: float, posterior: Posterior) -> bool:
        if depth != 1.0:  # the deeper rungs inform; home decides
            return False
        pairs = self._pairs(claim, depth)
        if any(not t.status.is_final for pair in pairs.values() for t in pair.values()):
            return False
        rung = self._rung(claim, depth, posterior)
        return should_continue(
            rung,
            pair_count=len(pairs),
            max_pairs=self._settings.max_pairs,
            min_pairs=self._settings.pairs,
        )

    def _pairs(self, claim: Claim, depth: float) -> dict[str, dict[str | None, Trial]]:
        """Trials of one rung: pair label → variant → trial."""
        pairs: dict[str, dict[str | None, Trial]] = {}
        for trial in self._store.trials(purpose=Purpose.VERDICT):
            if trial.pair and trial.pair.startswith(f"{claim.label}:{depth:g}:"):
                pairs.setdefault(trial.pair, {})[trial.variant] = trial
        return pairs

    def _complete(self, pairs: dict[str, dict[str | None, Trial]], champion: str) -> list[Trial]:
        """Queue the other half of a pair whose queueing was cut off."""
        queued = []
        for label, pair in pairs.items():
            for sha in {self._baseline, champion} - set(pair):
                half = next(iter(pair.values()))
                queued.append(self._queue(sha, half.conditions, label))
        return queued

    def _queue_pair(self, claim: Claim, champion: str, depth: float, number: int) -> list[Trial]:
        """Both runs of a pair under one seed."""
        label = f"{claim.label}:{depth:g}:{number}"
        conditions = Conditions(
            budget=self._budget,
            rng_seed=trial_seed(self._store.run().rng_seed, label),
            depth_scale=depth,
            device_class=self._device_class,
        )
        return [self._queue(sha, conditions, label) for sha in (self._baseline, champion)]

    def _queue(self, sha: str, conditions: Conditions, label: str) -> Trial:
        return self._store.queue_trial(
            sha, purpose=Purpose.VERDICT, conditions=conditions, pair=label, at=self._clock()
        )


def fresh_calibrations(store: Store, trial: Trial) -> tuple[Calibration, ...]:
    """Earlier calibrations of this verdict's or publication's runs at this depth.

    Those made before the nomination are left out: a champion is picked partly for the luck of
    its calibration, whose error seeds do not average out.
    """
    label = (trial.pair or "").rsplit(":", 1)[0]
    return tuple(
        other.outcome.calibration
        for other in store.trials(purpose=trial.purpose, variant=trial.variant)
        if (other.pair or "").rsplit(":", 1)[0] == label
        and other.outcome is not None
        and other.outcome.calibration is not None
        and not other.outcome.is_suspect
    )


def trial_seed(run_seed: int, label: str) -> int:
    """The seed of a trial: a function of the run's seed and the trial's own label.

    Not drawn from the run's generator: an engine killed between queueing a trial and keeping the
    generator's state would give the next trial the same seed again.
    """
    digest = hashlib.sha256(f"{run_seed} {label}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def _failed_by_our_fault(trial: Trial) -> bool:
    failure = trial.outcome.failure if trial.outcome is not None else None
    return failure is not None and failure.kind is FailureClass.HARNESS


def _scores(trial: Trial | None) -> tuple[float | None, float | None]:
    """Of a complete trial: on the validation split, and on the sealed one."""
    if trial is None or trial.status is not TrialStatus.COMPLETE or trial.outcome is None:
        return None, None
    return trial.outcome.val_bpb, trial.outcome.test_bpb
