import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from evolution.executors import (
    Finished,
    LocalExecutor,
    Site,
    Slot,
    Started,
    YardstickError,
    cpu_slots,
    gpu_slots,
    sweep_orphans,
)
from evolution.executors.outcomes import Curve, outcome_of
from evolution.executors.site import Limits, Scorer, job_spec
from evolution.sandbox.environment import supervisor_environment, trainer_environment
from evolution.sandbox.spec import Result
from evolution.templates import template_path
from population import (
    Budget,
    BudgetKind,
    Calibration,
    Conditions,
    CurvePoint,
    FailureClass,
    Genome,
    TrialStatus,
    canonical_hash,
    set_knobs,
)
from tests.evolution.executor_contract import (
    ENDLESS,
    GOOD,
    ExecutorContract,
    a_job,
    a_local_executor,
    a_site,
    events_until_end,
    outcome_of_job,
)

CPU = Conditions(Budget(BudgetKind.CPU, 0.1), rng_seed=1, device_class="here")

#: A trainer with a daemon that left its session; both write down who they are.
WITH_DAEMON = """
import os, pathlib, time
import prepare

DATA = pathlib.Path(prepare.CONDITIONS["data"])
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        (DATA / f"pid-{os.getpid()}").touch()
        time.sleep(600)
    os._exit(0)
(DATA / f"pid-{os.getpid()}").touch()
prepare.batch()
prepare.report(1.0)
time.sleep(600)
"""


class TestLocalExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self, tmp_path: Path) -> Iterator[LocalExecutor]:
        executor = a_local_executor(tmp_path, 2)
        yield executor
        executor.close()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = a_site(tmp_path)
    site.data.mkdir()
    return site


@pytest.fixture
def executor(site: Site) -> Iterator[LocalExecutor]:
    executor = LocalExecutor(site, cpu_slots(1))
    yield executor
    executor.close()


def family(site: Site, count: int) -> list[int]:
    give_up = time.monotonic() + 60
    while len(pids := list(site.data.glob("pid-*"))) < count:
        assert time.monotonic() < give_up
        time.sleep(0.01)
    return [int(path.name.removeprefix("pid-")) for path in pids]


def all_gone(pids: list[int]) -> bool:
    alive = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    return all(process.status() == psutil.STATUS_ZOMBIE for process in alive)


def wait_until_gone(pids: list[int]) -> None:
    give_up = time.monotonic() + 60
    while not all_gone(pids):
        assert time.monotonic() < give_up
        time.sleep(0.01)


def start_and_get_pid(executor: LocalExecutor) -> int:
    executor.submit(a_job(WITH_DAEMON))
    (started,) = executor.poll(0.0)
    assert isinstance(started, Started)
    assert started.supervisor_pid is not None
    return started.supervisor_pid


def test_a_killed_supervisor_is_our_fault_and_leaves_nobody(site, executor):
    supervisor = start_and_get_pid(executor)
    members = family(site, 2)
    os.kill(supervisor, signal.SIGKILL)
    last = events_until_end(executor)[-1]
    assert isinstance(last, Finished)
    assert last.outcome.failure is not None
    assert last.outcome.failure.kind is FailureClass.HARNESS
    assert all_gone(members)
    assert list(site.scratch.iterdir()) == []
    assert outcome_of_job(executor, a_job(GOOD)).status is TrialStatus.COMPLETE


def test_a_supervisor_that_does_not_answer_is_killed_after_a_stop(site, executor, monkeypatch):
    monkeypatch.setattr("evolution.executors.attempt._STOP_SECONDS", 0.3)
    supervisor = start_and_get_pid(executor)
    members = family(site, 2)
    os.kill(supervisor, signal.SIGSTOP)
    executor.stop(1, "hopeless")
    executor.stop(1, "twice")
    last = events_until_end(executor)[-1]
    assert isinstance(last, Finished)
    assert last.outcome.status is TrialStatus.STOPPED_EARLY
    assert all_gone([supervisor, *members])


def test_closing_leaves_nobody(site, executor):
    supervisor = start_and_get_pid(executor)
    members = family(site, 2)
    executor.close()
    assert all_gone([supervisor, *members])
    assert list(site.scratch.iterdir()) == []


