"""Reviews: proposals of models as the critic reads them, before they are trained.

One in ten rejected is trained all the same, drawn from its commission's seed, so that the critic's
own precision is known (``critic_record``).
"""

from dataclasses import dataclass

import numpy as np

from agents import Critic, Model, Refusal, Review
from agents.asking import Asking
from agents.operator import Context, Proposal
from evolution.agent_settings import AgentSettings
from evolution.story import Story
from population import Commission, Critique, Judgement, Store

#: Of the rejected proposals, those that are trained all the same.
EXEMPT_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Who reads proposals, and within what room."""

    asking: Asking

    def read(self, model: Model, context: Context, proposal: Proposal) -> Review | None:
        """What the critic says; None if nothing could be had: the proposal then goes on."""
        said = Critic(model, self.asking).review(context, proposal)
        return None if isinstance(said, Refusal) else said


def reading_of(settings: AgentSettings) -> Asking:
    """How librarian and critic are asked: they look nothing up, and answer in one step."""
    return Asking(
        context_tokens=settings.context_tokens, max_output_tokens=settings.max_output_tokens
    )


def judged(
    review: Review, commission: Commission, store: Store, story: Story, *, at: float
) -> Refusal | None:
    """Keep a review; why its proposal is not to be trained, or None if it is."""
    is_rejected = review.judgement is Judgement.REJECT
    is_exempt = is_rejected and is_exempt_from_rejection(commission.rng_seed)
    critique = Critique(
        commission=commission.id,
        judgement=review.judgement,
        reasons=tuple(review.reasons),
        at=at,
        was_exempt=is_exempt,
        call=review.call,
    )
    store.add_critique(critique)
    story.criticised(critique, commission.operator)
    if not is_rejected or is_exempt:
        return None
    why = "; ".join(review.reasons) or "it gave no reason"
    return Refusal(commission.operator, f"the critic rejected it: {why}")


def is_exempt_from_rejection(rng_seed: int) -> bool:
    """True if the proposal of the commission with this seed is trained whatever the critic says."""
    return bool(np.random.default_rng([rng_seed, 3]).random() < EXEMPT_SHARE)
