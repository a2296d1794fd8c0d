"""How well does the formula of `evolution/sizing/memory.py` tell the memory of training?

The shipped genome takes two optimizer steps on made-up tokens, each time in a process of its own,
at sizes that differ in depth, width, batch and vocabulary. Measured is the peak of resident memory
(`VmHWM`, which Linux lets a process reset) over what torch and imports hold before the model is
built; freed memory goes back at once, so that the peak is what was held. Reported for each size:
the formula's figure, the measured one, and their ratio.

    python -m benchmarks.memory --json memory.json
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track

from evolution.sizing import Shape, training_mb
from evolution.templates import template_path
from population import knobs, set_knobs

#: Depth, width, batch, sequence, vocabulary: one of them changes at a time, then several.
SIZES: tuple[tuple[int, int, int, int, int], ...] = (
    (2, 128, 64, 64, 2048),
    (4, 128, 64, 64, 2048),
    (2, 256, 64, 64, 2048),
    (2, 128, 128, 64, 2048),
    (2, 128, 64, 64, 8192),
    (2, 128, 16, 256, 2048),
    (6, 256, 64, 64, 1024),
    (4, 384, 32, 128, 4096),
)
#: The last lines of the program: the genome is loaded, and nothing of it is on the heap yet.
_PROGRAM = """
import json, sys, time, types
import torch
import torch._dynamo
torch.set_num_threads(1)
seq_len, vocab_size = {seq_len}, {vocab_size}
ruler = types.ModuleType("prepare")
ruler.DEVICE, ruler.MAX_SEQ_LEN, ruler.VOCAB_SIZE = "cpu", seq_len, vocab_size
ruler.depth = lambda default: default
sys.modules["prepare"] = ruler
import train

def field(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name)) / 1024

def batches():
    while True:
        both = torch.randint(vocab_size, (train.BATCH_SIZE, seq_len + 1))
        yield both[:, :-1].contiguous(), both[:, 1:].contiguous()

warm = torch.randn(64, 64, requires_grad=True)
(torch.nn.functional.rms_norm(warm @ warm, (64,)).sum()).backward()
before = field("VmRSS")
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
model = train.build_model()
optimizers = train.build_optimizers(model)
given = batches()
for _ in range(2):
    train.set_rates(*optimizers, 0.1)
    train.train_step(model, optimizers, given)
print(json.dumps({{
    "measured_mb": field("VmHWM") - before,
    "parameters": sum(p.numel() for p in model.parameters()),
    "has_bf16": model.dtype is torch.bfloat16,
}}))
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One size: MiB by the formula and measured."""

    depth: int
    width: int
    batch_size: int
    seq_len: int
    vocab_size: int
    parameters: int
    has_bf16: bool
    formula_mb: float
    measured_mb: float

    @property
    def ratio(self) -> float:
        """Formula over measurement."""
        return self.formula_mb / self.measured_mb


def measure(size: tuple[int, int, int, int, int]) -> Row:
    """Train two steps at this size, elsewhere.

    Raises:
        subprocess.CalledProcessError: The genome does not train at this size.
    """
    depth, width, batch_size, seq_len, vocab_size = size
    text = template_path("train.py").read_text(encoding="utf-8")
    text = set_knobs(text, {"DEPTH": depth, "WIDTH": width, "BATCH_SIZE": batch_size})
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "train.py").write_text(text, encoding="utf-8")
        program = _PROGRAM.format(seq_len=seq_len, vocab_size=vocab_size)
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=folder,
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "MALLOC_ARENA_MAX": "1",
                "MALLOC_MMAP_THRESHOLD_": "65536",
                "MALLOC_TRIM_THRESHOLD_": "0",
            },
            stdout=subprocess.PIPE,
            text=True,
            timeout=600,
            check=True,
        )
    found = json.loads(done.stdout.splitlines()[-1])
    facts = {"seq_len": seq_len, "vocab_size": vocab_size}
    formula = training_mb(Shape.of(knobs(text), facts), has_bf16=found["has_bf16"])
    return Row(
        *size,
        parameters=found["parameters"],
        has_bf16=found["has_bf16"],
        formula_mb=formula,
        measured_mb=found["measured_mb"],
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure each size and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, help="write all of it there")
    options = parser.parse_args(arguments)
    rows = [measure(size) for size in track(SIZES, description="sizes")]
    print("depth width batch  seq vocab   formula  measured  ratio")
    for row in rows:
        print(
            f"{row.depth:5d} {row.width:5d} {row.batch_size:5d} {row.seq_len:4d} "
            f"{row.vocab_size:5d} {row.formula_mb:7.0f} MiB {row.measured_mb:5.0f} MiB "
            f"{row.ratio:6.2f}"
        )
    ratios = [row.ratio for row in rows]
    print(f"formula / measured: {min(ratios):.2f} to {max(ratios):.2f}")
    if options.json:
        facts = [
            {name: getattr(row, name) for name in (*Row.__dataclass_fields__, "ratio")}
            for row in rows
        ]
        options.json.write_text(json.dumps(facts, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