ENGINE = """
import sys, time
from pathlib import Path
from tests.evolution.executor_contract import a_job, a_local_executor

executor = a_local_executor(Path(sys.argv[1]))
executor.submit(a_job(sys.stdin.read()))
print(executor.poll(0.0)[0].supervisor_pid, flush=True)
while True:
    executor.poll(1.0)
"""


def test_a_killed_engine_leaves_nobody(site, tmp_path):
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", ENGINE, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    ) as engine:
        assert engine.stdin is not None
        assert engine.stdout is not None
        engine.stdin.write(WITH_DAEMON)
        engine.stdin.close()
        supervisor = int(engine.stdout.readline())
        members = family(site, 2)
        engine.kill()
    wait_until_gone([supervisor, *members])


def test_a_sweep_finds_orphans_of_its_run_and_spares_the_living(site, executor):
    supervisor = start_and_get_pid(executor)
    members = family(site, 2)
    code = "import time; time.sleep(600)"
    ours = subprocess.Popen(
        [sys.executable, "-c", code], env=supervisor_environment(f"{site.run_id}/77")
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code], env=supervisor_environment(f"{site.run_id}x/77")
    )
    try:
        assert sweep_orphans("no such run") == []
        assert executor.sweep_orphans() == [ours.pid]
        assert not psutil.pid_exists(ours.pid)
        assert other.poll() is None
        assert all(map(psutil.pid_exists, [supervisor, *members]))
        killed = set(sweep_orphans(site.run_id, 1))
        assert killed > {supervisor, *members}  # the warden, too
    finally:
        for process in (ours, other):
            process.kill()
            process.wait()


