import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from evolution.executors.site import Limits, Slot, job_spec, write_scratch
from evolution.sandbox.environment import supervisor_environment
from evolution.sandbox.spec import Result, Spec
from population import Genome
from tests.evolution.executor_contract import ENDLESS, GOOD, a_job, a_site

#: Says where its processes are, in files of the data folder; then trains.
FAMILY = """
import os, pathlib, signal, sys, time
import prepare

DATA = pathlib.Path(prepare.CONDITIONS["data"])


def born():
    (DATA / f"pid-{os.getpid()}").touch()


def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            born()
            time.sleep(600)
        os._exit(0)


def children(count):
    for _ in range(count):
        if os.fork() == 0:
            born()
            time.sleep(600)
            os._exit(0)


def wait_for(count):
    while len(list(DATA.glob("pid-*"))) < count:
        time.sleep(0.01)


born()
"""


@dataclass
class Supervised:
    """A supervisor under test."""

    process: subprocess.Popen[bytes]
    data: Path
    scratch: Path

    def finish(self) -> tuple[Result, list[dict[str, Any]]]:
        """Its result, and the events before."""
        assert self.process.stdout is not None
        *events, last = [json.loads(line) for line in self.process.stdout.read().splitlines()]
        assert self.process.wait() == 0
        return Result.from_message(last), events

    def command(self, **message: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")

    def family(self, count: int) -> list[int]:
        """The processes that made themselves known, once they are so many."""
        return wait_until(lambda: len(self.pids()) >= count and self.pids())

    def pids(self) -> list[int]:
        return [int(path.name.removeprefix("pid-")) for path in self.data.glob("pid-*")]


def wait_until(claim: Callable[[], Any]) -> Any:
    give_up = time.monotonic() + 60
    while not (answer := claim()):
        assert time.monotonic() < give_up
        time.sleep(0.01)
    return answer


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def all_gone(pids: list[int]) -> bool:
    return not any(lives(pid) for pid in pids)


@pytest.fixture
def supervise(tmp_path):
    """Starts supervisors of a genome's text; none of them outlives the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(text: str, baseline: str = GOOD, **changes: Any) -> Supervised:
        site = a_site(tmp_path, baseline)
        site.data.mkdir(exist_ok=True)
        folder = site.scratch / "attempt"
        write_scratch(site, folder, Genome.single(text))
        spec = job_spec(site, Slot(), Limits(), a_job(text), None)
        spec = replace(spec, scratch=str(folder), **changes)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "evolution.sandbox.supervisor"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=supervisor_environment(f"{site.run_id}/1"),
        )
        started.append(process)
        assert process.stdin is not None
        process.stdin.write(spec.to_line())
        return Supervised(process, site.data, folder)

    yield start
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()


# What a trial comes to


def test_an_honest_training_gives_score_events_and_accounts(supervise):
    result, events = supervise(GOOD).finish()
    assert (result.status, result.val_bpb, result.train_tokens) == ("complete", 1.5, 4000)
    assert [event["type"] for event in events] == ["report"] * 4 + ["snapshot"]
    assert result.step_count == 4
    assert result.cpu_seconds > 0
    assert result.total_seconds >= result.cpu_seconds * 0.5
    assert "val_bpb: 1.5" in result.log_tail


@pytest.mark.parametrize(
    ("ending", "kind", "message"),
    [
        ("raise ValueError('shapes differ')", "error", "ValueError: shapes differ"),
        ("import nothing_of_the_kind", "import_error", "nothing_of_the_kind"),
        ("raise MemoryError", "out_of_memory", "MemoryError"),
        ("raise SystemExit('the loss is not finite (nan)')", "not_finite", "not finite"),
        ("raise SystemExit(3)", "error", "exit code 3"),
        ("pass", "contract", "without handing in a score"),
        ("prepare.score(float('nan'))", "not_finite", "nan"),
        ("prepare.score(float('inf'))", "not_finite", "inf"),
        ("prepare.score(None)", "contract", "no bits per byte"),
        ("prepare.score('1.0')", "contract", "no bits per byte"),
        ("prepare.score(True)", "contract", "no bits per byte"),
        ("prepare.score(-0.5)", "contract", "no bits per byte"),
        ("prepare.snapshot(0.25, None)", "not_finite", "25%"),
        ("import os; os.kill(os.getpid(), 11)", "killed", "SIGSEGV"),
    ],
)
def test_each_way_to_fail_has_its_class(supervise, ending, kind, message):
    result, _ = supervise(f"import prepare\nprepare.batch()\n{ending}\n").finish()
    assert (result.status, result.failure_kind) == ("crashed", kind)
    assert message in result.failure_message
    assert result.val_bpb is None


def test_the_first_score_stands(supervise):
    text = "import prepare\nprepare.batch()\nprepare.score(1.5)\nprepare.score(0.1)\n"
    result, _ = supervise(text).finish()
    assert (result.status, result.val_bpb, result.ignored_count) == ("complete", 1.5, 1)


def test_a_score_without_training_does_not_count(supervise):
    result, _ = supervise("import prepare\nprepare.score(0.1)\n").finish()
    assert (result.status, result.failure_kind) == ("crashed", "contract")


def test_a_score_counts_though_the_process_hangs_after_it(supervise):
    text = "import prepare, time\nprepare.batch()\nprepare.score(1.5)\ntime.sleep(600)\n"
    result, _ = supervise(text, finish_seconds=0.3).finish()
    assert (result.status, result.val_bpb) == ("complete", 1.5)


def test_a_score_counts_though_the_process_fails_after_it(supervise):
    text = "import prepare\nprepare.batch()\nprepare.score(1.5)\nraise RuntimeError\n"
    assert supervise(text).finish()[0].status == "complete"


def test_only_snapshots_that_were_asked_for_are_passed_on_once(supervise):
    text = (
        "import prepare\nprepare.batch()\n"
        "for fraction in (0.25, 0.25, 0.3):\n    prepare.snapshot(fraction, 2.0)\n"
        "prepare.score(1.5)\n"
    )
    result, events = supervise(text).finish()
    assert [event["fraction"] for event in events] == [0.25]
    assert result.ignored_count == 2


def test_another_ruler_is_a_fault_of_the_harness(supervise):
    result, _ = supervise(GOOD, ruler_hash="0" * 64).finish()
    assert (result.status, result.failure_kind) == ("crashed", "harness")


def test_a_trainer_that_cannot_start_is_a_fault_of_the_harness(supervise):
    result, _ = supervise(GOOD, command=["/nowhere/python"]).finish()
    assert result.failure_kind == "harness"


def test_memory_is_reported_and_limited(supervise):
    text = (
        "import prepare, time\nprepare.batch()\nheap = bytearray(300_000_000)\n"
        "time.sleep(1)\nprepare.score(1.5)\n"
    )
    result, _ = supervise(text).finish()
    assert result.peak_memory_mb > 280
    result, _ = supervise(text, memory_mb=200.0).finish()
    assert (result.status, result.failure_kind) == ("crashed", "out_of_memory")


def test_a_manuals_memory_limit_ends_the_trial_by_its_name(supervise):
    text = "import prepare, time\nprepare.batch()\nkept = b'x' * 300_000_000\ntime.sleep(600)\n"
    result, _ = supervise(text, manual_memory_mb=200.0).finish()
    assert (result.status, result.failure_kind) == ("crashed", "out_of_memory")
    assert result.failure_message.startswith("limits.memory_mb of program.md: ")


#: A model without torch: all that counting asks of one.
MODEL = """
class Weight:
    def numel(self):
        return {count}


class Model:
    def parameters(self):
        return [Weight(), Weight()]


def build_model():
    return Model()


if __name__ == "__main__":
    {training}
"""


def a_model(count):
    training = "".join(line + "\n    " for line in GOOD.strip().splitlines())
    return MODEL.format(count=count, training=training)


def test_a_model_within_its_parameters_is_trained(supervise):
    result, _ = supervise(a_model(500_000), parameters_millions=1.0).finish()
    assert (result.status, result.val_bpb) == ("complete", 1.5)


def test_a_model_with_too_many_parameters_is_rejected_before_it_trains(supervise):
    result, events = supervise(a_model(500_001), parameters_millions=1.0).finish()
    assert (result.status, result.failure_kind) == ("rejected", "contract")
    assert result.failure_message == (
        "limits.parameters_millions of program.md: the model has 1.000 million parameters, "
        "1 million are allowed"
    )
    assert (events, result.train_tokens, result.val_bpb) == ([], 0, None)


def test_a_model_that_cannot_be_built_fails_as_it_would_in_training(supervise):
    text = "import prepare\ndef build_model():\n    raise ValueError('shapes differ')\n"
    result, _ = supervise(text, parameters_millions=1.0).finish()
    assert (result.status, result.failure_kind) == ("crashed", "error")
    assert "shapes differ" in result.failure_message


def test_the_cpu_time_of_children_is_counted(supervise):
    text = """
import os, prepare
prepare.batch()
if os.fork() == 0:
    prepare.spin(0.5)
    os._exit(0)
os.wait()
prepare.score(1.5)
"""
    assert supervise(text).finish()[0].cpu_seconds > 0.5


# Nothing is left


def test_daemons_are_killed_when_the_trainer_ends(supervise):
    text = FAMILY + "daemon()\ndaemon()\nwait_for(3)\nprepare.batch()\nprepare.score(1.5)\n"
    supervised = supervise(text)
    result, _ = supervised.finish()
    assert result.status == "complete"
    assert result.survivor_count == 0
    assert len(supervised.pids()) == 3
    assert all_gone(supervised.pids())


def test_at_the_deadline_every_sleeping_child_goes(supervise):
    text = FAMILY + "children(15)\ndaemon()\nprepare.batch()\nchildren(15)\ntime.sleep(600)\n"
    supervised = supervise(text, train_seconds=1.0)
    result, _ = supervised.finish()
    assert (result.status, result.failure_kind) == ("timed_out", "time_out")
    assert "score" in result.failure_message
    assert all_gone(supervised.pids())


def test_a_start_that_takes_too_long_times_out(supervise):
    result, _ = supervise("import time\ntime.sleep(600)\n", startup_seconds=0.5).finish()
    assert (result.status, result.failure_kind) == ("timed_out", "time_out")
    assert "first batch" in result.failure_message


@pytest.mark.parametrize(
    "defiance",
    [
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "os.kill(os.getpid(), signal.SIGSTOP)",
        "os.setsid() if os.getsid(0) != os.getpid() else os.close(1)",
    ],
)
def test_no_defiance_outlives_the_deadline(supervise, defiance):
    text = FAMILY + f"prepare.batch()\n{defiance}\ntime.sleep(600)\n"
    supervised = supervise(text, train_seconds=0.5)
    assert supervised.finish()[0].status == "timed_out"
    assert all_gone(supervised.pids())


@pytest.mark.parametrize("death", ["closed", "terminated"])
def test_with_its_executor_gone_a_supervisor_takes_everything_along(supervise, death):
    supervised = supervise(FAMILY + "daemon()\nchildren(3)\nprepare.batch()\ntime.sleep(600)\n")
    family = supervised.family(5)
    if death == "closed":
        supervised.process.stdin.close()
    else:
        supervised.process.terminate()
    assert supervised.process.wait() == 1
    assert all_gone(family)
    assert not supervised.scratch.exists()


def test_a_killed_supervisor_takes_its_trainer_along(supervise):
    supervised = supervise(FAMILY + "prepare.batch()\ntime.sleep(600)\n")
    family = supervised.family(1)
    supervised.process.kill()
    wait_until(lambda: all_gone(family))


def test_nobody_to_talk_to_is_an_end(supervise):
    process = subprocess.run(
        [sys.executable, "-P", "-m", "evolution.sandbox.supervisor"],
        input=b"",
        check=False,
        env=supervisor_environment("nobody/1"),
        capture_output=True,
    )
    assert (process.returncode, process.stdout, process.stderr) == (1, b"", b"")


def test_a_stop_ends_the_trial_early(supervise):
    supervised = supervise(FAMILY + "daemon()\nprepare.batch()\ntime.sleep(600)\n")
    family = supervised.family(2)
    supervised.command(type="nonsense")
    supervised.command(type="stop", reason="hopeless")
    result, _ = supervised.finish()
    assert (result.status, result.failure_kind) == ("stopped_early", None)
    assert all_gone(family)


def test_a_stop_after_the_score_changes_nothing(supervise):
    text = FAMILY + "prepare.batch()\nprepare.score(1.5)\nchildren(1)\ntime.sleep(600)\n"
    supervised = supervise(text, finish_seconds=600.0)
    supervised.family(2)
    time.sleep(0.3)
    supervised.command(type="stop", reason="too late")
    result, _ = supervised.finish()
    assert (result.status, result.val_bpb) == ("complete", 1.5)


def test_the_scratch_folder_goes_though_it_was_locked_up(supervise):
    text = """
import os, prepare
os.mkdir("a")
open("a/c", "w").close()
os.mkdir("a/b", 0)
os.mkdir("closed", 0o500)
prepare.batch()
prepare.score(1.5)
"""
    supervised = supervise(text)
    assert supervised.finish()[0].status == "complete"
    assert not supervised.scratch.exists()


# Floods and garbage


def test_a_flood_of_200_mb_leaves_a_small_log(supervise, tmp_path):
    text = """
import sys, prepare
print("this is the head")
prepare.batch()
for _ in range(200):
    sys.stdout.write("x" * 1_000_000)
print("\\x1b[31mthis is the tail\\x07")
prepare.score(1.5)
"""
    log = tmp_path / "flood.log"
    supervised = supervise(text, log=str(log))
    result, _ = supervised.finish()
    assert result.status == "complete"
    assert log.stat().st_size < 100_000
    kept = log.read_text(encoding="utf-8")
    assert kept.startswith("this is the head\n")
    assert kept.endswith("x\nthis is the tail\n" if "x\nthis" in kept else "this is the tail\n")
    assert "bytes left out" in kept


def test_garbage_on_the_pipe_is_counted_and_passed_over(supervise):
    text = r"""
import os, prepare
prepare.batch()
prepare.raw(b"\x00\xff\xfe garbage \n" * 5)
prepare.raw(b"[" * 50_000 + b"\n")
prepare.raw(b'{"type": ' + b"9" * 5_000 + b"}\n")
prepare.raw(b"x" * 3_000_000 + b"\n")
prepare.raw(b'"text"\n17\nnull\n{}\n{"type": 3}\n')
prepare.send(type="unheard of")
prepare.send(type="report", progress="half", loss=[1], scalars=7, tokens={})
prepare.send(type="report", progress=1e400, loss=None, scalars={"a": "b", "c": 1e400}, tokens=-5)
prepare.send(type="snapshot", fraction=[], bpb={})
prepare.send(type="start")
prepare.score(1.5)
"""
    result, events = supervise(text).finish()
    assert (result.status, result.val_bpb) == ("complete", 1.5)
    assert result.ignored_count == 16
    assert [event["progress"] for event in events] == [0.0, 0.0]


def test_a_flood_of_messages_is_bounded(supervise):
    text = """
import prepare
prepare.batch()
line = b'{"type": "report", "progress": 0.5, "loss": 1.0, "scalars": {}, "tokens": 1}\\n'
for _ in range(100):
    prepare.raw(line * 1000)
"""
    supervised = supervise(text)
    result, events = supervised.finish()
    assert result.failure_kind == "contract"
    assert result.ignored_count > 50_000
    assert len(events) < 50_000


def test_events_that_nobody_fetches_do_not_hold_up_the_end(supervise):
    text = """
import prepare
prepare.batch()
for _ in range(1900):
    prepare.report(1.0, **{"s%d" % n: 1.0 for n in range(30)})
prepare.score(1.5)
"""
    supervised = supervise(text)
    wait_until(lambda: not supervised.scratch.exists())  # over, though its events lie unread
    result, events = supervised.finish()
    assert result.status == "complete"
    assert len(events) < 1900


def test_a_trainer_that_never_listens_cannot_block(supervise):
    text = """
import prepare, time
for _ in range(1000):
    prepare.send(type="start")
time.sleep(0.2)
prepare.tokens = 1
prepare.score(1.5)
"""
    assert supervise(text).finish()[0].status == "complete"


# Surroundings


def test_a_trainer_sees_a_short_environment_and_no_secret(supervise, monkeypatch):
    for name in ("ANTHROPIC_API_KEY", "HF_TOKEN", "MY_SECRET", "HARMLESS"):
        monkeypatch.setenv(name, "leaked")
    text = """
import os, prepare
assert "leaked" not in os.environ.values(), os.environ
try:
    parent = open(f"/proc/{os.getppid()}/environ").read()
except PermissionError:
    parent = ""
assert "leaked" not in parent, parent
assert os.environ["HOME"] == os.environ["TMPDIR"] == os.getcwd()
assert os.environ["OMP_NUM_THREADS"] == "1"
assert os.environ["EVORESEARCH_TRIAL"].endswith("/1")
prepare.batch()
prepare.score(1.5)
"""
    result, _ = supervise(text).finish()
    assert result.status == "complete", result.log_tail


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs pinning")
def test_a_trainer_stays_on_its_core(supervise):
    core = max(os.sched_getaffinity(0))
    text = (
        "import os, prepare\nprepare.batch()\n"
        "prepare.report(1.0, core=min(os.sched_getaffinity(0)),"
        " count=len(os.sched_getaffinity(0)))\nprepare.score(1.5)\n"
    )
    _, events = supervise(text, cpu=core).finish()
    assert events[0]["scalars"] == {"core": core, "count": 1}


def test_the_supervisor_loads_no_heavy_library():
    code = (
        "import sys, evolution.sandbox.supervisor as s; "
        "heavy = {'torch', 'numpy', 'pydantic', 'psutil', 'population', 'asyncio'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-P", "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={
            name: value
            for name, value in supervisor_environment("nobody/1").items()
            if not name.startswith("COVERAGE")
        },
    ).stdout
    assert answer.strip() == "[]"


# Calibration


def stepping(spin: float, *, reports: bool = True, then: str = "") -> str:
    report = "prepare.report()" if reports else ""
    return f"""
import prepare, time
while prepare.tokens < prepare.AMOUNT:
    prepare.batch()
    prepare.spin({spin})
    {report}
    {then}
prepare.score(1.5, fast=2.0 * {spin} / 1000)
"""


CALIBRATED = {
    "budget_kind": "cpu",
    "budget_amount": 1.0,
    "calibrate": True,
    "yardstick_tokens": 100_000,
    "pair_count": 20,
    "preload": ["decimal"],
}


@pytest.mark.parametrize("reports", [True, False])
def test_a_genome_twice_as_dear_is_granted_about_half(supervise, reports):
    text = stepping(0.006, reports=reports)
    result, _ = supervise(text, baseline=stepping(0.003), **CALIBRATED).finish()
    assert result.status == "complete", result
    genome_seconds, baseline_seconds, pair_count = result.price
    assert 1.6 < genome_seconds / baseline_seconds < 2.5
    assert pair_count == 20
    assert result.granted_tokens == round(100_000 * baseline_seconds / genome_seconds)
    assert 0 <= result.train_tokens - result.granted_tokens < 1000


def test_measuring_alone_trains_nothing(supervise):
    changes = {**CALIBRATED, "measure_only": True, "pair_count": 6}
    result, events = supervise(stepping(0.001), baseline=stepping(0.001), **changes).finish()
    assert result.status == "complete"
    assert (result.val_bpb, events) == (None, [])
    assert result.price[2] == 6


def test_known_prices_are_pooled_and_buy_without_a_measurement(supervise):
    changes = {
        **CALIBRATED,
        "calibrate": False,
        "yardstick_tokens": 8000,
        "known_prices": [[4.0, 20, 1e-6], [1.0, 20, 1e-6]],
    }
    result, _ = supervise(stepping(0.001), **changes).finish()
    assert result.granted_tokens == 4000
    assert result.price is None


def test_a_cpu_budget_without_a_price_is_a_fault_of_the_harness(supervise):
    result, _ = supervise(GOOD, **{**CALIBRATED, "calibrate": False}).finish()
    assert result.failure_kind == "harness"


@pytest.mark.parametrize(
    ("text", "kind", "status"),
    [
        ("import prepare\nprepare.batch()\nraise MemoryError\n", "out_of_memory", "crashed"),
        ("import prepare\nprepare.batch()\n", "contract", "crashed"),
        (ENDLESS, "time_out", "timed_out"),
        ("import prepare\nwhile True:\n    prepare.batch(0)\n", "contract", "crashed"),
    ],
)
def test_what_fails_in_calibration_is_the_genomes_failure(supervise, text, kind, status):
    changes = {**CALIBRATED, "calibration_seconds": 2.0, "pair_count": 6}
    result, _ = supervise(text, baseline=stepping(0.001), **changes).finish()
    assert (result.status, result.failure_kind) == (status, kind)


def test_a_baseline_that_fails_beside_it_is_our_fault(supervise):
    broken = "import prepare\nprepare.batch()\nraise ValueError('worn out')\n"
    result, _ = supervise(stepping(0.001), baseline=broken, **CALIBRATED).finish()
    assert result.failure_kind == "harness"
    assert "worn out" in result.failure_message


def test_nothing_passes_from_calibration_to_training(supervise):
    text = stepping(0.001).replace(
        "import prepare, time",
        "import os, prepare, time\nassert os.listdir('.') == [] or "
        "sorted(os.listdir('.')) == ['prepare.py', 'train.py'], os.listdir('.')\n"
        "open('weights', 'w').close()\n"
        "for name in ('genome', 'baseline'):\n"
        "    open(f'../../{name}/prepare.py', 'w').close()\n",
    )
    result, _ = supervise(text, baseline=stepping(0.001), **CALIBRATED).finish()
    assert result.status == "complete", result.log_tail


def test_a_genome_that_became_dearer_after_calibration_meets_the_cap(supervise):
    text = stepping(0.002, then="prepare.spin(0.05 if prepare.MODE == 'train' else 0)")
    changes = {**CALIBRATED, "evaluation_cpu_seconds": 0.1, "yardstick_tokens": 300_000}
    supervised = supervise(text, baseline=stepping(0.002), **changes)
    result, _ = supervised.finish()
    assert (result.status, result.failure_kind) == ("timed_out", "time_out"), result
    assert "CPU-seconds" in result.failure_message


def test_a_machine_that_became_slower_extends_the_cap(supervise):
    # The price was known when the machine was "fifty times faster": the reference finds out.
    changes = {
        **CALIBRATED,
        "calibrate": False,
        "evaluation_cpu_seconds": 0.0,
        "yardstick_tokens": 200_000,
        "known_prices": [[1.0, 20, 4e-8]],
    }
    result, _ = supervise(stepping(0.002), baseline=stepping(0.002), **changes).finish()
    assert result.status == "complete", result
    assert result.train_tokens == 200_000


def test_a_run_that_disagrees_with_its_calibration_is_suspect(supervise):
    def run(fast: float) -> Result:
        text = f"import prepare\nprepare.batch()\nprepare.score(1.5, fast={fast})\n"
        changes = {**CALIBRATED, "calibrate": False, "known_prices": [[1.0, 20, 2e-6]]}
        return supervise(text, baseline=stepping(0.002), **changes).finish()[0]

    assert not run(2.1e-6).is_suspect
    assert run(1.0).is_suspect
    assert not run(-1.0).is_suspect


def test_a_token_budget_is_trained_exactly(supervise):
    result, _ = supervise(stepping(0.001), budget_kind="cpu", token_budget=7000).finish()
    assert result.train_tokens == 7000
    assert result.granted_tokens is None


def test_a_spec_survives_its_line():
    spec = Spec("s", ["python"], {"A": "b"}, "h", {"snapshots": [0.5]}, "wall", 3.0, cpu=1)
    assert Spec.from_line(spec.to_line()) == spec


# Trainers that are forked with their libraries loaded


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="forks on Linux alone")
def test_a_forked_trainer_is_like_a_started_one(supervise, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "leaked")
    core = max(os.sched_getaffinity(0))
    text = (
        f"""
import os, pathlib, pickle, sys
assert "decimal" in sys.modules, "not forked"
assert sys.argv == ["train.py"], sys.argv
assert __name__ == "__main__" and sys.modules["__main__"].__dict__ is globals()
assert pathlib.Path(__file__) == pathlib.Path.cwd() / "train.py", __file__
assert sys.path[0] == os.getcwd(), sys.path
assert not [name for name in sys.modules if name.startswith("evolution")]
assert os.getsid(0) == os.getpid()
assert os.sched_getaffinity(0) == {{{core}}}
assert os.environ["HOME"] == os.environ["TMPDIR"] == os.getcwd()
assert "leaked" not in os.environ.values()
assert "leaked" not in open("/proc/self/environ").read()
assert os.environ["EVORESEARCH_TRIAL"].endswith("/1")
assert len(os.listdir("/proc/self/fd")) == 6, os.listdir("/proc/self/fd")
class Row: pass
pickle.loads(pickle.dumps(Row()))
"""
        + stepping(0.001)
        + """
import atexit
atexit.register(print, "left in peace")
sys.exit(0)
"""
    )
    supervised = supervise(text, baseline=stepping(0.001), cpu=core, **CALIBRATED)
    result, _ = supervised.finish()
    assert result.status == "complete", result.log_tail
    assert "left in peace" in result.log_tail


def test_a_genome_that_could_kill_the_warden_gains_nothing(supervise):
    text = "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n" + stepping(0.001)
    result, _ = supervise(text, baseline=stepping(0.001), level="basic", **CALIBRATED).finish()
    assert (result.status, result.val_bpb) in (("crashed", None), ("complete", 1.5)), result


def test_with_nothing_to_preload_every_trainer_is_a_program(supervise):
    text = "import sys\nassert 'decimal' not in sys.modules\n" + stepping(0.001)
    changes = {**CALIBRATED, "preload": []}
    result, _ = supervise(text, baseline=stepping(0.001), **changes).finish()
    assert result.status == "complete", result.log_tail


def test_what_cannot_be_loaded_is_left_to_the_genome(supervise):
    changes = {**CALIBRATED, "preload": ["no_such_module", "decimal"]}
    result, _ = supervise(stepping(0.001), baseline=stepping(0.001), **changes).finish()
    assert result.status == "complete", result.log_tail
