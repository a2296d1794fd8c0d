"""The pictures of README and guides, drawn from the sample run: ``make figures``."""

import sys
from pathlib import Path

from analysis.family_tree import draw_family_tree
from analysis.overview import save_overview
from analysis.report_tables import Views
from analysis.runs import SAMPLE, open_run
from analysis.style import figure_style, new_figure
from analysis.waterfall import plot_waterfall, waterfall_height

FOLDER = Path(__file__).parents[1] / "docs" / "images"


def save_pictures(run: Path, folder: Path) -> list[Path]:
    """Draw overview, edit effects and family tree of a run; returns the files.

    Args:
        run: Folder of the run.
        folder: Where to; made if it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open_run(run) as opened:
        overview = save_overview(opened.store, folder / "overview.png")
        views = Views.of(opened.store)
        champions = views.variants[views.variants["is_champion"]]
        with figure_style():
            figure = new_figure(11, waterfall_height(views.descent))
            plot_waterfall(
                views.descent,
                ax=figure.subplots(),
                metric=opened.metric,
                verdicts=views.verdicts,
                total_sd=float(champions["gain_sd"].iloc[0]) if len(champions) else None,
            )
            figure.savefig(folder / "edit-effects.png")
            figure = new_figure(11, 7)
            champion = str(champions["variant"].iloc[0]) if len(champions) else None
            draw_family_tree(
                opened.store.variants(),
                views.variants,
                ax=figure.subplots(),
                champion=champion,
                metric=opened.metric,
            )
            figure.savefig(folder / "family-tree.png")
    return [overview, folder / "edit-effects.png", folder / "family-tree.png"]


def main() -> None:
    """Draw the sample's pictures anew."""
    for path in save_pictures(SAMPLE, FOLDER):
        sys.stderr.write(f"{path}\n")


if __name__ == "__main__":
    main()
