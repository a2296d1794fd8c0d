"""Prices: what a call costs, and the most it can cost before it is made. Pure but for one file.

The list in ``prices.toml`` has a date; settings may put other prices in its place.
"""

import dataclasses
import json
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources import files

from agents.model import Message, Prompt, Tool, Usage
from population import EvolveError
from population.records import Json

_PER = 1_000_000
_KINDS = ("input", "output", "cache_read", "cache_write")
_DATED = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2})$")
# What a provider adds to a prompt beside its text. Published for Claude: up to 804 tokens of
# instructions where tools are offered. Marks of turns, blocks and tools are a few tokens each.
_ADDED_TOKENS = 2_048
_ADDED_TOKENS_EACH = 64


class PriceError(EvolveError):
    """A model has no known price, or a price is no price."""


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per million tokens of one model.

    Attributes:
        input: Read at the full price.
        output: Written, thinking included.
        cache_read: Read from the provider's cache.
        cache_write: Read and written to it.
        above_tokens: Prompts of more tokens than this have the prices ``long``.
        long: Those prices; None if length does not matter.
    """

    input: float
    output: float
    cache_read: float
    cache_write: float
    above_tokens: int = 0
    long: "Price | None" = None

    def cost_usd(self, usage: Usage) -> float:
        """What a call with these tokens costs."""
        read = usage.input_tokens + usage.cached_input_tokens + usage.cache_write_tokens
        if self.long is not None and read > self.above_tokens:
            return self.long.cost_usd(usage)
        dollars = (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.cached_input_tokens * self.cache_read
            + usage.cache_write_tokens * self.cache_write
        )
        return dollars / _PER

    def worst_usd(self, prompt: Prompt) -> float:
        """The most that asking ``prompt`` once can cost.

        Every token of the prompt is taken at the dearest of the prices for reading, and the reply
        to be as long as it may be: providers stop at ``max_output_tokens``, thinking included.
        """
        read = most_input_tokens(prompt)
        dearest = max(self.input, self.cache_read, self.cache_write)
        dollars = (read * dearest + prompt.max_output_tokens * self.output) / _PER
        if self.long is not None and read > self.above_tokens:
            return max(dollars, self.long.worst_usd(prompt))
        return dollars


@dataclass(frozen=True, slots=True)
class Prices:
    """A price list.

    Attributes:
        models: Price by the provider's name of a model.
        as_of: When the list was read.
        source: Where.
    """

    models: Mapping[str, Price]
    as_of: date
    source: str = ""

    @classmethod
    def standard(cls) -> "Prices":
        """The list that comes with the program."""
        return cls.read(files("agents").joinpath("prices.toml").read_text(encoding="utf-8"))

    @classmethod
    def read(cls, text: str) -> "Prices":
        """A list in the form of ``prices.toml``.

        Raises:
            PriceError: It has another form.
        """
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise PriceError(
                f"The price list is not TOML ({error}), but prices are read from it. Correct that "
                "line."
            ) from error
        as_of, models = table.get("as_of"), table.get("models")
        if not isinstance(as_of, date) or not isinstance(models, dict):
            raise PriceError(
                "The price list has no date `as_of` or no table `[models]`, but needs both. Add "
                "e.g. `as_of = 2026-11-24`."
            )
        prices = {name: _price(name, entry) for name, entry in models.items()}
        return cls(prices, as_of, str(table.get("source", "")))

    def changed(self, models: Mapping[str, Json]) -> "Prices":
        """The same list with the entries of ``models``, as settings give them, put first.

        Raises:
            PriceError: An entry is no price.
        """
        own = {name: _price(name, entry) for name, entry in models.items()}
        return dataclasses.replace(self, models={**self.models, **own})

    def of(self, model: str) -> Price:
        """The price of a model; a dated name has the price of the name without its date.

        Raises:
            PriceError: There is none.
        """
        for name in (model, _DATED.sub("", model)):
            if name in self.models:
                return self.models[name]
        raise PriceError(
            f"The model {model!r} has no price in the list of {self.as_of}, but a call's cost has "
            "to be known before it is made. Give it one in evolve.toml, in dollars per million "
            f'tokens: [agents.prices] "{model}" = {{ input = 3.0, output = 15.0, '
            "cache_read = 0.3, cache_write = 3.75 }."
        )


def most_input_tokens(prompt: Prompt) -> int:
    """As many tokens as ``prompt`` can have, whatever the provider's vocabulary.

    A token of a text stands for one byte or more, so that a text has no more tokens than bytes.
    What a provider adds (marks of turns, instructions on tools) is bounded by constants.
    """
    tools = prompt.all_tools
    parts = len(prompt.system) + len(tools)
    parts += sum(1 + len(m.tool_uses) + len(m.tool_results) for m in prompt.messages)
    said = sum(len(block.encode()) for block in prompt.system)
    said += sum(_message_bytes(message) for message in prompt.messages)
    said += sum(_tool_bytes(tool) for tool in tools)
    return said + _ADDED_TOKENS + _ADDED_TOKENS_EACH * parts


def _message_bytes(message: Message) -> int:
    # The provider's own form may hold thinking beside what was said: all of it counts.
    native = 0 if message.native is None else _json_bytes(message.native)
    uses = sum(
        len(f"{use.id}{use.name}".encode()) + _json_bytes(use.arguments)
        for use in message.tool_uses
    )
    results = sum(len(f"{result.id}{result.text}".encode()) for result in message.tool_results)
    return native + len(message.text.encode()) + uses + results


def _tool_bytes(tool: Tool) -> int:
    return len(f"{tool.name}{tool.description}".encode()) + _json_bytes(tool.parameters)


def _json_bytes(value: Json) -> int:
    return len(json.dumps(value, default=dict).encode())


def _price(name: str, entry: object) -> Price:
    if not isinstance(entry, Mapping):
        raise _no_price(name, entry)
    given = {str(kind): value for kind, value in entry.items()}
    long = given.pop("long", None)
    unknown = sorted(set(given) - set(_KINDS))
    if unknown:
        raise PriceError(
            f"The price of {name!r} has {', '.join(unknown)}, but a price is made of "
            f"{', '.join(_KINDS)} and long. Take that out."
        )
    read = _dollars(name, "input", given.get("input"))
    price = Price(
        input=read,
        output=_dollars(name, "output", given.get("output")),
        cache_read=_dollars(name, "cache_read", given.get("cache_read", read)),
        cache_write=_dollars(name, "cache_write", given.get("cache_write", read)),
    )
    if long is None:
        return price
    if not isinstance(long, Mapping) or not isinstance(long.get("above_tokens"), int):
        raise _no_price(name, long)
    rest = {kind: value for kind, value in long.items() if kind != "above_tokens"}
    return dataclasses.replace(price, above_tokens=long["above_tokens"], long=_price(name, rest))


def _dollars(name: str, kind: str, value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    dollars = float(value) if is_number and isinstance(value, int | float) else math.nan
    if not (math.isfinite(dollars) and dollars >= 0):
        raise PriceError(
            f"The price of {name!r} has {kind} = {value!r}, but dollars per million tokens, 0 or "
            "more, are needed. Give input and output at least."
        )
    return dollars


def _no_price(name: str, entry: object) -> PriceError:
    return PriceError(
        f"The price of {name!r} is {entry!r}, but a table of {', '.join(_KINDS)} is needed. Give "
        "dollars per million tokens; `long` has above_tokens, too."
    )
