"""The choice of a profile for a machine: sizes, budget, workers, and why (pure).

A processor gets `cpu` as it is. A GPU gets `gpu`, autoresearch's own sizes, as far as they fit: a
smaller card takes fewer layers, and fewer sequences at once with as many more forward passes to a
step, so that a step always sees the same number of tokens.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

from evolution.sizing.machine import Gpu, Machine
from evolution.sizing.memory import Shape, number, training_mb
from population import KnobValue

#: What `--profile` is called that names no profile.
AUTO = "auto"
#: Resident memory of one trainer of the cpu profile in MiB, torch included, with room to spare.
TRAINER_MB = 700
#: Compiled genomes need Triton, which needs this CUDA compute capability.
OLDEST_CAPABILITY = (7, 0)
#: Share of a GPU's memory that is planned with: fragments and the display take some.
_GPU_SHARE = 0.9
#: MiB beside the trainer while a model is scored: two CUDA contexts, and the scorer's batch, whose
#: logits fill 512 MiB and are held in three and a half copies.
_CONTEXTS_MB, _SCORER_MB = 2 * 500.0, 3.5 * 512.0
#: Layers by least memory of the card in MiB: memory stands for pace, of which no list is kept.
#: Width is 64 × layers, the published proportion.
_DEPTHS = ((36_000.0, 8), (15_000.0, 6), (0.0, 4))
_WIDTH_PER_LAYER = 64
_BATCHES = (128, 64, 32, 16, 8, 4)
#: From so many cores on, one is left to the search itself.
_SPARE_FROM = 8
#: Below this pace of a core a trial's budget grows, up to so many times the profile's.
_SLOW, _LONGEST = 0.75, 4.0


class Published(NamedTuple):
    """What the choice starts from: the profiles' own figures."""

    cpu_seconds: float
    gpu_seconds: float
    gpu_knobs: Mapping[str, KnobValue]
    gpu_facts: Mapping[str, object]
    #: The largest scale of depth that a verdict trains at; 1.5 is the settings' own.
    deepest: float = 1.5


@dataclass(frozen=True, slots=True)
class Choice:
    """A profile for a machine.

    Attributes:
        profile: Its name.
        workers: Trainings at once.
        found: The facts, in one line.
        reasons: One line for each decision.
        knobs: What the genome takes in place of the profile's sizes.
        budget: Seconds of one trial; 0 for the profile's own.
        memory_mb: Expected peak of one trainer in MiB, at the verdict's largest depth; None where
            it does not matter.
    """

    profile: str
    workers: int
    found: str
    reasons: Sequence[str]
    knobs: Mapping[str, KnobValue] = field(default_factory=lambda: MappingProxyType({}))
    budget: float = 0.0
    memory_mb: float | None = None

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON values."""
        plain = {"knobs": dict(self.knobs), "reasons": list(self.reasons)}
        names = ("profile", "workers", "found", "budget", "memory_mb")
        return {**{name: getattr(self, name) for name in names}, **plain}

    def overrides(self) -> dict[str, object]:
        """The same as settings, by dotted name; all of them concrete."""
        return {
            "run.profile": self.profile,
            "run.knobs": dict(self.knobs),
            "run.budget": self.budget,  # 0, too: one of another choice may stand in its place
            "workers.count": self.workers,
        }

    def lines(self) -> list[str]:
        """What was found, what was chosen, and why, for people."""
        knobs = "".join(f", {name} = {value}" for name, value in self.knobs.items())
        budget = f", {self.budget:g} s a trial" if self.budget else ""
        many = "1 worker" if self.workers == 1 else f"{self.workers} workers"
        chosen = f"chose {self.profile}: {many}{knobs}{budget}"
        return [f"found {self.found}", chosen, *(f"because {why}" for why in self.reasons)]


def choose(machine: Machine, published: Published) -> Choice:
    """The profile that suits a machine.

    Args:
        machine: What there is.
        published: The profiles as they are shipped.
    """
    reason = _no_gpu(machine)
    if reason is not None:
        return _on_cores(machine, published, reason)
    smallest = min(machine.gpus, key=lambda gpu: (gpu.memory_mb, gpu.name))
    has_bf16 = all(gpu.has_bf16 for gpu in machine.gpus)
    fitting = _fitting(smallest, has_bf16, published)
    if fitting is None:
        why = f"{smallest.name} has too little memory for the smallest sizes of gpu"
        return _on_cores(machine, published, why)
    return _on_gpus(machine, smallest, fitting, has_bf16=has_bf16, published=published)


def _no_gpu(machine: Machine) -> str | None:
    """Why no GPU is used; None if one is."""
    if machine.has_mps:
        return "an Apple GPU is not tested as a trainer, and no box holds it: its cores train"
    if not machine.gpus:
        return "there is no GPU that torch can use"
    old = next((g for g in machine.gpus if g.capability < OLDEST_CAPABILITY), None)
    if old is None:
        return None
    major, minor = old.capability
    return (
        f"torch.compile needs compute capability {OLDEST_CAPABILITY[0]}.{OLDEST_CAPABILITY[1]}, "
        f"and {old.name} has {major}.{minor}"
    )


def _on_cores(machine: Machine, published: Published, why: str) -> Choice:
    spare = 1 if machine.core_count >= _SPARE_FROM else 0
    room = int(machine.memory_mb // TRAINER_MB)
    workers = max(1, min(machine.core_count - spare, room))
    reasons = [f"cpu: {why}"]
    if room < machine.core_count - spare:
        reasons.append(f"workers: free memory holds {room} trainers of {TRAINER_MB} MiB")
    elif spare:
        reasons.append(f"workers: one of {machine.core_count} cores is left to the search itself")
    else:
        reasons.append("workers: a trainer for each core")
    budget = 0.0
    rate = machine.core_rate
    if rate is None:
        reasons.append("budget: the pace of a core was not measured, so it is the profile's")
    elif rate < _SLOW:
        budget = float(round(published.cpu_seconds * min(_LONGEST, 1 / rate)))
        reasons.append(f"budget: at {rate:.2f} × the pace, fewer steps would say little")
    return Choice("cpu", workers, machine.in_words(), tuple(reasons), budget=budget)


class _Fitting(NamedTuple):
    knobs: dict[str, KnobValue]
    memory_mb: float


def _fitting(gpu: Gpu, has_bf16: bool, published: Published) -> _Fitting | None:
    """The largest sizes of the card's class that fit into it at every depth; None if none do."""
    sizes = published.gpu_knobs
    step_rows = int(number(sizes, "BATCH_SIZE") * number(sizes, "GRAD_ACCUM"))
    room = room_mb(gpu)
    first = next(depth for least, depth in _DEPTHS if gpu.memory_mb >= least)
    first = first if has_bf16 else _DEPTHS[-1][1]
    for depth in (depth for _, depth in _DEPTHS if depth <= first):
        for batch_size in _BATCHES:
            knobs: dict[str, KnobValue] = {
                **sizes,
                "DEPTH": depth,
                "WIDTH": _WIDTH_PER_LAYER * depth,
                "BATCH_SIZE": batch_size,
                "GRAD_ACCUM": step_rows // batch_size,
            }
            shape = Shape.of({"MLP_RATIO": 4, **knobs}, published.gpu_facts)
            deepest = replace(shape, depth=scaled(depth, max(1.0, published.deepest)))
            needed = training_mb(deepest, on_gpu=True, has_bf16=has_bf16)
            if needed <= room:
                return _Fitting(knobs, needed)
    return None


