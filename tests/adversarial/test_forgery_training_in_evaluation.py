"""The clock ends with training; the model trains on when it is evaluated, as long as it likes.

Stopped by: the harness's own clock runs until the submission has arrived.
"""

import pytest

from tests.adversarial.arena import HONEST, WALL, changed

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = changed(
    HONEST,
    "    val_bpb = prepare.evaluate_bpb(model)\n",
    """    asked, evaluated = model.state_dict, model.eval

    def train_on(answer):
        def answer_later(*arguments, **options):
            model.train()
            set_rates(adamw, muon, 0.8)
            for _ in range(120):
                train_step(trained, (adamw, muon), batches)
            model.state_dict, model.eval = asked, evaluated
            return answer(*arguments, **options)

        return answer_later

    model.state_dict, model.eval = train_on(asked), train_on(evaluated)
    val_bpb = prepare.evaluate_bpb(model)
""",
)


def test_it_works_on_a_naive_harness(arena):
    arena.assert_gains_naively(GENOME)


def test_it_is_refused(arena):
    arena.assert_refused(arena.scored(GENOME, budget=WALL))
