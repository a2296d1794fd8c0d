"""Tables of effects: the options, the bar, the cells and the paragraph that all of them share."""

import argparse
import json
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from scipy.stats import t as student

from benchmarks.effects import PRICINGS, Effect, Measurement, Notebook
from benchmarks.trainers import Trainers, with_trainer_settings
from evolution.profiles import load_profile, profile_names
from evolution.ruler import Ruler
from evolution.templates import template_path
from population import set_knobs


def effects_parser(description: str, output: str) -> argparse.ArgumentParser:
    """The options that ``benchmarks.discoveries`` and ``benchmarks.seeds`` share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--profile", choices=profile_names(), default="cpu")
    parser.add_argument("--steps", type=int, default=48, help="steps of the baseline")
    parser.add_argument("--rng-seeds", type=int, default=3, help="pairs of each variant, 2 or more")
    parser.add_argument("--core", type=int, default=None, help="pin trainers to this core")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="measure these alone")
    parser.add_argument(
        "--known", action="store_true", help="measure nothing: write the table from what is kept"
    )
    parser.add_argument(
        "--cache", type=Path, default=Path("runs/effects.json"), help="where figures are kept"
    )
    parser.add_argument("--output", type=Path, default=Path(output), help="the table's file")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    return parser


def open_measurement(options: argparse.Namespace) -> Measurement:
    """A measurement at a profile's sizes, its text prepared if need be."""
    if options.rng_seeds < 2 or options.steps < 1:
        raise SystemExit(
            f"--rng-seeds is {options.rng_seeds} and --steps {options.steps}: an interval needs "
            "two pairs of at least one step. Raise them."
        )
    if not options.known:
        with_trainer_settings()
    data = Ruler.load(template_path("prepare.py")).prepare(options.profile)
    return Measurement(
        None if options.known else Trainers(data.path, options.core),
        Notebook(options.cache),
        at_profile(template_path("train.py").read_text(encoding="utf-8"), options.profile),
        data_hash=data.data_hash,
        seq_len=data.seq_len,
        steps=options.steps,
        rng_seeds=range(1, options.rng_seeds + 1),
    )


def at_profile(text: str, profile: str) -> str:
    """The baseline at a profile's sizes."""
    return set_knobs(text, dict(load_profile(profile).knobs))


def known_measurement(options: argparse.Namespace) -> Measurement:
    """The same measurement, which makes no figures: for the rows that are not asked for."""
    return open_measurement(argparse.Namespace(**{**vars(options), "known": True}))


def measure_all(names: Iterable[str], measure: Callable[[str], Effect | None]) -> dict[str, Effect]:
    """Measure one after the other, with a bar on standard error."""
    todo = list(names)
    found: dict[str, Effect] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=len(todo))
        for name in todo:
            bar.update(task, description=name)
            effect = measure(name)
            if effect is not None:
                found[name] = effect
            bar.advance(task)
    return found


def effect_cells(effect: Effect | None) -> tuple[str, str, str]:
    """Effect at equal tokens, price and effect at equal work, as cells of a table."""
    if effect is None:
        return ("not measured", "", "")
    return (effect.equal_tokens.text, effect.price.text, effect.equal_work.text)


def as_json(effects: Mapping[str, Effect]) -> str:
    """All figures by name, as JSON."""
    return json.dumps({name: asdict(effect) for name, effect in effects.items()}, indent=2)


def how_it_was_measured(options: argparse.Namespace, effects: Mapping[str, Effect]) -> str:
    """The paragraph above a table."""
    text = (
        f"Profile `{options.profile}`, {options.steps} steps of the baseline, "
        f"{options.rng_seeds} pairs with the same seeds. Effects in thousandths of a bit per byte "
        "(mbpb) with 95 % t-intervals; below 0 helps. *Equal tokens*: both train for the same "
        "number of tokens. *Price*: what a token costs against one of the baseline, from "
        f"alternating steps in {PRICINGS} pairs of processes. *Equal work*: the variant trains for "
        "the tokens that the baseline's work buys at that price, whose error is part of the "
        "interval; a price that is not told from 1 buys as many."
    )
    if not effects:
        return text
    usual = statistics.median(effect.equal_tokens.half_width for effect in effects.values())
    return (
        f"{text} An interval of one row rests on its own {options.rng_seeds} pairs: half of it is "
        f"{1000 * usual:.0f} mbpb as a rule. With the scatter of all rows pooled it is "
        f"{1000 * pooled_half_width(list(effects.values())):.1f}. Edits that leave the first "
        "weights as they are pair closely, others by their data alone."
    )


def pooled_half_width(effects: Sequence[Effect]) -> float:
    """Half a 95 % interval of an effect at equal tokens, if pairs scatter alike in every row."""
    variances, freedom = 0.0, 0
    for effect in effects:
        count = effect.seed_count
        error = effect.equal_tokens.half_width / float(student.ppf(0.975, count - 1))
        variances += (count - 1) * error**2
        freedom += count - 1
    return float(student.ppf(0.975, freedom)) * math.sqrt(variances / freedom)
