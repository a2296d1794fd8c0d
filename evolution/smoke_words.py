"""What came of a smoke run, in words for a model: bounded, output stripped and fenced as data."""

import math
from collections.abc import Sequence

from population import CurvePoint, FailureClass, Outcome, TrialStatus, fenced, one_line

#: What an answer begins with where nothing was learnt of the genome.
NOT_RUN = "Not run: "
#: Characters of a genome's last output that are shown.
TAIL_CHARACTERS = 2_000
_MESSAGE_CHARACTERS = 300
_MOST_PROBLEMS = 5


def problem_words(problems: Sequence[str]) -> str:
    """A genome that was not run since it may not be."""
    shown = [f"- {one_line(problem, _MESSAGE_CHARACTERS)}" for problem in problems]
    more = len(shown) - _MOST_PROBLEMS
    rest = [f"- and {more} more"] if more > 0 else []
    return "\n".join(
        [f"{NOT_RUN}the genome breaks rules of this run.", *shown[:_MOST_PROBLEMS], *rest]
    )


def cost_words(token_seconds: float, baseline: float | None) -> str:
    """What a token costs beside one of the baseline."""
    if baseline is None or token_seconds <= 0:
        return ""
    return f"a token costs about {token_seconds / baseline:.2g} times the baseline's, "


def training_words(outcome: Outcome, points: Sequence[CurvePoint], cost: str) -> str:
    """Whether it trains, how fast, and how its loss went; or how it failed.

    Args:
        outcome: Of a training without a score.
        points: Of its curve, as they came.
        cost: What `cost_words` gives.
    """
    if outcome.status is not TrialStatus.COMPLETE:
        return _failure_words(outcome, _losses(points) if points else "")
    lost = next((point.progress for point in points if not math.isfinite(point.loss)), None)
    verdict = "It trains" if lost is None else f"Its loss is not finite from {lost:.0%} on"
    seconds = max(outcome.train_seconds, 1e-9)
    return (
        f"{verdict}: {outcome.step_count} batches, {outcome.train_tokens} tokens in "
        f"{outcome.train_seconds:.1f} s ({outcome.step_count / seconds:.3g} batches/s beside the "
        f"trials of this machine), {_losses(points)}, {cost}peak memory "
        f"{outcome.peak_memory_mb:.0f} MB. No score was taken."
    )


def script_words(outcome: Outcome, seconds: float) -> str:
    """A script has no handshake: it ended well, it failed, or it was ended while it ran."""
    if outcome.status is TrialStatus.COMPLETE:
        return f"It ran to its end in {outcome.train_seconds:.1f} s and printed its score."
    if outcome.status is TrialStatus.TIMED_OUT:
        tail = outcome.failure.log_tail if outcome.failure is not None else ""
        return f"Still running after {seconds:g} s, when it was ended: fine.{_output(tail)}"
    return _failure_words(outcome, "")


def _failure_words(outcome: Outcome, losses: str) -> str:
    failure = outcome.failure
    if failure is None:
        return f"{NOT_RUN}it was ended from outside."
    if failure.kind is FailureClass.HARNESS:
        return f"{NOT_RUN}no fault of the genome: {one_line(failure.message, _MESSAGE_CHARACTERS)}"
    seen = f" Before that: {losses}." if losses else ""
    return (
        f"It fails ({failure.kind.value}): {one_line(failure.message, _MESSAGE_CHARACTERS)}.{seen}"
        f"{_output(failure.log_tail)}"
    )


def _losses(points: Sequence[CurvePoint]) -> str:
    """The first and the last loss, in few enough digits that nobody compares models by them."""
    if not points:
        return "no loss reported"
    return f"training loss {points[0].loss:.3g} at first and {points[-1].loss:.3g} at last"


def _output(tail: str) -> str:
    tail = tail.rstrip()
    return f"\nThe end of its output:\n{fenced(tail, limit=TAIL_CHARACTERS)}" if tail else ""
