"""The processes of one attempt at a trial: started, listened to, limited, frozen, and all ended."""

import errno
import hashlib
import math
import os
import secrets
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from evolution.sandbox.autopsy import classify, oom_kill_count
from evolution.sandbox.cgroup import MemoryGroup
from evolution.sandbox.confinement import Policy
from evolution.sandbox.link import Link
from evolution.sandbox.process_tree import ProcessTree, let_others_first
from evolution.sandbox.spec import Spec
from evolution.sandbox.trainer import Launch, Trainer, bring_data, read_files
from evolution.sandbox.usage import remove_folder, written_bytes
from evolution.sandbox.visible import without
from evolution.sandbox.warden import BoxPlan, Warden

_PATIENCE_SECONDS = 30.0
_TICK_SECONDS = 0.05
_SAMPLE_SECONDS = 0.1
_LOG_TAIL_LINES = 60
_LOG_TAIL_CHARS = 16_384
_MOST_THREADS = 256  # of a tree; beyond, it is a flood
_MOST_TASKS = 512, 4096  # that the kernel counts, where it can: threads, with processes too


class TrialOverError(Exception):
    """The attempt ends here without a score; ``kind`` is a value of ``FailureClass``."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class RejectedError(TrialOverError):
    """The genome breaks a rule of the manual that only its running model can show."""

    def __init__(self, message: str) -> None:
        super().__init__("contract", message)


class Box:
    """Everything that runs for one attempt. There is one deadline; whoever starts a stage sets it.

    The files of the genome and the baseline are read before any genome runs, and every trainer
    gets a fresh folder of them, which no other may enter or guess.
    """

    def __init__(self, spec: Spec, link: Link, selector: selectors.BaseSelector) -> None:
        self.spec = spec
        self.link = link
        self.tree = ProcessTree()
        self.deadline = math.inf
        self.peak_memory_mb = 0.0
        self.cpu_seconds = 0.0  # of all that ever ran; what dies with its box is counted before
        self._selector = selector
        self._trainers: list[Trainer] = []
        self._wardens: list[Warden] = []
        self._frozen: set[int] = set()
        self._niced: set[int] = set()
        self._group: MemoryGroup | None = None
        self._oom_kills = oom_kill_count()
        self._sampled_at = -math.inf
        self._scratch = Path(spec.scratch)
        self._workspace = self._scratch / "box"
        self._files = {who: read_files(self._scratch / who) for who in ("genome", "baseline")}
        self._disk = self._scratch.stat().st_dev
        self._nameless_on_disk = 0
        self._start_count = 0
        self._readable, self._listable = without(spec.readable, spec.hidden)
        self._listable += spec.listable

    def check_ruler(self) -> None:
        """Believe no number that another ``prepare.py`` measured."""
        for files in self._files.values():
            found = hashlib.sha256(files.get("prepare.py", b"")).hexdigest()
            if found != self.spec.ruler_hash:
                raise TrialOverError("harness", "prepare.py in the scratch folder is not the run's")

    def start(
        self,
        who: str,
        conditions: Mapping[str, object],
        *,
        program: str | None = None,
        listener: Callable[[bytes], None] | None = None,
    ) -> Trainer:
        """Start ``genome`` or ``baseline`` in a folder of its own.

        Args:
            who: Which of the two.
            conditions: Beside those of the spec.
            program: A script of ours to run beside the genome; by default the genome itself.
            listener: Hears everything that it prints.
        """
        launch = self._launch(who, conditions, program)
        try:
            if self.spec.script is not None:
                script = self.spec.script
                bring_data(launch.folder, script.data, is_linked=script.is_linked)
            warden = self._warden()
            trainer = Trainer(launch, warden, self.tree, self._selector, listener=listener)
        except (OSError, subprocess.SubprocessError) as error:
            raise TrialOverError("harness", f"the trainer could not be started: {error}") from error
        self._trainers.append(trainer)
        return trainer

    def pump(self) -> bool:
        """Wait a moment for news, and take it in; True when it is time to look at the tree.

        Raises:
            TrialOverError: The tree holds more than it may, a genome floods its line, or a box
                could not be shut.
        """
        self.link.pump(min(_TICK_SECONDS, self.deadline - time.monotonic()))
        self.tree.reap()
        self._be_nice()
        for trainer in self._trainers:
            if (reason := trainer.wall_failure) is not None:
                is_full = any(f"[Errno {code}]" in reason for code in (errno.ENOSPC, errno.EDQUOT))
                raise TrialOverError(
                    "error" if is_full else "harness",
                    f"the box {'is full' if is_full else 'could not be shut'}: {reason}",
                )
            if trainer.floods_line:  # no other trial can hand in anything while it lasts
                raise RejectedError(
                    "rule line: a packet brought several descriptors, one is handed in at a time; "
                    "leave the line to prepare.py"
                )
        if time.monotonic() < self._sampled_at + _SAMPLE_SECONDS:
            return False
        self._sampled_at = time.monotonic()
        self._count_cpu()
        self._check_memory()
        self._check_floods()
        return True

    def is_late(self) -> bool:
        """True once the deadline has passed."""
        return time.monotonic() > self.deadline

    def why_ended(self, trainer: Trainer) -> TrialOverError:
        """The failure of a trainer that has ended by itself."""
        trainer.drain()
        was_oom_killed = oom_kill_count() > self._oom_kills or (
            self._group is not None and self._group.oom_kill_count() > 0
        )
        tail = trainer.log.tail(_LOG_TAIL_LINES)
        kind, message = classify(trainer.exit_code or 0, tail, was_oom_killed=was_oom_killed)
        if kind == "harness" and self.spec.scoring == "trusted":
            kind = "error"  # its own words: where the harness scores, it reads no data of ours
        return TrialOverError(kind, message)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """What is running now stands still; others may be started and ended meanwhile."""
        began = time.monotonic()
        self._frozen = self.tree.signal(signal.SIGSTOP, spare=self._staff())
        deadline = self.deadline
        try:
            yield
        finally:
            self.end_others()
            self._frozen = set()
            self.tree.signal(signal.SIGCONT, spare=self._staff())
            self.deadline = deadline + time.monotonic() - began

    def end_others(self) -> int:
        """Kill what runs while the trial stands still; how many could not be killed."""
        return self._end_all_but(self._staff() | self._frozen)

    def end(self, trainer: Trainer) -> None:
        """End one trainer that leaves no children, and let the others be."""
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while trainer.exit_code is None:
            if trainer.pid is not None:
                self.tree.send(trainer.pid, signal.SIGKILL)
            if time.monotonic() > give_up:
                raise TrialOverError("harness", "a process in the box could not be ended")
            self.pump()
        self._forget(trainer)

    def end_all(self) -> int:
        """Kill every process; how many could not be killed."""
        self._count_cpu()
        for warden in self._wardens:
            self._selector.unregister(warden.channel)
            warden.listen()
            warden.close()
        self._wardens.clear()
        survivor_count = self.tree.kill()
        self._close_group()
        for trainer in self._trainers:
            trainer.drain()
            trainer.close()
        return survivor_count

    def end_trainers(self) -> int:
        """Kill every process but our own in the box; how many could not be killed."""
        return self._end_all_but(self._staff())

    def clear(self) -> str:
        """Keep the genome's last log where it is wanted, remove the folder; the end of the log."""
        wanted = ("genome-train", "genome-script", "genome-calibrate", "genome-weigh")
        logs = {trainer.name: trainer.log for trainer in self._trainers}
        log = next((logs[name] for name in wanted if name in logs), None)
        if log is not None and self.spec.log is not None:
            try:
                Path(self.spec.log).write_text(log.text(), encoding="utf-8")
            except OSError as error:  # a full disk costs the log, not the score
                log.append(f"\n(this log could not be kept: {error})\n".encode())
        remove_folder(self._scratch)
        return log.tail()[-_LOG_TAIL_CHARS:] if log is not None else ""

    def _launch(self, who: str, conditions: Mapping[str, object], program: str | None) -> Launch:
        spec = self.spec
        self._start_count += 1
        name = f"{who}-{conditions['mode']}"
        # Nobody can guess where another trainer's folder was, and ask for what is left of it.
        folder = self._workspace / f"{self._start_count}-{name}-{secrets.token_hex(16)}"
        all_conditions = {**spec.conditions, **conditions}
        if spec.scoring == "trusted":  # lengths and tokenizer, no text
            all_conditions["data"] = str(folder / "data")
        forks = bool(spec.preload)
        return Launch(
            name=name,
            folder=folder,
            files=self._files[who],
            script=(program or spec.entry) if forks else "",
            command=[*spec.command[:-1], program] if program else spec.command,
            environment={**spec.environment, "HOME": str(folder), "TMPDIR": str(folder)},
            conditions=all_conditions,
            cpu=spec.cpu,
            policy=Policy(
                level=spec.level,
                readable=tuple(self._readable),
                listable=tuple(self._listable),
                writable=(str(folder),),
                devices=tuple(spec.devices),
                may_fork=spec.may_fork and conditions["mode"] not in ("claim", "audit"),
                data_bytes=None if spec.devices or spec.memory_mb is None else self._data_bytes(),
                file_bytes=round(spec.workspace_mb * 2**20),
            ),
        )

    def _data_bytes(self) -> int:
        """Private memory that a trainer may ask for: what it may hold, and what malloc keeps."""
        assert self.spec.memory_mb is not None
        return round(2 * self.spec.memory_mb * 2**20) + (1 << 30)

    def _warden(self) -> Warden:
        """Who makes the next trainer."""
        for gone in [warden for warden in self._wardens if warden.is_gone]:
            self._selector.unregister(gone.channel)
            gone.close()
            self._wardens.remove(gone)
        if self._wardens and self.spec.shares_box:
            return self._wardens[-1]
        spec = self.spec
        in_memory = spec.script is None
        plan = BoxPlan(
            level=spec.level,
            readable=tuple(spec.readable),
            devices=tuple(spec.devices),
            hidden=tuple(spec.hidden),
            workspace=self._workspace,
            workspace_bytes=round(spec.workspace_mb * 2**20) if in_memory else None,
        )
        self._workspace.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._group is None and spec.memory_mb is not None:
            self._group = MemoryGroup.open(
                round(spec.memory_mb * 2**20), _MOST_TASKS[spec.may_fork]
            )
        warden = Warden(plan, spec.preload, spec.environment, spec.cpu, self._enter)
        self.tree.watch(warden.pid)
        self._selector.register(warden.channel, selectors.EVENT_READ, warden.listen)
        self._wardens.append(warden)
        return warden

    def _enter(self) -> None:
        """In the process that becomes the warden."""
        if self._group is not None:
            self._group.add(os.getpid())
        if self.spec.niceness:
            let_others_first(os.getpid(), self.spec.niceness)

    def _be_nice(self) -> None:
        """Each trainer begins a session of its own, and cannot do this itself in its box."""
        for trainer in self._trainers if self.spec.niceness else ():
            pid = trainer.pid
            if pid is None or pid in self._niced:
                continue
            with suppress(ProcessLookupError):
                if os.getsid(pid) == pid:  # born, and on its own
                    let_others_first(pid, self.spec.niceness)
                    self._niced.add(pid)

    def _close_group(self) -> None:
        if self._group is not None:
            with suppress(OSError):  # still held by what is being collected; the next one sweeps
                self._group.close()

    def _staff(self) -> set[int]:
        return {pid for warden in self._wardens for pid in warden.staff}

    def _end_all_but(self, spare: set[int]) -> int:
        survivor_count = self.tree.kill(spare=spare)
        for trainer in [t for t in self._trainers if t.pid not in spare]:
            trainer.drain()
            trainer.close()
        return survivor_count

    def _forget(self, trainer: Trainer) -> None:
        trainer.close()
        self._trainers.remove(trainer)

    def _count_cpu(self) -> None:
        self.cpu_seconds = max(self.cpu_seconds, self.tree.cpu_seconds())

    def _check_memory(self) -> None:
        staff = self._staff()
        nameless = self.tree.nameless_bytes(spare=staff)
        self._nameless_on_disk = nameless.pop(self._disk, 0)
        resident = self.tree.memory_mb(spare=staff) + sum(nameless.values()) / 2**20
        if not self._frozen:
            self.peak_memory_mb = max(self.peak_memory_mb, resident)
        limit = self.spec.memory_mb
        if limit is not None and resident > limit:
            raise TrialOverError(
                "out_of_memory", f"{resident:.0f} MB resident, {limit:.0f} MB are allowed"
            )
        # A calibration holds a trainer of the baseline beside the genome's.
        trainer_count = sum(trainer.exit_code is None for trainer in self._trainers)
        allowed = self.spec.manual_memory_mb
        if allowed is not None and resident > allowed * max(1, trainer_count):
            raise TrialOverError(
                "out_of_memory",
                f"limits.memory_mb of program.md: {resident:.0f} MB resident in {trainer_count} "
                f"trainer(s), {allowed:.0f} MB are allowed to each",
            )

    def _check_floods(self) -> None:
        written = written_bytes(self._workspace) + self._nameless_on_disk
        allowed = self.spec.workspace_mb * 2**20
        if written > allowed and self.spec.script is None:
            raise TrialOverError(
                "error",
                f"{written / 2**20:.0f} MB were written to its folder, {allowed / 2**20:.0f} MB "
                "are allowed",
            )
        threads = self.tree.thread_count(spare=self._staff())
        if threads > _MOST_THREADS and not self.spec.may_fork:
            raise TrialOverError(
                "error", f"{threads} threads were started, {_MOST_THREADS} are allowed"
            )
