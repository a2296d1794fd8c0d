"""Who proposes: operators, with and without a language model, and the models behind them.

Imports ``population`` alone. This page is a table of contents: names resolve when first used, so
that importing ``agents`` loads no syntax-tree library.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents.asking import Asking
    from agents.builtin import KnobEdit, StructureEdit
    from agents.chat_api import OpenAISettings
    from agents.claude import Claude, ClaudeError
    from agents.critic import Critic, Explanation, Review
    from agents.crossover import Crossover
    from agents.guided import GuidedCrossover
    from agents.intents import Intent
    from agents.knob_scales import KnobTrial
    from agents.librarian import Distillation, Librarian, TrialNote
    from agents.literals import LiteralEdit, is_off_limits
    from agents.messages_api import ClaudeSettings
    from agents.minimizer import Minimizer
    from agents.model import (
        CallFailure,
        Message,
        Model,
        ModelError,
        Prompt,
        Reply,
        Tool,
        ToolResult,
        ToolUse,
        Usage,
    )
    from agents.mutator import Mutator
    from agents.openai import OpenAI, OpenAIModelError
    from agents.operator import (
        ArchivedEdit,
        Context,
        Operator,
        Parent,
        Proposal,
        Refusal,
        TriedKnobs,
    )
    from agents.prices import Price, PriceError, Prices
    from agents.repairer import Repairer
    from agents.scripted import ScriptedModel
    from agents.spend import Forecast, Metered, Purse, forecast, limit_of
    from agents.toolbox import Desk
    from agents.tuner import Sampler, Tuner
    from agents.uniting import ModelCrossover

_HOMES = {
    "asking": "Asking",
    "builtin": "KnobEdit StructureEdit",
    "chat_api": "OpenAISettings",
    "claude": "Claude ClaudeError",
    "crossover": "Crossover",
    "intents": "Intent",
    "critic": "Critic Explanation Review",
    "knob_scales": "KnobTrial",
    "librarian": "Distillation Librarian TrialNote",
    "literals": "LiteralEdit is_off_limits",
    "messages_api": "ClaudeSettings",
    "model": "CallFailure Message Model ModelError Prompt Reply Tool ToolResult ToolUse Usage",
    "minimizer": "Minimizer",
    "mutator": "Mutator",
    "openai": "OpenAI OpenAIModelError",
    "guided": "GuidedCrossover",
    "operator": "ArchivedEdit Context Operator Parent Proposal Refusal TriedKnobs",
    "prices": "Price PriceError Prices",
    "repairer": "Repairer",
    "scripted": "ScriptedModel",
    "spend": "Forecast Metered Purse forecast limit_of",
    "toolbox": "Desk",
    "tuner": "Sampler Tuner",
    "uniting": "ModelCrossover",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "ArchivedEdit",
    "Asking",
    "CallFailure",
    "Claude",
    "ClaudeError",
    "ClaudeSettings",
    "Context",
    "Critic",
    "Crossover",
    "Desk",
    "Distillation",
    "Explanation",
    "Forecast",
    "GuidedCrossover",
    "Intent",
    "KnobEdit",
    "KnobTrial",
    "Librarian",
    "LiteralEdit",
    "Message",
    "Metered",
    "Minimizer",
    "Model",
    "ModelCrossover",
    "ModelError",
    "Mutator",
    "OpenAI",
    "OpenAIModelError",
    "OpenAISettings",
    "Operator",
    "Parent",
    "Price",
    "PriceError",
    "Prices",
    "Prompt",
    "Proposal",
    "Purse",
    "Refusal",
    "Repairer",
    "Reply",
    "Review",
    "Sampler",
    "ScriptedModel",
    "StructureEdit",
    "Tool",
    "ToolResult",
    "ToolUse",
    "TrialNote",
    "TriedKnobs",
    "Tuner",
    "Usage",
    "forecast",
    "is_off_limits",
    "limit_of",
]


def __getattr__(name: str) -> object:
    """Load the module that owns ``name``, once."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'agents' has no attribute {name!r}")
    value: object = getattr(import_module(f"agents.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
