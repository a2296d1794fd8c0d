"""Read-only views of a run: tidy frames first, then plots, then figures. Imports population alone.

This page is a table of contents; names resolve when first used, because pandas and seaborn are slow
to load and most commands need neither.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.costs import (
        DESTINATIONS,
        FAILURE_COLUMNS,
        OPERATOR_COLUMNS,
        SPENDING_COLUMNS,
        failures_frame,
        operators_frame,
        spending_frame,
    )
    from analysis.descent import (
        DESCENT_COLUMNS,
        descent_frame,
    )
    from analysis.export import FileFormat, export_tables
    from analysis.family_tree import draw_family_tree
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
    from analysis.frontier import (
        best_so_far,
        plot_frontier,
    )
    from analysis.overview import save_overview
    from analysis.people import SUGGESTION_COLUMNS, suggestions_frame
    from analysis.plots import (
        plot_curves,
        plot_operators,
        plot_repeats,
        plot_spending,
    )
    from analysis.report import Trust, write_report
    from analysis.runs import (
        SAMPLE,
        OpenRun,
        open_run,
    )
    from analysis.scale import (
        INTERVAL,
        Scale,
        decimals,
    )
    from analysis.style import figure_style, new_figure, set_style
    from analysis.summary import Summary, summarise
    from analysis.tree_places import champion_line, tree_layout, tree_parents
    from analysis.waterfall import (
        plot_waterfall,
        waterfall_height,
    )

_HOMES = {
    "costs": (
        "DESTINATIONS FAILURE_COLUMNS OPERATOR_COLUMNS SPENDING_COLUMNS failures_frame "
        "operators_frame spending_frame"
    ),
    "descent": "DESCENT_COLUMNS descent_frame",
    "export": "FileFormat export_tables",
    "family_tree": "draw_family_tree",
    "frames": (
        "CURVE_COLUMNS TRIAL_COLUMNS VARIANT_COLUMNS VERDICT_COLUMNS Column "
        "curves_frame trials_frame variants_frame verdicts_frame"
    ),
    "frontier": "best_so_far plot_frontier",
    "overview": "save_overview",
    "people": "SUGGESTION_COLUMNS suggestions_frame",
    "plots": "plot_curves plot_operators plot_repeats plot_spending",
    "report": "Trust write_report",
    "runs": "SAMPLE OpenRun open_run",
    "scale": "INTERVAL Scale decimals",
    "summary": "Summary summarise",
    "style": "figure_style new_figure set_style",
    "tree_places": "champion_line tree_layout tree_parents",
    "waterfall": "plot_waterfall waterfall_height",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "CURVE_COLUMNS",
    "DESCENT_COLUMNS",
    "DESTINATIONS",
    "FAILURE_COLUMNS",
    "INTERVAL",
    "OPERATOR_COLUMNS",
    "SAMPLE",
    "SPENDING_COLUMNS",
    "SUGGESTION_COLUMNS",
    "TRIAL_COLUMNS",
    "VARIANT_COLUMNS",
    "VERDICT_COLUMNS",
    "Column",
    "FileFormat",
    "OpenRun",
    "Scale",
    "Summary",
    "Trust",
    "best_so_far",
    "champion_line",
    "curves_frame",
    "decimals",
    "descent_frame",
    "draw_family_tree",
    "export_tables",
    "failures_frame",
    "figure_style",
    "new_figure",
    "open_run",
    "operators_frame",
    "plot_curves",
    "plot_frontier",
    "plot_operators",
    "plot_repeats",
    "plot_spending",
    "plot_waterfall",
    "save_overview",
    "set_style",
    "spending_frame",
    "suggestions_frame",
    "summarise",
    "tree_layout",
    "tree_parents",
    "trials_frame",
    "variants_frame",
    "verdicts_frame",
    "waterfall_height",
    "write_report",
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
