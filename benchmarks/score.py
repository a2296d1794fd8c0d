"""What does the trusted score cost, and which forgeries does it catch?

*Cost.* One model of the shipped genome is scored again and again: plainly, in one loop over the
rows as ``prepare.py`` does it alone, and by the protocol, with the worker as a plain process and a
socket. Plain and trusted alternate; each part is a ratio to the plain evaluation of its own
repeat, with the median and a bootstrap interval over repeats. Measured at the profile's text and at
a longer one (rows repeated up to ``--long`` tokens). The fixed start of a process (Python, torch,
genome, first batch) is taken out and shown apart, in seconds. CPU seconds of the worker count, or
wall seconds with ``--device cuda``.

*Power.* For each forgery (share of the tokens, nats) the probability that an audit catches it, by
formula and by trying, at 1,000 and 4,000 probes. Losses and reference are those of the text.

    python -m benchmarks.score --repeats 5 --json score.json
"""

import argparse
import io
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from evolution.ruler import Ruler
from evolution.sandbox import score_worker
from evolution.sandbox.line import sealed_file
from evolution.scoring import (
    Rows,
    SocketLine,
    Tolerance,
    check_claim,
    judge,
    plan_audit,
    read_rows,
    reference_losses,
    rows_per_batch,
    take_audit,
    take_claim,
    worker_conditions,
)
from evolution.scoring.power import Forgery, catch_probability, measured_catches
from evolution.templates import template_path

FORGERIES = (
    Forgery(1.0, 0.03),
    Forgery(0.1, 0.1),
    Forgery(0.1, 1.0),
    Forgery(0.01, 0.1),
    Forgery(0.01, 1.0),
    Forgery(0.002, 0.5),
    Forgery(0.002, 5.0),
)
Losses = npt.NDArray[np.float32]
Figures = dict[str, float]