def test_scratch_that_cannot_be_written_is_our_fault(site, tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    executor = LocalExecutor(replace(site, scratch=blocked), cpu_slots(1))
    executor.submit(a_job())
    started, finished = executor.poll(0.0)
    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
    assert finished.outcome.failure is not None
    assert finished.outcome.failure.kind is FailureClass.HARNESS
    assert executor.free_slots() == 1


def test_a_genome_brings_no_ruler_of_its_own(executor):
    forged = Genome({"train.py": GOOD, "prepare.py": "raise SystemExit('forged')"})
    assert outcome_of_job(executor, a_job(genome=forged)).status is TrialStatus.COMPLETE


def test_summary_and_log_are_kept(site, executor):
    outcome = outcome_of_job(executor, a_job())
    assert outcome.summary == {"val_bpb": 1.5, "num_steps": 4.0}
    assert "num_steps: 4" in (site.logs / "1-1.log").read_text(encoding="utf-8")
    assert outcome.containment == "basic"


def test_a_failure_carries_the_end_of_the_log(executor):
    text = "import prepare\nfor n in range(500): print('line', n)\nprepare.batch()\n1 / 0\n"
    failure = outcome_of_job(executor, a_job(text)).failure
    assert failure is not None
    assert failure.kind is FailureClass.ERROR
    assert failure.message == "ZeroDivisionError: division by zero"
    assert "line 499" in failure.log_tail
    assert "line 100\n" not in failure.log_tail


STEPS = """
import prepare
while prepare.tokens < prepare.AMOUNT:
    prepare.batch()
    prepare.spin(0.001)
    prepare.report()
prepare.score(1.5, fast=0.0)
"""


def test_a_cpu_budget_is_calibrated_and_pooled_with_what_is_known(site):
    genome = Genome.single(STEPS)
    executor = LocalExecutor(
        replace(site, baseline=genome), cpu_slots(1), limits=Limits(pair_count=20)
    )
    yardstick = executor.calibrate_baseline("here", pair_count=20)
    assert yardstick.genome_hash == canonical_hash(genome)
    assert (yardstick.device_class, yardstick.pair_count) == ("here", 20)
    executor.set_yardstick(1e-5)  # 0.1 seconds buy the baseline 10,000 tokens
    known = Calibration(canonical_hash(genome), "here", 4.0, 20, 4e-6, 1e-6)
    job = a_job(STEPS, conditions=CPU, calibrate=True, known_calibrations=(known,))
    outcome = outcome_of_job(executor, job)
    executor.close()
    assert outcome.status is TrialStatus.COMPLETE, outcome.failure
    assert outcome.calibration is not None
    pooled = (4.0 * outcome.calibration.cost_ratio) ** 0.5
    assert outcome.granted_tokens == round(10_000 / pooled)
    assert outcome.calibration.genome_hash == canonical_hash(genome)


@pytest.mark.parametrize("preload", [(), ("decimal",)])
def test_trials_of_a_run_in_the_working_folder_know_their_home(
    site, preload, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    at_home = (
        "import os, tempfile\n"
        "assert os.environ['HOME'] == os.environ['TMPDIR'] == os.getcwd()\n"
        "assert tempfile.mkdtemp().startswith(os.getcwd())\n"
    )
    genome = Genome.single(at_home + STEPS)
    here = replace(site, baseline=genome, scratch=Path("runs/first/scratch"), preload=preload)
    executor = LocalExecutor(here, cpu_slots(1), limits=Limits(pair_count=6))
    executor.set_yardstick(1e-5)
    job = a_job(at_home + STEPS, conditions=CPU, calibrate=True)
    outcome = outcome_of_job(executor, job)
    executor.close()
    assert outcome.status is TrialStatus.COMPLETE, outcome.failure


def test_a_baseline_that_does_not_train_gives_no_yardstick(site):
    broken = Genome.single("raise ValueError('worn out')\n")
    executor = LocalExecutor(replace(site, baseline=broken), cpu_slots(1))
    with pytest.raises(YardstickError, match="worn out"):
        executor.calibrate_baseline("cpu")


def test_what_is_left_of_a_stopped_job_is_kept(executor):
    executor.submit(a_job(ENDLESS))
    while not executor.progress()[1]:
        executor.poll(1.0)
    executor.stop(1, "hopeless")
    last = events_until_end(executor)[-1]
    assert isinstance(last, Finished)
    assert [point.loss for point in last.outcome.curve] == [2.0]
    assert last.outcome.train_tokens == 1000


# Real trainings


@pytest.fixture
def real_site(tmp_path: Path, tiny_data: Path, tiny_genome: str) -> Site:
    ruler = template_path("prepare.py")
    return replace(
        a_site(tmp_path),
        ruler=ruler,
        ruler_hash=hashlib.sha256(ruler.read_bytes()).hexdigest(),
        data=tiny_data,
        baseline=Genome.single(tiny_genome),
    )


def test_the_baseline_trains_to_the_same_bit_on_two_slots(real_site, tiny_genome):
    executor = LocalExecutor(real_site, cpu_slots(2))
    conditions = Conditions(Budget(BudgetKind.TOKENS, 20 * 1024), rng_seed=3)
    for trial_id in (1, 2):
        executor.submit(a_job(tiny_genome, trial_id, conditions=conditions))
    events = []
    while executor.free_slots() < 2:
        events += executor.poll(1.0)
    executor.close()
    first, second = (event.outcome for event in events if isinstance(event, Finished))
    assert first.status is TrialStatus.COMPLETE, first.failure
    assert first.val_bpb == second.val_bpb == pytest.approx(first.summary["val_bpb"], abs=1e-6)
    assert [snapshot.fraction for snapshot in first.snapshots] == [0.1, 0.25, 0.5]
    assert first.snapshots == second.snapshots
    assert first.train_tokens == 20 * 1024
    assert first.step_count == 20
    assert first.peak_memory_mb > 50


def test_a_run_that_confirms_is_scored_on_the_sealed_split_too(real_site, tiny_genome):
    site = replace(real_site, scorer=Scorer("trusted"))
    executor = LocalExecutor(site, cpu_slots(1))
    conditions = Conditions(Budget(BudgetKind.TOKENS, 10 * 1024), rng_seed=3)
    job = a_job(tiny_genome, conditions=conditions, is_confirmation=True)
    confirming = outcome_of_job(executor, job)
    searching = outcome_of_job(executor, replace(job, trial_id=2, is_confirmation=False))
    executor.close()
    assert confirming.status is TrialStatus.COMPLETE, confirming.failure
    assert searching.test_bpb is None
    assert confirming.val_bpb == searching.val_bpb
    assert confirming.test_bpb is not None
    assert 0 < abs(confirming.test_bpb - confirming.val_bpb) < 0.5


def test_a_genome_with_more_to_do_in_a_step_is_granted_fewer_tokens(real_site, tiny_genome):
    wide = set_knobs(tiny_genome, {"WIDTH": 128, "DEPTH": 2})
    executor = LocalExecutor(
        real_site, cpu_slots(1), limits=Limits(pair_count=6), yardstick_seconds=2e-5
    )
    outcome = outcome_of_job(executor, a_job(wide, conditions=CPU, calibrate=True))
    executor.close()
    assert outcome.status is TrialStatus.COMPLETE, outcome.failure
    assert outcome.calibration is not None
    assert outcome.calibration.cost_ratio > 1.3
    assert outcome.granted_tokens == round(5_000 / outcome.calibration.cost_ratio)


def test_a_genome_that_diverges_is_not_finite(real_site, tiny_genome):
    wild = set_knobs(tiny_genome, {"MATRIX_LR": 1e30, "EMBEDDING_LR": 1e30})
    executor = LocalExecutor(real_site, cpu_slots(1))
    conditions = Conditions(Budget(BudgetKind.TOKENS, 20 * 1024), rng_seed=3)
    outcome = outcome_of_job(executor, a_job(wild, conditions=conditions))
    executor.close()
    assert outcome.failure is not None
    assert outcome.failure.kind is FailureClass.NOT_FINITE


# Values on the way


def test_slots_are_cores_or_gpus():
    assert len(cpu_slots(5)) == 5
    assert cpu_slots()[0].gpu is None
    assert gpu_slots(["0", "1"]) == [Slot(gpu="0"), Slot(gpu="1")]


def test_deadlines_follow_the_budget(site):
    def seconds(kind: BudgetKind, amount: float, **changes: object) -> float:
        conditions = Conditions(Budget(kind, amount), rng_seed=1)
        job = a_job(conditions=conditions, **changes)
        return job_spec(site, Slot(), Limits(), job, 1e-3).train_seconds

    assert seconds(BudgetKind.WALL, 300) == 660
    assert seconds(BudgetKind.CPU, 10) == 160
    assert seconds(BudgetKind.CPU, 10, token_budget=20_000) == 260
    assert seconds(BudgetKind.TOKENS, 1e9) == 3600


def test_a_gpu_slot_sees_one_device_and_keeps_its_own_threads():
    source = {"PATH": "/bin", "CUDA_VISIBLE_DEVICES": "0,1,2", "AWS_SECRET_KEY": "x", "HOME": "/h"}
    environment = trainer_environment("run/1", Path("/s"), "2", source)
    assert environment["CUDA_VISIBLE_DEVICES"] == "2"
    assert "OMP_NUM_THREADS" not in environment
    assert environment["HOME"] == "/s"
    assert "AWS_SECRET_KEY" not in environment


def test_a_long_curve_is_thinned_evenly():
    curve = Curve(limit=10)
    for step in range(1000):
        curve.add(CurvePoint(step / 1000, 1.0))
    shares = [point.progress for point in curve.points()]
    assert 5 <= len(shares) < 10
    gaps = {round(b - a, 9) for a, b in pairwise(shares)}
    assert len(gaps) == 1


def test_an_outcome_without_a_summary_has_none():
    outcome = outcome_of(a_job(), Result(status="complete", val_bpb=1.0, log_tail="no rule here"))
    assert outcome.summary == {}


@pytest.mark.parametrize("name", ["LocalExecutor", "Limits", "Executor", "Performance"])
def test_the_table_of_contents_resolves(name):
    answer = subprocess.run(
        [
            sys.executable,
            "-c",
            textwrap.dedent(f"""
                from evolution import executors
                assert {name!r} in executors.__all__
                print(getattr(executors, {name!r}).__name__)
            """),
        ],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ).stdout
    assert answer.strip() == name
