"""Commissions: offspring that language models are asked for, ahead of need, beside the engine.

A commission is an operator, its parents and a seed, stored before anything is asked. It is carried
out in a thread that sees values alone; its proposal becomes a variant in the engine's thread. One
that was open when an engine died is carried out again, and gets its stored replies for nothing.
"""

from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np

from agents import (
    CallFailure,
    Context,
    Model,
    ModelError,
    Operator,
    Prompt,
    Proposal,
    Refusal,
    Reply,
    Review,
)
from agents.batching import HANDED_IN
from agents.briefing import Briefing, briefed
from agents.ideas import known_ideas
from agents.intents import Intent, drawn_intent
from agents.mutator import settled
from evolution.breeding import Breeder, Field, Knowledge
from evolution.briefings import Briefings
from evolution.config import MODEL_OPERATORS
from evolution.confirmation import trial_seed
from evolution.manuals import REPAIRER, operator_weights
from evolution.mishaps import Mishaps
from evolution.pool import Broken, Pool
from evolution.review import Reviewer, judged
from evolution.story import Story
from evolution.suggestions import READER, as_offered, credited, next_offers
from population import (
    Commission,
    CommissionState,
    FailureClass,
    Manual,
    Store,
    StoreError,
    Trial,
    Variant,
)

#: Key of the trailer that names the commission in the message of a variant's commit.
TRAILER = "Commission"
#: Longest pause after failures in a row, in seconds; the first lasts one.
LONGEST_PAUSE = 300.0
#: What an engine that was told to end now waits for replies, in seconds.
PATIENCE_SECONDS = 2.0
#: Draws of an operator with parents before a turn commissions nothing.
DRAWS = 6

#: Failures that a genome causes, and another edit may mend.
MENDABLE = (
    FailureClass.OUT_OF_MEMORY,
    FailureClass.NOT_FINITE,
    FailureClass.TIME_OUT,
    FailureClass.IMPORT_ERROR,
    FailureClass.CONTRACT,
    FailureClass.ERROR,
)
#: Commissions that make no variant: ``errands`` has them.
ERRANDS = ("librarian", "critic")
_CRITIC, _MUTATOR, _REPAIRER, _TRIAL = "critic", "mutator", REPAIRER, "trial "
_KNOWN = "known ideas "  # with its number: a fact of a commission that has ideas first
_LASTING = (CallFailure.OUT_OF_MONEY, CallFailure.UNAUTHORISED)  # waiting mends neither


class Staff(Protocol):
    """Who carries commissions out. Safe to ask from several threads."""

    @property
    def operators(self) -> Collection[str]:
        """Names of the operators that it has."""
        ...

    def model(self, role: str, commission: int) -> Model:
        """The model that plays ``role``, each call of which is booked under ``commission``."""
        ...

    def parent_count(self, name: str) -> int:
        """Of the operator ``name``."""
        ...

    def operator(self, name: str, model: Model) -> Operator:
        """The operator ``name``, asking ``model``."""
        ...

    @property
    def defers(self) -> bool:
        """True if replies may take hours, and can be had in a later sitting."""
        ...

    def call_off(self) -> None:
        """Nobody needs the replies any more that may take hours. Returns at once."""
        ...

    def close(self) -> None:
        """Break off every call that is under way."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a thread hands back.

    Attributes:
        result: The proposal, or why there is none.
        review: What the critic says of the proposal; None if it was not asked, or gave no answer.
        failure: Class of the last call that failed; None if the last one gave a reply.
        retry_after: Seconds after which the provider asks to be tried again; 0 if unsaid.
    """

    result: Proposal | Refusal
    failure: CallFailure | None = None
    retry_after: float = 0.0
    review: Review | None = None


