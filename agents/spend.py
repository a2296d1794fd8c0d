"""Spending: a call's worst case is set aside before it is made, its true cost booked after.

At the limit nothing is sent: the search goes on without models. What is written here is the order
of things; that two calls never take the same room is the store's doing (``Store.reserve_call``).
"""

import contextlib
import dataclasses
import json
import os
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from agents.batching import PRICE_SHARE, Deferred, Ticket
from agents.model import (
    CallFailure,
    Message,
    Model,
    ModelError,
    Prompt,
    Reply,
    Tool,
    ToolUse,
    Usage,
)
from agents.prices import Price, Prices
from agents.secrets import Secrets
from population import (
    Call,
    CallResult,
    CallState,
    RunRecord,
    Spending,
    Store,
    StoreError,
    one_line,
)
from population.records import Json

#: The store's fact that takes the place of the settings' limit, in dollars.
LIMIT = "limit_usd"
# What a reply that has no end, or is not what it says to be, raises where it is walked or kept.
_UNFIT = (RecursionError, ValueError, TypeError, AttributeError, KeyError, OverflowError)
_ERROR_CHARACTERS = 200
_ANSWER = "answer"  # fact of a call: the tool that its reply had to use


class Purse:
    """What a run may pay for its models, and the only way to ask one for money.

    Args:
        store: Of the run.
        prices: What tokens cost.
        limit_usd: The most that all calls of the run may cost; None is no limit.
        clock: Seconds since the epoch.
        environment: Whose secrets are kept out of prompts and store; by default the process's.
        secret_names: Its variables that are secrets, whatever their names speak of.
    """

    def __init__(
        self,
        store: Store,
        prices: Prices,
        *,
        limit_usd: float | None,
        clock: Callable[[], float],
        environment: Mapping[str, str] | None = None,
        secret_names: Collection[str] = (),
    ) -> None:
        self.store = store
        self.limit_usd = limit_usd
        self.clock = clock
        self.secrets = Secrets(os.environ if environment is None else environment, secret_names)
        self._prices = prices

    def metered(
        self, model: Model, commission: int | None = None, *, role: str | None = None
    ) -> "Metered":
        """``model``, paid from this purse.

        Args:
            model: Asked where a reply has to be paid for.
            commission: What its calls are part of. Replies that the commission has had already,
                in an earlier sitting, are given again for nothing.
            role: Who asks, where several roles work on one commission: each is given its own
                replies again, in its own order.

        Raises:
            PriceError: The model has no known price.
        """
        calls = () if commission is None else self.store.calls(commission=commission)
        had = [call for call in calls if role is None or call.operator == role]
        price = self._prices.of(model.name)
        if isinstance(model, Deferred):
            price = price.times(PRICE_SHARE)
        return Metered(self, model, price, commission, had)


