"""Is our baseline at the level of autoresearch's published design? Part by part, on one machine.

The rival is the published ``train.py`` itself, at the same sizes, data, tokenizer and seeds
(``benchmarks/published.py`` says what is replaced in it and why). Compared are parameters by part,
the price of a step (steps by turns on one core, ratio of the fastest quartiles, t-interval over
pairs of processes), peak memory, and validation bits per byte at fixed steps (paired, 95 %
t-interval).
Beside it: of all pairs of seeds and discoveries, how many merge (``--merges``).

    python -m benchmarks.baseline --published FILE --core 0 --json baseline.json

On a GPU: ``--profile gpu``; both train in bfloat16, compiled, and say their MFU.
"""

import argparse
import json
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.effect_tables import at_profile
from benchmarks.effects import Interval, Measurement, Notebook, Price
from benchmarks.merges import edits_of_baseline, merge_share
from benchmarks.published import (
    COMMIT,
    REPLACEMENTS,
    SHA256,
    PublishedError,
    adapted,
    read_published,
)
from benchmarks.trainers import Run, Trainers, with_trainer_settings
from evolution.calibration import Step, token_seconds
from evolution.profiles import profile_names
from evolution.ruler import Ruler
from evolution.sitting import gpu_names
from evolution.templates import template_path
from population import knobs

