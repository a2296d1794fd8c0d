"""Errands: work for language models that makes no variant, and that nothing waits for.

Two kinds: trials that ended are distilled into lessons, and a verdict is put into words. Each is a
commission like others: stored before anything is asked, carried out in a thread that sees values
alone, paid from the purse, taken up again by a next sitting.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from agents import (
    CallFailure,
    Context,
    Critic,
    Distillation,
    Explanation,
    Librarian,
    Model,
    Refusal,
)
from evolution.agent_settings import AgentSettings
from evolution.breeding import Breeder, Field, Knowledge
from evolution.briefings import Briefings
from evolution.commissions import ERRANDS, Staff, Witness
from evolution.confirmation import trial_seed
from evolution.errand_notes import figures_of, trial_notes
from evolution.lessons import Lessons
from evolution.mishaps import Mishaps
from evolution.pool import Broken, Pool
from evolution.review import reading_of
from evolution.story import Story
from population import (
    Commission,
    CommissionState,
    Purpose,
    Store,
    StoreError,
    Trial,
    TrialStatus,
    Verdict,
    VerdictReading,
)

#: Trials that one distillation is shown, the newest; how many there is room for is another matter.
MOST_TRIALS = 60
#: What a sitting that has ended waits for errands that are still under way, in seconds.
CONCLUDING_SECONDS = 120.0
#: What an engine that was told to end now waits for replies, in seconds.
PATIENCE_SECONDS = 2.0

_LIBRARIAN, _CRITIC = ERRANDS
_TRIALS, _VERDICT = "trials ", "verdict "
_POLL_SECONDS = 0.2

Result = Distillation | Explanation | Refusal


@dataclass(frozen=True, slots=True)
class Brought:
    """What a thread hands back; ``failure`` is the class of the last call, if it failed."""

    result: Result
    failure: CallFailure | None = None


class Errands:
    """The errands of one sitting. The engine's thread alone calls it.

    Args:
        store: Of the run.
        breeder: Knows who there is.
        briefings: Gathers what models are told.
        lessons: Of the run.
        staff: Its models carry out; None in a run without a language model.
        settings: How often, and whether.
        story: Is told.
        mishaps: Takes in threads that broke.
        rng_seed: Of the run.
        clock: Seconds since the epoch.
    """

    def __init__(  # noqa: PLR0913 - what one sitting has, by name
        self,
        *,
        store: Store,
        breeder: Breeder,
        briefings: Briefings,
        lessons: Lessons,
        staff: Staff | None,
        settings: AgentSettings,
        story: Story,
        mishaps: Mishaps,
        rng_seed: int,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._breeder = breeder
        self._briefings = briefings
        self._lessons = lessons
        self._staff = staff
        self._settings = settings
        self._story = story
        self._mishaps = mishaps
        self._rng_seed = rng_seed
        self._clock = clock
        self._pool: Pool[Brought] = Pool(lasting=(StoreError,))
        self._under_way: dict[int, Commission] = {}
        self._fresh: set[int] = set()  # trials that no distillation was asked about

    @property
    def in_flight(self) -> int:
        """How many are being carried out."""
        return len(self._pool)

    def begin(self, known: Callable[[], Knowledge]) -> None:
        """Take up what an engine that died has left open, or had not asked for yet."""
        if self._staff is None:
            return
        asked = self._store.commissions()
        listed = {number for one in asked for number in _listed(one)}
        ended = self._store.trials(purpose=Purpose.SCREEN)
        self._fresh = {t.id for t in ended if t.status.is_final and t.id not in listed}
        for commission in asked:
            if commission.operator not in ERRANDS or commission.state is not CommissionState.OPEN:
                continue
            if self._is_wanted(commission.operator):
                self._start(commission, known())
            else:
                reason = f"{commission.operator} was turned off meanwhile"
                self._refuse(commission, Refusal(commission.operator, reason), None)
        last = self._store.verdicts()[-1:]
        if last and not any(one.intent == f"{_VERDICT}{last[0].label}" for one in asked):
            self.explain(last[0], known)

    def note(self, trial: Trial) -> None:
        """A trial has ended."""
        if self._staff is not None and trial.purpose is Purpose.SCREEN:
            self._fresh.add(trial.id)

    def attend(self, known: Callable[[], Knowledge], *, may_ask: bool = True) -> None:
        """Take in what was carried out; have trials distilled once there are enough new ones."""
        for number, brought in self._pool.finished():
            self._take(self._under_way.pop(number), brought, known())
        every = self._settings.lessons_every
        is_busy = any(one.operator == _LIBRARIAN for one in self._under_way.values())
        may_ask = may_ask and self._is_wanted(_LIBRARIAN)
        if may_ask and len(self._fresh) >= every and not is_busy:
            self._distil(known())

    def _is_wanted(self, operator: str) -> bool:
        """False for what the settings turn off, and for what broke too often."""
        is_on = self._settings.critic if operator == _CRITIC else self._settings.lessons_every > 0
        return is_on and not self._mishaps.rests(operator)

    def explain(self, verdict: Verdict, known: Callable[[], Knowledge]) -> None:
        """Have a verdict put into words, once; nothing without a champion."""
        if self._staff is None or not self._is_wanted(_CRITIC) or verdict.champion is None:
            return
        intent = f"{_VERDICT}{verdict.label}"
        self._start(self._opened(_CRITIC, intent, (verdict.champion,)), known())

    def conclude(
        self,
        known: Callable[[], Knowledge],
        must_stop: Callable[[], bool],
        *,
        patience_seconds: float = CONCLUDING_SECONDS,
    ) -> None:
        """Wait for what is under way, but not long; what is late stays open for a next sitting."""
        deadline = time.monotonic() + patience_seconds
        while self.in_flight and not must_stop() and time.monotonic() < deadline:
            self._pool.wait(_POLL_SECONDS)
            for number, brought in self._pool.finished():
                self._take(self._under_way.pop(number), brought, known())

    def close(self) -> None:
        """End now: what is under way stays open, for the next sitting."""
        if self._pool.close(PATIENCE_SECONDS) and self._staff is not None:
            self._staff.close()
            self._pool.close(PATIENCE_SECONDS)

    # --- commissioning -----------------------------------------------------------------------

    def _distil(self, known: Knowledge) -> None:
        """Trials that no distillation has taken in yet, those of failed ones among them."""
        done = (one for one in self._store.commissions() if one.state is CommissionState.DONE)
        taken = {number for one in done for number in _listed(one)}
        final = [status for status in TrialStatus if status.is_final]
        latest = self._store.latest_trials(MOST_TRIALS, purpose=Purpose.SCREEN, status=final)
        shown = [trial.id for trial in latest if trial.id not in taken]
        self._fresh.clear()
        intent = _TRIALS + " ".join(map(str, sorted(shown)))
        self._start(self._opened(_LIBRARIAN, intent, ()), known)

    def _opened(self, operator: str, intent: str, parents: tuple[str, ...]) -> Commission:
        number = len(self._store.commissions()) + 1
        return self._store.open_commission(
            operator=operator,
            parents=parents,
            rng_seed=trial_seed(self._rng_seed, f"commission {number}"),
            intent=intent,
            at=self._clock(),
        )

    def _start(self, commission: Commission, known: Knowledge) -> None:
        assert self._staff is not None
        field = self._breeder.field(known)
        rng = np.random.default_rng([commission.rng_seed, 1])
        subject = commission.parents or (self._store.run().baseline or "",)
        context = self._breeder.context(field, subject, rng)
        model = Witness(self._staff.model(commission.operator, commission.id))
        work: Callable[[], Result]
        if commission.operator == _LIBRARIAN:
            work = self._distilling(commission, context, field, model)
        else:
            work = self._explaining(commission, context, field, model)
        self._under_way[commission.id] = commission
        self._pool.submit(commission.id, partial(_carried_out, work, model))
        self._story.tell(
            "errand",
            commission=commission.id,
            operator=commission.operator,
            subject=commission.intent,
        )

    def _distilling(
        self, commission: Commission, context: Context, field: Field, model: Model
    ) -> Callable[[], Result]:
        librarian = Librarian(model, reading_of(self._settings))
        numbers = sorted(_listed(commission), reverse=True)
        notes = trial_notes(self._store, numbers, field)
        lessons = list(self._lessons.active)
        return lambda: librarian.distil(context, lessons, notes, at=commission.at)

    def _explaining(
        self, commission: Commission, context: Context, field: Field, model: Model
    ) -> Callable[[], Result]:
        critic = Critic(model, reading_of(self._settings))
        told = replace(context, briefing=self._briefings.briefing(commission.parents, field))
        figures = figures_of(self._verdict(commission), context.metric)
        baseline = self._breeder.baseline
        return lambda: critic.explain(told, figures, baseline)

    # --- taking in ---------------------------------------------------------------------------

    def _take(self, commission: Commission, brought: Brought | Broken, known: Knowledge) -> None:
        if isinstance(brought, Broken):
            self._mishaps.take(commission, brought.error)
            return
        self._mishaps.note_good(commission.operator)
        if brought.failure is CallFailure.UNDER_WAY:
            return  # it stays open: its reply can be had in a next sitting
        result = brought.result
        match result:
            case Refusal():
                self._refuse(commission, result, brought.failure)
            case Distillation():
                assert known.belief is not None
                self._lessons.take(result, commission.id, known.belief)
            case Explanation():
                self._keep_reading(commission, result)

    def _refuse(
        self, commission: Commission, refusal: Refusal, failure: CallFailure | None
    ) -> None:
        self._store.close_commission(commission.id, CommissionState.REFUSED, reason=refusal.reason)
        self._story.refused(commission.id, refusal, failure)

    def _keep_reading(self, commission: Commission, said: Explanation) -> None:
        verdict = self._verdict(commission)
        reading = VerdictReading(
            label=verdict.label,
            champion=commission.parents[0],
            explanation=said.text,
            suspects=tuple(said.suspects),
            at=self._clock(),
            commission=commission.id,
            call=said.call,
        )
        self._store.add_reading(reading)
        self._story.explained(reading)

    def _verdict(self, commission: Commission) -> Verdict:
        label = commission.intent.removeprefix(_VERDICT)
        return next(one for one in self._store.verdicts() if one.label == label)


def _carried_out(work: Callable[[], Result], model: Witness) -> Brought:
    """The work of a thread."""
    result = work()
    return Brought(result, model.error.kind if model.error is not None else None)


def _listed(commission: Commission) -> list[int]:
    """The trials that a distillation was asked about."""
    if commission.operator != _LIBRARIAN or not commission.intent.startswith(_TRIALS):
        return []
    return [int(number) for number in commission.intent.removeprefix(_TRIALS).split()]
