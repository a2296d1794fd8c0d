"""What a run costs: device-hours, electricity, language models. Estimates with their basis."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from evolution.config import MODEL_OPERATORS, EvolutionConfig
from evolution.doctor.earlier import Earlier
from population import EvolveError

if TYPE_CHECKING:
    from evolution.doctor.night import Night  # it loads scipy

#: Watts of a busy processor core with its share of the machine: an assumption, not a measurement.
CORE_WATTS = 10.0
#: Tokens of one proposal: `python -m benchmarks.agents`, 40 proposals with their looks and
#: corrections (docs/log.md, 2026-11-29). Its author does not think aloud: a model that does writes
#: more.
_CACHED, _CACHE_WRITE, _OUTPUT = 10_627, 3_243, 769
_BENCHMARK = "40 proposals of benchmarks.agents, without thinking"


@dataclass(frozen=True, slots=True)
class Rates:
    """What people know of their prices; None where they say nothing.

    Attributes:
        usd_per_device_hour: Of one GPU or core.
        usd_per_kwh: Of electricity.
        watts: Of one busy device; by default the driver's limit of a GPU, and 10 W of a core.
    """

    usd_per_device_hour: float | None = None
    usd_per_kwh: float | None = None
    watts: float | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """What an offspring of a language model costs.

    Attributes:
        usd: Dollars; None where that cannot be said.
        basis: How it is known, or why not.
        share: Of the offspring, that models make while their proposals keep up.
    """

    usd: float | None
    basis: str
    share: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What a night costs.

    Attributes:
        device_hours: Of all workers together.
        device_usd: Dollars for them; None without a price.
        kwh: Electricity.
        electricity_usd: Dollars for it; None without a price.
        model_usd: Dollars for language models, at most the limit; None where that cannot be said.
    """

    device_hours: float
    device_usd: float | None
    kwh: float
    electricity_usd: float | None
    model_usd: float | None

    def as_dict(self) -> Mapping[str, float | None]:
        """The same as plain JSON values."""
        return asdict(self)


def proposal_price(config: EvolutionConfig, earlier: Earlier | None) -> Proposal | None:
    """What an offspring of the settings' language model costs; None if no model is asked."""
    if not config.agents.is_on:
        return None
    weights = config.operator_weights()
    share = sum(weights.get(name, 0.0) for name in MODEL_OPERATORS) / sum(weights.values())
    if earlier is not None and earlier.usd_per_variant is not None:
        return Proposal(earlier.usd_per_variant, f"run {earlier.run}", share)
    if config.agents.kind == "command":
        return Proposal(None, "a command's own tokens are known to its provider alone", share)
    return _by_list(config, share)


def _by_list(config: EvolutionConfig, share: float) -> Proposal:
    # Late: another package may be called `agents` here, which the doctor finds out.
    from agents import Prices, Usage
    from evolution.models import LARGE

    default = LARGE if config.agents.kind == "claude" else ""
    model = config.agents.model_of("mutator", default, default)
    usage = Usage(
        input_tokens=0,
        cached_input_tokens=_CACHED,
        cache_write_tokens=_CACHE_WRITE,
        output_tokens=_OUTPUT,
    )
    try:
        price = Prices.standard().changed(config.agents.prices).of(model)
    except EvolveError as error:
        return Proposal(None, str(error), share)
    usd = price.cost_usd(usage) * (0.5 if config.agents.batches else 1.0)
    return Proposal(usd, f"tokens of {_BENCHMARK}, at the list price of {model}", share)


def night_cost(
    config: EvolutionConfig, night: "Night", rates: Rates, proposal: Proposal | None, watts: float
) -> Cost:
    """What a night costs.

    Args:
        config: Settings of the run.
        night: Its trials.
        rates: Prices.
        proposal: What one offspring of a model costs; None if no model is asked.
        watts: Of one busy device.
    """
    kwh = night.device_hours * watts / 1000
    model_usd: float | None = 0.0
    if proposal is not None:
        model_usd = None
        if proposal.usd is not None:
            model_usd = min(
                proposal.usd * proposal.share * night.offspring, config.agents.limit_usd
            )
    return Cost(
        device_hours=night.device_hours,
        device_usd=_times(night.device_hours, rates.usd_per_device_hour),
        kwh=round(kwh, 3),
        electricity_usd=_times(kwh, rates.usd_per_kwh),
        model_usd=model_usd,
    )


def _times(amount: float, price: float | None) -> float | None:
    return None if price is None else amount * price