def scaled(depth: int, scale: float) -> int:
    """Layers at a scale of depth, as the ruler rounds them."""
    return max(1, math.floor(depth * scale + 0.5))


def room_mb(gpu: Gpu) -> float:
    """MiB of a GPU that one trainer may fill: a scorer works beside it while it stands frozen."""
    return gpu.memory_mb * _GPU_SHARE - _CONTEXTS_MB - _SCORER_MB


def _on_gpus(
    machine: Machine, smallest: Gpu, fitting: _Fitting, *, has_bf16: bool, published: Published
) -> Choice:
    knobs = {n: v for n, v in fitting.knobs.items() if v != published.gpu_knobs.get(n)}
    many = len(machine.gpus)
    reasons = [f"gpu: {smallest.name} trains {published.gpu_seconds:g} s by itself in each trial"]
    reasons.append("workers: one for each GPU" if many > 1 else "workers: there is one GPU")
    if len({(gpu.name, gpu.memory_mb) for gpu in machine.gpus}) > 1:
        reasons.append(
            "sizes: the GPUs differ, so those of the smallest; five minutes are not the same work "
            "on each: name equal ones in CUDA_VISIBLE_DEVICES"
        )
    if not has_bf16:
        reasons.append("sizes: without bfloat16 numbers take twice the room, and far longer")
    reasons += _why_these_sizes(knobs, smallest, fitting, published)
    return Choice(
        "gpu",
        many,
        machine.in_words(),
        tuple(reasons),
        knobs=MappingProxyType(knobs),
        memory_mb=round(fitting.memory_mb),
    )


def _why_these_sizes(
    knobs: Mapping[str, KnobValue], gpu: Gpu, fitting: _Fitting, published: Published
) -> list[str]:
    estimate = f"about {fitting.memory_mb / 1024:.1f} of {room_mb(gpu) / 1024:.1f} GiB"
    if published.deepest > 1:
        estimate += f" at depth × {published.deepest:g},"
    if not knobs:
        return [f"sizes: autoresearch's own fit ({estimate} beside a scorer)"]
    reasons = []
    if "DEPTH" in knobs:
        reasons.append(
            f"DEPTH: a card of {gpu.memory_mb / 1024:.0f} GiB is slower than those the profile was "
            "made for; fewer layers leave steps enough"
        )
    if "BATCH_SIZE" in knobs:
        tokens = int(number(fitting.knobs, "BATCH_SIZE") * number(fitting.knobs, "GRAD_ACCUM"))
        tokens *= int(str(published.gpu_facts["seq_len"]))
        reasons.append(
            f"BATCH_SIZE: {estimate} beside a scorer; GRAD_ACCUM keeps {tokens:,} tokens a step"
        )
    return reasons


def with_note(text: str, note: Sequence[str]) -> str:
    """A genome with comment lines above its first knob, where it says what knobs are."""
    lines = text.splitlines(keepends=True)
    place = next((n for n, line in enumerate(lines) if line.startswith("# --- knobs")), None)
    if place is None or not note:
        return text
    comment = [f"# {line}".rstrip() + "\n" for line in note]
    return "".join([*lines[: place + 1], "\n", *comment, *lines[place + 1 :]])