#: What a parameter's name holds, in our baseline or in the published text; the first that fits.
PARTS: dict[str, tuple[str, ...]] = {
    "value embeddings": ("values", "value_embeds"),
    "gates": ("gate",),
    "attention": ("attention", "attn"),
    "MLP": ("mlp",),
    "unembedding": ("unembed", "lm_head"),
    "scalars": ("stream_weights", "embed_weights", "lambdas"),
    "token embeddings": ("embed", "wte"),
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was measured of both; ratios are ours ÷ published.

    Attributes:
        parameters: (ours, published) by part.
        step_ratio: Price of our step, with its interval (low, high).
        step_seconds: (ours, published), from the fastest quartile.
        peak_mb: (ours, published), medians over seeds.
        difference: Ours − published in bits per byte; below 0 is better.
        scores: (ours, published) by seed.
        mfu_percent: (ours, published); 0 on a processor.
    """

    parameters: dict[str, tuple[int, int]]
    step_ratio: tuple[float, float, float]
    step_seconds: tuple[float, float]
    peak_mb: tuple[float, float]
    difference: Interval
    scores: tuple[list[float], list[float]]
    mfu_percent: tuple[float, float]


def by_part(parameters: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    """How many numbers each part holds.

    Raises:
        ValueError: A parameter belongs to no part.
    """
    counts = dict.fromkeys(PARTS, 0)
    for name, (count, _) in parameters.items():
        part = next((part for part, words in PARTS.items() if any(w in name for w in words)), None)
        if part is None:
            raise ValueError(f"the parameter {name} is of no part; name its part in PARTS")
        counts[part] += count
    return counts


def ratio_of_steps(groups: Sequence[Sequence[tuple[Step, Step]]]) -> tuple[float, float, float]:
    """Price of the first ÷ the second, with its 95 % t-interval over pairs of processes.

    Args:
        groups: By pair of processes, steps by turns. Steps of the same two processes share what
            makes these two differ, so that more of them do not tell.
    """
    ratios = [
        token_seconds([one for one, _ in pairs]) / token_seconds([two for _, two in pairs])
        for pairs in groups
    ]
    price = Price.of(ratios)
    spread = math.exp(price.reach)
    return price.ratio, price.ratio / spread, price.ratio * spread


def compare(
    trainers: Trainers,
    measurement: Measurement,
    ours: str,
    theirs: str,
    *,
    pricings: int,
    pair_count: int,
) -> Comparison:
    """Measure all of it."""
    counts = [by_part(trainers.parameters(text)) for text in (ours, theirs)]
    print("steps by turns …", file=sys.stderr, flush=True)
    groups = [trainers.step_pairs(ours, theirs, pair_count) for _ in range(pricings)]
    pairs = [pair for group in groups for pair in group]
    runs: list[list[Run]] = []
    for name, text in (("ours", ours), ("published", theirs)):
        print(f"training: {name} …", file=sys.stderr, flush=True)
        runs.append(measurement.runs(text, measurement.tokens) or [])
    scores = [[run.val_bpb for run in each] for each in runs]
    sizes = measurement.tokens / runs[0][0].steps
    return Comparison(
        parameters={part: (counts[0][part], counts[1][part]) for part in PARTS},
        step_ratio=ratio_of_steps(groups),
        step_seconds=(
            sizes * token_seconds([one for one, _ in pairs]),
            sizes * token_seconds([two for _, two in pairs]),
        ),
        peak_mb=_medians(runs, "peak_mb"),
        difference=Interval.of([a - b for a, b in zip(*scores, strict=True)]),
        scores=(scores[0], scores[1]),
        mfu_percent=_medians(runs, "mfu_percent"),
    )


def _medians(runs: Sequence[Sequence[Run]], name: str) -> tuple[float, float]:
    ours, theirs = (statistics.median(getattr(run, name) for run in each) for each in runs)
    return ours, theirs


def report(found: Comparison, steps: int) -> None:
    """Print the table."""
    print(f"{'':28}{'ours':>14}{'published':>14}")
    for part, (ours, theirs) in found.parameters.items():
        print(f"{part:28}{ours:14,}{theirs:14,}")
    total = [sum(each) for each in zip(*found.parameters.values(), strict=True)]
    print(f"{'parameters':28}{total[0]:14,}{total[1]:14,}")
    print(
        f"{'steps a second':28}{1 / found.step_seconds[0]:14.2f}{1 / found.step_seconds[1]:14.2f}"
    )
    print(f"{'peak memory, MiB':28}{found.peak_mb[0]:14.0f}{found.peak_mb[1]:14.0f}")
    if any(found.mfu_percent):
        print(f"{'MFU, %':28}{found.mfu_percent[0]:14.1f}{found.mfu_percent[1]:14.1f}")
    means = [statistics.fmean(each) for each in found.scores]
    print(f"{f'val_bpb after {steps} steps':28}{means[0]:14.4f}{means[1]:14.4f}")
    ratio, low, high = found.step_ratio
    print(f"\nprice of our step ÷ the published one: {ratio:.3f} (95 %: {low:.3f} to {high:.3f})")
    count = len(found.scores[0])
    print(f"val_bpb, ours − published: {found.difference.text} mbpb (95 %, {count} seeds)")


def device_of(options: argparse.Namespace) -> str:
    """Where trainers will run; asked of the driver's tools, since a fork must come before CUDA."""
    wanted = "cuda" if options.profile == "gpu" and gpu_names() else "cpu"
    if options.device not in ("auto", wanted):
        raise SystemExit(
            f"--device is {options.device}, but profile {options.profile} runs on {wanted} here. "
            "Profiles other than gpu stay on the CPU. Leave --device out, or take another profile."
        )
    return wanted


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--published", type=Path, help="the published text; fetched by default")
    parser.add_argument("--sha256", default=SHA256, help="of the text that is meant")
    parser.add_argument("--profile", choices=profile_names(), default="cpu")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--steps", type=int, default=48, help="of each training")
    parser.add_argument("--rng-seeds", type=int, default=6, help="paired trainings, 2 or more")
    parser.add_argument("--pairs", type=int, default=12, help="of steps by turns, each time")
    parser.add_argument("--pricings", type=int, default=6, help="2 or more, each in new processes")
    parser.add_argument("--core", type=int, default=None, help="pin trainers to this core")
    parser.add_argument("--cache", type=Path, default=Path("runs/effects.json"))
    parser.add_argument("--merges", action="store_true", help="also merge every pair of edits")
    parser.add_argument("--json", type=Path, help="where the figures go")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print the table."""
    options = arguments_of(arguments)
    ours = at_profile(template_path("train.py").read_text("utf-8"), options.profile)
    try:
        theirs = adapted(read_published(options.published, options.sha256), knobs(ours))
    except PublishedError as error:
        print(error, file=sys.stderr)
        return 2
    device = device_of(options)
    with_trainer_settings(device)
    data = Ruler.load(template_path("prepare.py")).prepare(options.profile)
    trainers = Trainers(data.path, options.core, device)
    measurement = Measurement(
        trainers,
        Notebook(options.cache),
        ours,
        data_hash=data.data_hash,
        seq_len=data.seq_len,
        steps=options.steps,
        rng_seeds=range(1, options.rng_seeds + 1),
    )
    found = compare(
        trainers,
        measurement,
        ours,
        theirs,
        pricings=options.pricings,
        pair_count=options.pairs,
    )
    figures: dict[str, object] = {"published": {"commit": COMMIT, "sha256": options.sha256}}
    figures |= {"replacements": sorted({each.why for each in REPLACEMENTS}), **asdict(found)}
    report(found, options.steps)
    if options.merges:
        baseline = template_path("train.py").read_text("utf-8")
        share = merge_share(baseline, edits_of_baseline(baseline))
        figures["merges"] = asdict(share)
        print(
            f"of {share.pair_count} pairs of seeds and discoveries git merges {share.by_git}, and "
            f"{share.by_name} once knobs are merged by name"
        )
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
