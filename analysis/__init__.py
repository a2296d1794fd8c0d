"""Read-only views of a run: tidy frames first, then plots, then figures. Imports population alone.

This page is a table of contents; names resolve when first used, because pandas and seaborn are slow
to load and most commands need neither.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.export import FileFormat, export_tables
    from analysis.family_tree import (
        champion_line,
        draw_family_tree,
        tree_layout,
        tree_parents,
    )
    from analysis.frames import (
        CURVE_COLUMNS,
        TRIAL_COLUMNS,
        VARIANT_COLUMNS,
        VERDICT_COLUMNS,
        Column,
        curves_frame,
        trials_frame,
        variants_frame,
        verdicts_frame,
    )
    from analysis.plots import best_so_far, plot_frontier, save_overview

_HOMES = {
    "export": "FileFormat export_tables",
    "family_tree": "champion_line draw_family_tree tree_layout tree_parents",
    "frames": (
        "CURVE_COLUMNS TRIAL_COLUMNS VARIANT_COLUMNS VERDICT_COLUMNS Column "
        "curves_frame trials_frame variants_frame verdicts_frame"
    ),
    "plots": "best_so_far plot_frontier save_overview",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "CURVE_COLUMNS",
    "TRIAL_COLUMNS",
    "VARIANT_COLUMNS",
    "VERDICT_COLUMNS",
    "Column",
    "FileFormat",
    "best_so_far",
    "champion_line",
    "curves_frame",
    "draw_family_tree",
    "export_tables",
    "plot_frontier",
    "save_overview",
    "tree_layout",
    "tree_parents",
    "trials_frame",
    "variants_frame",
    "verdicts_frame",
]


def __getattr__(name: str) -> object:
    """Load the module that owns ``name``, once."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'analysis' has no attribute {name!r}")
    value: object = getattr(import_module(f"analysis.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