class Commissions:
    """The commissions of one sitting. The engine's thread alone calls it.

    Args:
        store: Of the run.
        breeder: Selects parents and commits offspring.
        staff: Carries out; None in a run without a language model.
        weights: How often each operator that a manual allows is asked now, relative to the
            others; also those that are not of the staff.
        story: Is told.
        rng_seed: Of the run: all chance of a commission follows from it and the number.
        clock: Seconds since the epoch.
        briefings: Gathers what operators are told.
        mishaps: Takes in threads that broke.
        reviewer: Reads proposals before they are trained; None if nobody does.
    """

    def __init__(  # noqa: PLR0913 - what one sitting has, by name
        self,
        *,
        store: Store,
        breeder: Breeder,
        staff: Staff | None,
        weights: Callable[[Manual], Mapping[str, float]],
        story: Story,
        rng_seed: int,
        clock: Callable[[], float],
        briefings: Briefings,
        mishaps: Mishaps,
        reviewer: Reviewer | None = None,
    ) -> None:
        self._store = store
        self._briefings = briefings
        self._mishaps = mishaps
        self._reviewer = reviewer
        self._breeder = breeder
        self._staff = staff
        self._weights = weights
        self._story = story
        self._rng_seed = rng_seed
        self._clock = clock
        self._pool: Pool[Delivery] = Pool(lasting=(StoreError,))
        self._under_way: dict[int, Commission] = {}
        self._ready: deque[tuple[int, Proposal]] = deque()
        self._broken: deque[Trial] = deque()
        self._failure: CallFailure | None = None
        self._failures_in_a_row = 0
        self._rests_until = 0.0

    @property
    def in_flight(self) -> int:
        """How many are being carried out."""
        return len(self._pool)

    @property
    def ready(self) -> int:
        """How many proposals wait for a worker."""
        return len(self._ready)

    @property
    def failure(self) -> CallFailure | None:
        """Class of the last call that failed; None if the last one gave a reply."""
        return self._failure

    def is_hopeful(self, manual: Manual) -> bool:
        """True if a proposal may yet come, from what is under way or asked for later."""
        if self.in_flight or self.ready:
            return True
        return bool(self._asked_of(manual)) and self._failure not in _LASTING

    def begin(self, known: Callable[[], Knowledge]) -> None:
        """Take up what an engine that died has left open."""
        if self._staff is None:
            return
        kept = HANDED_IN if self._staff.defers else ""
        self._store.abandon_calls(at=self._clock(), without=kept)
        left = self._store.commissions(state=CommissionState.OPEN)
        left = [commission for commission in left if commission.operator not in ERRANDS]
        field = self._breeder.field(known()) if left else None
        for commission in left:
            assert field is not None
            born, problem = self._born_before(commission, field), self._outdated(commission, field)
            if born is not None:
                self._close(commission.id, born)
            elif problem is not None:
                self._refuse(commission.id, Refusal(commission.operator, problem), None)
            else:
                self._start(commission, field)

    def _outdated(self, commission: Commission, field: Field) -> str | None:
        """Why an open commission is not taken up again; None if it is."""
        assert self._staff is not None
        if field.barred.intersection(commission.parents):
            return "a parent of it was banned meanwhile"
        if commission.operator not in self._staff.operators:
            return f"{commission.operator} was turned off meanwhile"
        if not operator_weights(field.known.manual, {commission.operator: 1.0}):
            return f"the manual leaves {commission.operator} out meanwhile"
        return None

    def attend(self, known: Callable[[], Knowledge], manual: Manual, wanted: int) -> None:
        """Take in what has been carried out, and commission what is missing of ``wanted``."""
        for number, delivery in self._pool.finished():
            self._take(self._under_way.pop(number), delivery)
        missing = wanted - self.in_flight - self.ready
        if missing <= 0 or not self._asked_of(manual) or self._clock() < self._rests_until:
            return
        field = self._breeder.field(known())
        may_repair = bool(operator_weights(manual, {_REPAIRER: 1.0}))
        may_repair = may_repair and not self._mishaps.rests(_REPAIRER)
        # After a failure a single one finds out whether the provider is back.
        for _ in range(1 if self._failure else missing):
            if self._broken and may_repair:
                self._commission_repair(self._broken.popleft(), field)
            else:
                self._commission(field)

    def mend(self, trial: Trial) -> None:
        """Have a variant repaired whose genome crashed; one attempt each, and none at a repair."""
        failure = trial.outcome.failure if trial.outcome is not None else None
        if self._staff is None or failure is None or failure.kind not in MENDABLE:
            return
        is_repair = self._store.variant(trial.variant).operator == _REPAIRER
        known = (c for c in self._store.commissions() if c.operator == _REPAIRER)
        was_tried = any(commission.parents == (trial.variant,) for commission in known)
        is_wanted = not is_repair and trial.variant not in self._store.barred()
        if _REPAIRER in self._staff.operators and is_wanted and not was_tried:
            self._broken.append(trial)

    def goes_first(self, rng: np.random.Generator, manual: Manual) -> bool:
        """True if a worker that is free now gets a proposal that waits; drawn by weight."""
        return bool(self._ready) and bool(rng.random() < self._share(manual))

    def _share(self, manual: Manual) -> float:
        """Of all offspring, those that the staff shall make, 0 to 1."""
        weights = self._weights(manual)
        asked = sum(weights.get(name, 0.0) for name in MODEL_OPERATORS)
        return asked / sum(weights.values()) if weights else 1.0

    def offspring(self, manual: Manual) -> Variant | None:
        """A new variant of the oldest proposal that is still one; None if there is none."""
        while self._ready:
            number, proposal = self._ready.popleft()
            proposal = replace(proposal, trailers={**proposal.trailers, TRAILER: str(number)})
            made = self._breeder.commit(proposal, manual, island=self._island(number, proposal))
            if isinstance(made, Variant):
                self._close(number, made)
                return made
            self._refuse(number, made, None)
        return None

    def _island(self, number: int, proposal: Proposal) -> int | None:
        """Where what a commission made is at home: a repair is where what it repairs is."""
        if proposal.operator == _REPAIRER:
            return self._store.variant(proposal.parents[0]).island
        return self._breeder.island(number)

    @property
    def must_be_awaited(self) -> bool:
        """True if something is under way that a sitting which ends well waits for."""
        return bool(self.in_flight) and not (self._staff is not None and self._staff.defers)

    def call_off(self) -> None:
        """The search is over: what may take hours is not waited for."""
        if self._staff is not None and self.in_flight:
            self._staff.call_off()

    def wait(self, seconds: float) -> None:
        """Until something has been carried out, but no longer than ``seconds``."""
        self._pool.wait(seconds)

    def close(self) -> None:
        """End now: what is under way stays open, for the next sitting."""
        if self._pool.close(PATIENCE_SECONDS) and self._staff is not None:
            self._staff.close()
            self._pool.close(PATIENCE_SECONDS)

    # --- commissioning -----------------------------------------------------------------------

    def _asked_of(self, manual: Manual) -> dict[str, float]:
        """The operators that may be asked, with their weights."""
        known = self._staff.operators if self._staff is not None else ()
        return {
            name: weight
            for name, weight in self._weights(manual).items()
            if name in known and not self._mishaps.rests(name)
        }

    def _commission(self, field: Field) -> None:
        """Draw an operator and parents, keep the commission, and have it carried out."""
        number = len(self._store.commissions()) + 1
        island = self._breeder.island(number)
        if island is not None:
            field = self._breeder.field(field.known, island)
        rng_seed = trial_seed(self._rng_seed, f"commission {number}")
        drawn = self._drawn(field, np.random.default_rng([rng_seed, 0]))
        if drawn is None:
            return
        operator, parents = drawn
        offered = next_offers(self._store.suggestions()) if operator == READER else ()
        now = self._clock()
        draft = Commission(0, operator, parents, "", rng_seed, now, suggestions=tuple(offered))
        commission = self._store.open_commission(
            operator=operator,
            parents=parents,
            rng_seed=rng_seed,
            intent=self._intent(draft, field),
            at=now,
            suggestions=offered,
        )
        self._start(commission, field)

    def _intent(self, commission: Commission, field: Field) -> str:
        """What a mutation is to be, kept with it: after a kill it is asked for the same.

        So whether there is anything to borrow is settled now, and not when it is asked.
        """
        if commission.operator != _MUTATOR:
            return ""
        rng = np.random.default_rng([commission.rng_seed, 2])
        intent = drawn_intent(rng, is_flat=self._breeder.is_flat())
        if intent is Intent.BORROW:
            shown = briefed(self._context(commission, field), self._briefings.tokens)
            intent = settled(intent, shown)
        return str(intent)

    def _commission_repair(self, trial: Trial, field: Field) -> None:
        number = len(self._store.commissions()) + 1
        commission = self._store.open_commission(
            operator=_REPAIRER,
            parents=(trial.variant,),
            rng_seed=trial_seed(self._rng_seed, f"commission {number}"),
            intent=f"{_TRIAL}{trial.id}",
            at=self._clock(),
        )
        self._start(commission, field)

    def _drawn(self, field: Field, rng: np.random.Generator) -> tuple[str, tuple[str, ...]] | None:
        weights = self._asked_of(field.known.manual)
        names, total = list(weights), sum(weights.values())
        for _ in range(DRAWS):
            name = str(rng.choice(names, p=[weights[n] / total for n in names]))
            assert self._staff is not None
            parent_count = self._staff.parent_count(name)
            shas = self._breeder.draw_parents(parent_count, field, rng)
            if len(shas) == parent_count:
                return name, tuple(shas)
        return None

    def _start(self, commission: Commission, field: Field) -> None:
        context = self._context(commission, field)
        if commission.operator == _MUTATOR:
            context = replace(context, known=self._known_ideas(commission, context))
        assert self._staff is not None
        self._under_way[commission.id] = commission
        work = partial(carried_out, self._staff, commission, context, self._reviewer)
        self._pool.submit(commission.id, work)
        self._story.tell(
            "commission",
            commission=commission.id,
            operator=commission.operator,
            parents=list(commission.parents),
        )

    def _context(self, commission: Commission, field: Field) -> Context:
        rng = np.random.default_rng([commission.rng_seed, 1])
        context = self._breeder.context(field, commission.parents, rng)
        briefing = self._briefing(commission, field)
        return replace(context, briefing=briefing, intent=commission.intent)

    def _known_ideas(self, commission: Commission, context: Context) -> list[str]:
        """What was known when the commission was given.

        Judged by what is known after a restart, an idea whose code was paid for would be handed
        back: it may be under way by then, or tried.
        """
        key = f"{_KNOWN}{commission.id}"
        kept = self._store.fact(key)
        if isinstance(kept, list):
            return [str(line) for line in kept]
        known = known_ideas(context)
        self._store.set_fact(key, list(known))
        return known

    def _briefing(self, commission: Commission, field: Field) -> Briefing:
        """What the operator is told beside its parents."""
        broken = None
        if commission.intent.startswith(_TRIAL):
            broken = self._store.trial(int(commission.intent.removeprefix(_TRIAL)))
        return self._briefings.briefing(
            commission.parents,
            field,
            under_way=[f"{made.operator}: {made.hypothesis}" for _, made in self._ready],
            at_work=self._at_work(field),
            suggestions=as_offered(self._store, commission.suggestions),
            broken=broken,
        )

    def _at_work(self, field: Field) -> list[str]:
        """Whose offspring other operators are at, where no idea is known yet."""
        return [
            f"{one.operator} is at work on {' and '.join(names)}"
            for one in self._under_way.values()
            if (names := [field.variants[sha].name for sha in one.parents])
        ]

    # --- taking in ---------------------------------------------------------------------------

    def _take(self, commission: Commission, delivery: Delivery | Broken) -> None:
        if isinstance(delivery, Broken):
            self._mishaps.take(commission, delivery.error)
            self._store.forget_fact(f"{_KNOWN}{commission.id}")
            return
        self._mishaps.note_good(commission.operator)
        if delivery.failure is CallFailure.UNDER_WAY:
            return  # it stays open: its replies can be had in a next sitting
        self._note(delivery)
        if not isinstance(delivery.result, Proposal):
            self._refuse(commission.id, delivery.result, delivery.failure)
            return
        rejected = None
        if delivery.review is not None:
            now = self._clock()
            rejected = judged(delivery.review, commission, self._store, self._story, at=now)
        if rejected is not None:
            self._refuse(commission.id, rejected, None)
        else:
            self._ready.append((commission.id, credited(delivery.result, commission.suggestions)))

    def _note(self, delivery: Delivery) -> None:
        """After a failure, pause: longer with each one in a row."""
        self._failure = delivery.failure
        if delivery.failure is None:
            self._failures_in_a_row = 0
            return
        pause = min(LONGEST_PAUSE, 2.0**self._failures_in_a_row)
        if delivery.failure is not CallFailure.RESTING:  # which says itself how long
            self._failures_in_a_row += 1
        self._rests_until = self._clock() + max(pause, delivery.retry_after)

    def _close(self, number: int, variant: Variant) -> None:
        self._store.close_commission(number, CommissionState.BORN, variant=variant.sha)
        self._store.forget_fact(f"{_KNOWN}{number}")

    def _refuse(self, number: int, refusal: Refusal, failure: CallFailure | None) -> None:
        self._store.close_commission(
            number, CommissionState.REFUSED, reason=refusal.reason, was_read=failure is None
        )
        self._store.forget_fact(f"{_KNOWN}{number}")
        self._story.refused(number, refusal, failure)

    def _born_before(self, commission: Commission, field: Field) -> Variant | None:
        """The variant that an engine made of it, killed before it could keep that."""
        return next(
            (
                variant
                for variant in field.variants.values()
                if variant.created_at >= commission.at
                and (variant.operator, variant.parents) == (commission.operator, commission.parents)
                and self._breeder.trailer(variant.sha, TRAILER) == str(commission.id)
            ),
            None,
        )


def carried_out(
    staff: Staff, commission: Commission, context: Context, reviewer: Reviewer | None = None
) -> Delivery:
    """Have the staff make an offspring, and the critic read it: the work of a thread."""
    model = Witness(staff.model(commission.operator, commission.id))
    result = staff.operator(commission.operator, model).propose(context)
    review = None
    if reviewer is not None and isinstance(result, Proposal):
        model = Witness(staff.model(_CRITIC, commission.id))
        review = reviewer.read(model, context, result)
    error = model.error
    if error is None:
        return Delivery(result, review=review)
    return Delivery(result, error.kind, error.retry_after or 0.0, review)


class Witness:
    """A model that remembers how its last call failed; None if it did not."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.error: ModelError | None = None

    @property
    def name(self) -> str:
        """The model's own."""
        return self._model.name

    def reply(self, prompt: Prompt) -> Reply:
        """The model's own; a failure is remembered, and goes on."""
        try:
            reply = self._model.reply(prompt)
        except ModelError as error:
            self.error = error
            raise
        self.error = None
        return reply