class Metered:
    """A model whose every call is reserved, made, and settled; safe for several threads."""

    def __init__(
        self,
        purse: Purse,
        model: Model,
        price: Price,
        commission: int | None,
        had: Sequence[Call],
    ) -> None:
        self._purse = purse
        self._model = model
        self._price = price
        self._commission = commission
        self._had = deque(call for call in had if _stands(call, model))
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The model, as its provider names it."""
        return self._model.name

    def reply(self, prompt: Prompt) -> Reply:
        """Answer, and book what it cost.

        Raises:
            ModelError: No reply could be had; ``OUT_OF_MONEY`` if its worst case passes the limit.
        """
        prompt = self._purse.secrets.prompt(prompt)
        had = self._next_had(prompt)
        if had is None:
            return self._paid(prompt)
        return self._redeemed(had) if had.state is CallState.RESERVED else _given_again(had)

    def _next_had(self, prompt: Prompt) -> Call | None:
        with self._lock:
            if not self._had:
                return None
            call = self._had.popleft()
            if _answers(call, prompt):
                return call
            # The conversation takes another course from here on: nobody asks for the rest.
            left = [one for one in (call, *self._had) if one.state is CallState.RESERVED]
            self._had.clear()
            self._purse.store.abandon_these([one.id for one in left if one.id is not None])
            return None

    def _paid(self, prompt: Prompt) -> Reply:
        purse, began = self._purse, self._purse.clock()
        worst = self._price.worst_usd(prompt)
        asked = _asked(prompt, self.name, commission=self._commission, worst_usd=worst, at=began)
        number = purse.store.reserve_call(asked, limit_usd=purse.limit_usd)
        if number is None:
            raise self._out_of_money(prompt.role, worst)
        return self._settled(number, worst, began, lambda: self._asked_for(number, prompt))

    def _asked_for(self, number: int, prompt: Prompt) -> Reply:
        """The reply; what is handed in with a batch is noted first, so that it can be had later."""
        if not isinstance(self._model, Deferred):
            return self._model.reply(prompt)
        return self._model.redeem(self._model.hand_in(prompt, number, self._note))

    def _note(self, tickets: Mapping[int, Ticket]) -> None:
        self._purse.store.note_calls({n: ticket.as_details() for n, ticket in tickets.items()})

    def _redeemed(self, call: Call) -> Reply:
        """The reply to a call that was handed in with a batch, in an earlier sitting."""
        model, ticket = self._model, Ticket.of_details(call.details)
        assert isinstance(model, Deferred)
        assert ticket is not None
        assert call.id is not None
        return self._settled(call.id, call.reserved_usd, call.at, lambda: model.redeem(ticket))

    def _settled(self, number: int, worst: float, began: float, ask: Callable[[], Reply]) -> Reply:
        """Ask, and book what came of it.

        Raises:
            ModelError: Nothing came, or nothing that can be kept; its row is settled all the same.
        """
        purse = self._purse
        usage: Usage | None = None
        try:
            reply = ask()
            usage = reply.usage
            reply = dataclasses.replace(
                purse.secrets.reply(reply), cost_usd=self._price.cost_usd(usage), call=number
            )
            purse.store.settle_call(number, _result(reply, purse.clock() - began))
            return reply
        except ModelError as error:
            told = purse.secrets.error(error)
            self._book_failure(number, told, worst, began)
            # The cause may quote what was blotted out.
            raise told from None
        except _UNFIT as error:
            unfit = ModelError(
                f"{self.name} gave no reply ({CallFailure.MALFORMED}): what came of it cannot be "
                f"kept ({_described(error, purse.secrets)}). It is not asked again, because it may "
                "have been billed.",
                CallFailure.MALFORMED,
                usage=usage,
            )
            self._book_failure(number, unfit, worst, began)
            raise unfit from None
        except BaseException:
            lost = ModelError("The asking thread broke off.", CallFailure.ABANDONED, usage=usage)
            with contextlib.suppress(StoreError):  # the row may have its result already
                self._book_failure(number, lost, worst, began)
            raise

    def _book_failure(self, number: int, error: ModelError, worst: float, began: float) -> None:
        store = self._purse.store
        if error.kind is CallFailure.UNDER_WAY and isinstance(self._model, Deferred):
            return  # it stays set aside: the reply is asked for when the run goes on
        if not error.kind.was_sent:
            store.release_call(number)
            return
        if error.usage is not None:
            cost = self._price.cost_usd(error.usage)
        else:
            cost = worst if error.kind.may_be_billed else 0.0
        reply = Reply(error.text, usage=error.usage or Usage(), stop_reason="", cost_usd=cost)
        result = _result(reply, self._purse.clock() - began)
        details: dict[str, Json] = {"error": str(error)}
        store.fail_call(number, error.kind.value, dataclasses.replace(result, details=details))

    def _out_of_money(self, role: str, worst: float) -> ModelError:
        spending, limit = self._purse.store.spending(), self._purse.limit_usd
        return ModelError(
            f"A call of {role} to {self.name} may cost ${worst:.4f}, but of the run's limit of "
            f"${limit or 0:.2f}, ${spending.spent_usd:.4f} is spent and "
            f"${spending.reserved_usd:.4f} set aside for calls under way. Raise limit_usd to go "
            "on with models; without, the search goes on with its built-in operators.",
            CallFailure.OUT_OF_MONEY,
        )


@dataclass(frozen=True, slots=True)
class Forecast:
    """Where spending leads at the pace of the run so far.

    Attributes:
        usd_per_variant: Dollars for each variant that came of a call; None before the first.
        usd_per_hour: Dollars for each hour that the engine was up; None before there is a pace.
        seconds_left: Until the limit is reached; 0 where it is, None without limit or pace.
    """

    usd_per_variant: float | None
    usd_per_hour: float | None
    seconds_left: float | None


def forecast(spending: Spending, *, limit_usd: float | None, elapsed_seconds: float) -> Forecast:
    """What spending comes to if it goes on as so far; what is set aside counts as spent."""
    pledged = spending.spent_usd + spending.reserved_usd
    per_second = spending.spent_usd / elapsed_seconds if elapsed_seconds > 0 else 0.0
    left = None
    if limit_usd is not None and pledged >= limit_usd:
        left = 0.0
    elif limit_usd is not None and per_second > 0:
        left = (limit_usd - pledged) / per_second
    count = spending.variant_count
    return Forecast(
        usd_per_variant=spending.spent_usd / count if count else None,
        usd_per_hour=per_second * 3600 if per_second > 0 else None,
        seconds_left=left,
    )


def limit_of(store: Store, record: RunRecord) -> float | None:
    """A run's limit in dollars: as changed since, else as its settings have it; None if none."""
    agents = record.settings.get("agents")
    in_settings = agents.get(LIMIT) if isinstance(agents, Mapping) else None
    changed = store.fact(LIMIT)
    limit = in_settings if changed is None else changed
    return float(limit) if isinstance(limit, int | float) else None