class Setting:
    """One text, one genome and its state: what every repeat scores."""

    def __init__(self, folder: Path, data: Path, device: str, tokens: int | None) -> None:
        """Build the genome's model in ``folder``, trained a little on the spot: soft-caps, bf16."""
        rows = read_rows(data, "validation")
        self.reference = reference_losses(data, "validation")
        if tokens is not None:
            times = -(-tokens // rows.targets.size)
            rows = Rows(np.tile(rows.tokens, (times, 1)), rows.byte_lengths)
            self.reference = np.tile(self.reference, (times, 1))
        self.folder, self.data, self.device, self.rows = folder, data, device, rows
        self.batch_size = rows_per_batch(device, rows.seq_len, rows.vocab_size)
        self.filler = np.fromfile(data / "train.bin", dtype=np.uint16)

    def conditions(self, mode: str) -> dict[str, object]:
        """What a worker, or a model built here, is told."""
        facts = worker_conditions(mode, self.rows, self.batch_size, self.device)
        return {"data": str(self.data), "rng_seed": 1, **facts}


def build(setting: Setting) -> torch.nn.Module:
    """The genome's model, in this process, as a trained one: all layers do something."""
    os.environ["EVORESEARCH_CONDITIONS"] = json.dumps(setting.conditions("train"))
    sys.path.insert(0, str(setting.folder))
    torch.manual_seed(1)
    model = score_worker.build_model(str(setting.folder / "train.py")).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2 and parameter.std() < 0.01:
                parameter.normal_(std=0.02)
    return model


def plain(setting: Setting, model: torch.nn.Module) -> float:
    """Seconds of one loop over the rows; cross-entropy included."""
    asker = score_worker.Asker(model, setting.conditions("claim"))
    started = own_seconds(setting.device)
    with torch.inference_mode():
        for first in range(0, setting.rows.row_count, setting.batch_size):
            wanted = np.arange(first, first + setting.batch_size) % setting.rows.row_count
            score_worker._losses(asker, setting.rows.tokens[wanted])
    return own_seconds(setting.device) - started


def own_seconds(device: str) -> float:
    """CPU seconds of this process; on a GPU the time, once it has nothing left to do."""
    if device == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def worker_seconds(device: str, process_id: int) -> float:
    """CPU seconds of a worker so far; on a GPU the time."""
    if device == "cuda":
        return time.perf_counter()
    fields = Path(f"/proc/{process_id}/stat").read_text("ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Worker:
    """A score worker as a plain process; no box."""

    def __init__(self, setting: Setting, mode: str) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {
            **os.environ,
            "EVORESEARCH_CONDITIONS": json.dumps(setting.conditions(mode)),
            "EVORESEARCH_HARNESS": f"{theirs.fileno()},{theirs.fileno()}",
        }
        command = [sys.executable, score_worker.__file__]
        self._process = subprocess.Popen(
            command, cwd=setting.folder, env=environment, pass_fds=(theirs.fileno(),)
        )
        theirs.close()
        self._device, self._socket = setting.device, ours
        self.line = SocketLine(ours, time.monotonic() + 600)

    def seconds(self) -> float:
        """What it has cost so far."""
        return worker_seconds(self._device, self._process.pid)

    def close(self) -> None:
        """Hang up and wait."""
        self._socket.close()
        if self._process.wait(60) not in (0, 1):
            raise RuntimeError("a score worker crashed")


def trusted(
    setting: Setting, state: int, probe_count: int, pair_count: int, start_seconds: float
) -> Figures:
    """Seconds of each part of one trusted scoring; process start taken out."""
    rows = setting.rows
    worker = Worker(setting, "claim")
    claim = take_claim(worker.line, state, rows)
    claim_seconds = worker.seconds() - start_seconds
    worker.close()
    before = time.process_time()
    check_claim(rows, claim)
    asked = plan_audit(
        rows,
        claim,
        setting.reference,
        probe_count=probe_count,
        pair_count=pair_count,
        batch_size=setting.batch_size,
        filler=setting.filler,
        rng=np.random.default_rng(0),
    )
    planned = time.process_time() - before
    worker = Worker(setting, "audit")
    before = time.process_time()
    tolerance = Tolerance() if setting.device == "cpu" else Tolerance(0.05, 0.2)
    report = judge(asked, claim, take_audit(worker.line, state, asked, rows.vocab_size), tolerance)
    judged = time.process_time() - before
    rounds_seconds = worker.seconds() - start_seconds
    worker.close()
    share = pair_count / (asked.probe_count + pair_count)
    return {
        "claim": claim_seconds,
        "audit": rounds_seconds * (1 - share),
        "pair": rounds_seconds * share,
        "harness": planned + judged,
        "largest gap": report.largest_gap,
        "rounds": float(asked.round_count),
    }


def measure_start(setting: Setting, state: int) -> float:
    """Seconds until a worker has loaded torch, genome and state, and run its first batch."""
    worker = Worker(setting, "audit")
    one = plan_audit(
        setting.rows,
        setting.reference,
        setting.reference,
        probe_count=1,
        pair_count=0,
        batch_size=setting.batch_size,
        filler=setting.filler,
        rng=np.random.default_rng(0),
    )
    list(take_audit(worker.line, state, one, setting.rows.vocab_size))
    seconds = worker.seconds()
    worker.close()
    return seconds


def summarise(ratios: Sequence[float], rng: np.random.Generator) -> list[float]:
    """Median, and a 95 % bootstrap interval of it."""
    drawn = np.median(rng.choice(np.array(ratios), size=(2000, len(ratios))), axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return [statistics.median(ratios), float(low), float(high)]


def measure_cost(
    setting: Setting, options: argparse.Namespace, rng: np.random.Generator
) -> dict[str, object]:
    """All parts as ratios to the plain evaluation of the same repeat."""
    model = build(setting)
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    state = sealed_file(buffer.getvalue())
    plain(setting, model)  # the first is slower
    starts, ratios = [], []
    gaps, rounds, seconds = 0.0, 0.0, []
    for _ in range(options.repeats):
        starts.append(measure_start(setting, state))
        base = plain(setting, model)
        parts = trusted(setting, state, options.probes, options.pairs, starts[-1])
        gaps, rounds = max(gaps, parts.pop("largest gap")), parts.pop("rounds")
        seconds.append(base)
        ratios.append(
            {name: part / base for name, part in parts.items()}
            | {"total": sum(parts.values()) / base}
        )
    os.close(state)
    return {
        "tokens": setting.rows.targets.size,
        "batches": -(-setting.rows.row_count // setting.batch_size),
        "rounds": rounds,
        "plain_seconds": statistics.median(seconds),
        "start_seconds": statistics.median(starts),
        "largest_gap": gaps,
        "ratios": {name: summarise([r[name] for r in ratios], rng) for name in ratios[0]},
    }


def measure_power(setting: Setting, repeats: int, rng: np.random.Generator) -> list[Figures]:
    """Formula and trials for each forgery; an honest claim that is a noisy reference."""
    rows, reference = setting.rows, setting.reference
    noise = rng.normal(scale=1.0, size=reference.shape)
    losses = np.maximum(0.01, reference + 0.1 + noise).astype(np.float32)
    table = []
    for forgery in FORGERIES:
        line: Figures = {"share": forgery.share, "nats": forgery.nats}
        for probes in (1000, 4000):
            line[f"formula_{probes}"] = catch_probability(
                forgery, probes, losses[rows.counted], reference[rows.counted]
            )
            caught = measured_catches(
                forgery,
                probes,
                losses,
                reference,
                rows,
                batch_size=setting.batch_size,
                repeat_count=repeats,
                rng=rng,
            )
            line[f"measured_{probes}"] = caught / repeats
        table.append(line)
    return table


def show_cost(found: Mapping[str, object]) -> None:
    """One block of the table."""
    print(
        f"\n{found['tokens']:,} tokens: plain {found['plain_seconds']:.2f} s, {found['batches']} "
        f"batches, {found['rounds']:.0f} rounds, start {found['start_seconds']:.2f} s a process, "
        f"largest gap {found['largest_gap']:.1e} nats"
    )
    ratios = found["ratios"]
    assert isinstance(ratios, dict)
    for name, (middle, low, high) in ratios.items():
        print(f"  {name:8} {middle:6.3f} × plain  [{low:.3f}, {high:.3f}]")


def main() -> None:
    """Measure and print; figures go to ``--json``."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="cpu")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--probes", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=32)
    parser.add_argument("--long", type=int, default=1_050_000, help="tokens; 0 leaves it out")
    parser.add_argument("--trials", type=int, default=200, help="audits for each forgery")
    parser.add_argument("--rng-seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where the figures go")
    options = parser.parse_args()
    if options.device == "cpu":
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    rng = np.random.default_rng(options.rng_seed)
    data = Ruler.load(template_path("prepare.py")).prepare(options.profile).path
    found: dict[str, object] = {"torch": torch.__version__, "numpy": np.__version__, "cost": []}
    costs: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        for file in ("train.py", "prepare.py"):
            shutil.copyfile(template_path(file), Path(name) / file)
        for tokens in [None, *([options.long] if options.long else [])]:
            setting = Setting(Path(name), data, options.device, tokens)
            costs.append(measure_cost(setting, options, rng))
            show_cost(costs[-1])
        setting = Setting(Path(name), data, options.device, None)
        power = measure_power(setting, options.trials, rng)
    print("\nshare   nats   1,000 probes: formula, measured   4,000 probes")
    for line in power:
        print(
            f"{line['share']:5.1%} {line['nats']:6.2f}   {line['formula_1000']:18.4f}, "
            f"{line['measured_1000']:8.4f}   {line['formula_4000']:.4f}, "
            f"{line['measured_4000']:.4f}"
        )
    if options.json:
        found |= {"cost": costs, "power": power}
        options.json.write_text(json.dumps(found, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
