"""Who proposes: operators, with and without a language model, and the models behind them.

Imports ``population`` alone. This page is a table of contents: names resolve when first used, so
that importing ``agents`` loads no syntax-tree library.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents.builtin import KnobEdit, StructureEdit
    from agents.claude import Claude, ClaudeError
    from agents.crossover import Crossover, ModelCrossover
    from agents.literals import LiteralEdit, is_off_limits
    from agents.messages_api import ClaudeSettings
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
    from agents.operator import Context, Operator, Parent, Proposal, Refusal
    from agents.scripted import ScriptedModel

_HOMES = {
    "builtin": "KnobEdit StructureEdit",
    "claude": "Claude ClaudeError",
    "crossover": "Crossover ModelCrossover",
    "literals": "LiteralEdit is_off_limits",
    "messages_api": "ClaudeSettings",
    "model": "CallFailure Message Model ModelError Prompt Reply Tool ToolResult ToolUse Usage",
    "mutator": "Mutator",
    "operator": "Context Operator Parent Proposal Refusal",
    "scripted": "ScriptedModel",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "CallFailure",
    "Claude",
    "ClaudeError",
    "ClaudeSettings",
    "Context",
    "Crossover",
    "KnobEdit",
    "LiteralEdit",
    "Message",
    "Model",
    "ModelCrossover",
    "ModelError",
    "Mutator",
    "Operator",
    "Parent",
    "Prompt",
    "Proposal",
    "Refusal",
    "Reply",
    "ScriptedModel",
    "StructureEdit",
    "Tool",
    "ToolResult",
    "ToolUse",
    "Usage",
    "is_off_limits",
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