def _stands(call: Call, model: Model) -> bool:
    """True if asking again would be paying twice for the same."""
    if call.state is CallState.FAILED:
        return CallFailure(call.failure or "").may_be_billed
    if call.state is CallState.RESERVED:
        return isinstance(model, Deferred) and Ticket.of_details(call.details) is not None
    return call.state is CallState.SETTLED


def _described(error: Exception, secrets: Secrets) -> str:
    return one_line(secrets.blotted(f"{type(error).__name__}: {error}"), _ERROR_CHARACTERS)


def _answers(call: Call, prompt: Prompt) -> bool:
    """True if a stored call was for what is asked now.

    What counts is the form of answer: prompt files may have been edited since, by an upgrade, and
    what a run knows has changed, but the reply is one to the same question. Where the answer is
    plain text, the prompt files say what was asked for.
    """
    if call.operator != prompt.role:
        return False
    told = call.details.get(_ANSWER)
    if told is None:  # text, or a row of an earlier version
        return call.template == prompt.template
    return prompt.answer is not None and told == prompt.answer.name


def _given_again(call: Call) -> Reply:
    if call.state is CallState.FAILED:
        error = call.details.get("error", "")
        raise ModelError(f"{error} (as in the sitting before)", CallFailure(call.failure or ""))
    return Reply(
        text=call.reply,
        usage=Usage(
            input_tokens=call.input_tokens,
            output_tokens=call.output_tokens,
            cached_input_tokens=call.cached_input_tokens,
            cache_write_tokens=call.cache_write_tokens,
        ),
        stop_reason=call.stop_reason,
        tool_uses=tuple(_use(use) for use in call.tool_uses),
        native=call.native,
        model=str(call.details.get("model", call.model)),
        request_id=call.request_id,
        cost_usd=call.cost_usd,
        call=call.id,
    )


def _asked(
    prompt: Prompt, model: str, *, commission: int | None, worst_usd: float, at: float
) -> Call:
    *earlier, last = prompt.messages
    tools = prompt.all_tools
    return Call(
        operator=prompt.role,
        model=model,
        prompt=_shown(last),
        reply="",
        at=at,
        commission=commission,
        reserved_usd=worst_usd,
        template=prompt.template,
        system=tuple(prompt.system),
        earlier=tuple(f"{message.role}: {_shown(message)}" for message in earlier),
        tools=json.dumps([_tool(tool) for tool in tools]) if tools else "",
        details={_ANSWER: prompt.answer.name} if prompt.answer is not None else {},
    )


def _result(reply: Reply, latency_seconds: float) -> CallResult:
    return CallResult(
        reply=reply.text,
        latency_seconds=latency_seconds,
        input_tokens=reply.usage.input_tokens,
        output_tokens=reply.usage.output_tokens,
        cached_input_tokens=reply.usage.cached_input_tokens,
        cache_write_tokens=reply.usage.cache_write_tokens,
        cost_usd=reply.cost_usd,
        stop_reason=reply.stop_reason,
        request_id=reply.request_id,
        tool_uses=[
            {"id": use.id, "name": use.name, "arguments": dict(use.arguments)}
            for use in reply.tool_uses
        ],
        native=reply.native,
        details={"model": reply.model} if reply.model else {},
    )


def _shown(message: Message) -> str:
    """A turn as people read it."""
    uses = (f"[{use.name} {json.dumps(use.arguments, default=dict)}]" for use in message.tool_uses)
    results = (
        f"[{'error' if result.is_error else 'result'}]\n{result.text}"
        for result in message.tool_results
    )
    said = [message.text] if message.text else []
    return "\n\n".join([*said, *uses, *results])


def _tool(tool: Tool) -> dict[str, Json]:
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters}


def _use(use: Json) -> ToolUse:
    assert isinstance(use, Mapping)
    arguments = use["arguments"]
    assert isinstance(arguments, Mapping)
    return ToolUse(str(use["id"]), str(use["name"]), arguments)
