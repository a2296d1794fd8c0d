"""One process per trial: it starts the trainer, watches it, and leaves nothing of it behind.

Started as ``python -m evolution.sandbox.supervisor``. The first line on standard input is the spec
(``spec.py``), events go to standard output as JSON lines, and the last of them is the result. End
of file on standard input means that the executor died: everything is killed. Standard library
only until something is to be scored, so that it starts in a few milliseconds.
"""

import os
import selectors
import signal
import sys
import time

from evolution.calibration import Price, granted_tokens, pooled_ratio
from evolution.sandbox.box import Box, RejectedError, TrialOverError
from evolution.sandbox.link import Link, ParentGoneError, StopRequestedError
from evolution.sandbox.process_tree import ProcessTree, become_subreaper, let_others_first
from evolution.sandbox.script_run import ScriptRun
from evolution.sandbox.spec import Result, Spec
from evolution.sandbox.training import Expectation, Training
from evolution.sandbox.turns import price_genome
from evolution.sandbox.weighing import check_parameters


def supervise(link: Link, selector: selectors.BaseSelector, spec: Spec) -> Result:
    """Run one attempt from its first process to its result; no process and no file of it stays.

    Raises:
        ParentGoneError: The executor died: the result interests nobody.
    """
    result, started = Result(containment=spec.level), time.monotonic()
    box = Box(spec, link, selector)
    try:
        _run_stages(box, result)
        result.status = "complete"
    except RejectedError as over:
        result.status = "rejected"
        result.failure_kind, result.failure_message = over.kind, over.message
    except TrialOverError as over:
        result.status = "timed_out" if over.kind == "time_out" else "crashed"
        result.failure_kind, result.failure_message = over.kind, over.message
    except MemoryError:
        result.status, result.failure_kind = "crashed", "out_of_memory"
        result.failure_message = "the machine ran out of memory while it was scored"
    except OSError as error:
        result.status, result.failure_kind = "crashed", "harness"
        result.failure_message = f"the trial could not be watched or scored: {error}"
    except StopRequestedError:
        result.status = "stopped_early" if result.val_bpb is None else "complete"
    finally:
        result.survivor_count = box.end_all()
        result.log_tail = box.clear()
    result.cpu_seconds = box.cpu_seconds
    result.peak_memory_mb = box.peak_memory_mb
    result.total_seconds = time.monotonic() - started
    return result


def _run_stages(box: Box, result: Result) -> None:
    spec, measured = box.spec, None
    if spec.script is not None:
        ScriptRun(box, result, spec.script).run()
        return
    box.check_ruler()
    if spec.parameters_millions is not None:
        check_parameters(box, spec.parameters_millions)
    if spec.calibrate:
        measured = price_genome(box)
        result.price = [measured.genome_seconds, measured.baseline_seconds, measured.pair_count]
    if spec.measure_only:
        return
    budget: dict[str, object] = {"kind": spec.budget_kind, "amount": spec.budget_amount}
    tokens = _token_budget(spec, measured)
    if tokens is not None:
        budget = {"kind": "tokens", "amount": tokens}
        result.granted_tokens = tokens if spec.token_budget is None else None
    Training(box, result, budget, _expectation(spec, measured, tokens)).run()


def _token_budget(spec: Spec, measured: Price | None) -> int | None:
    """How many tokens to train for; None where the budget itself says it to the trainer."""
    if spec.token_budget is not None or spec.budget_kind != "cpu":
        return spec.token_budget
    ratio = _cost_ratio(spec, measured)
    if ratio is None or spec.yardstick_tokens is None:
        raise TrialOverError("harness", "a cpu budget needs a yardstick and a calibration")
    return granted_tokens(spec.yardstick_tokens, ratio)


def _expectation(spec: Spec, measured: Price | None, tokens: int | None) -> Expectation | None:
    """What the training should cost, if that is known."""
    ratio = _cost_ratio(spec, measured)
    if tokens is None or ratio is None:
        return None
    latest = measured.baseline_seconds if measured else spec.known_prices[-1][2]
    return Expectation(tokens, ratio, latest)


def _cost_ratio(spec: Spec, measured: Price | None) -> float | None:
    """All calibrations of the genome pooled, the one just made included."""
    known = [(ratio, round(pair_count)) for ratio, pair_count, _ in spec.known_prices]
    if measured is not None:
        known.append((measured.cost_ratio, measured.pair_count))
    return pooled_ratio(known) if known else None


def main() -> int:
    """The process: own session, adopter of every orphan below it, gone when its parent is."""
    if os.getpid() != os.getsid(0):
        os.setsid()
    become_subreaper()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    with selectors.DefaultSelector() as selector:
        link = Link(selector)
        try:
            spec = link.read_spec()
            if spec.niceness:
                os.nice(spec.niceness)
                let_others_first(os.getpid(), spec.niceness)
            result = supervise(link, selector, spec)
            link.send(result.to_message())
            link.flush()
        except ParentGoneError:
            return 1
        finally:
            ProcessTree().kill()  # whatever happened above
    return 0


def _leave(_number: int, _frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise ParentGoneError


if __name__ == "__main__":
    sys.exit(main())
