"""For a snapshot the clock stands still; the model trains whenever it is asked for its state.

Stopped by: the harness freezes the whole tree while it scores a snapshot, and time until the
snapshot is handed in is on its own clock.
"""

import pytest

from tests.adversarial.arena import HONEST, WALL, changed

pytestmark = [pytest.mark.security, pytest.mark.slow]

GENOME = changed(
    HONEST,
    "    batches = prepare.make_dataloader(BATCH_SIZE, MAX_SEQ_LEN)\n",
    """    batches = prepare.make_dataloader(BATCH_SIZE, MAX_SEQ_LEN)
    asked, evaluated = model.state_dict, model.eval

    def train_on(answer):
        def answer_later(*arguments, **options):
            model.train()
            until = time.monotonic() + 2.0
            while time.monotonic() < until:
                train_step(trained, (adamw, muon), batches)
            return answer(*arguments, **options)

        return answer_later

    model.state_dict, model.eval = train_on(asked), train_on(evaluated)
""",
)
SNAPSHOTS = """
_report, _due = report, [0.1, 0.25, 0.5]


def report(loss, model=None, **scalars):
    _report(loss, **scalars)
    if _due and progress() >= _due[0]:
        del _due[0]
        with _state().clock.stopped():
            _bits_per_byte(model, "slice.bin")
"""


def test_it_works_on_a_naive_harness(arena):
    """Naive: a snapshot is scored in the genome's process, off the clock."""
    run = arena.naive_run(GENOME, budget=WALL, ruler_tail=SNAPSHOTS)
    assert float(run.out.split("training_seconds:")[1].split()[0]) > 3 * WALL.amount, run.err


def test_it_is_refused(arena):
    arena.assert_refused(arena.scored(GENOME, budget=WALL, snapshots=(0.1, 0.25, 0.5)))
