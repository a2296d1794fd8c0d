"""The pictures of README and guides, drawn from the sample run: ``make figures``."""

import sys
from pathlib import Path

from analysis.overview import save_overview
from analysis.report import drawings
from analysis.report_tables import Views
from analysis.runs import SAMPLE, open_run
from analysis.style import figure_style, new_figure

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
        figures = drawings(Views.of(opened.store))
        effects, tree = figures["waterfall"], figures["tree"]
        with figure_style():
            figure = new_figure(effects.width, effects.height)
            effects.draw(figure.subplots())
            figure.savefig(folder / "edit-effects.png")
            figure = new_figure(11, 7)
            tree.draw(figure.subplots())
            figure.savefig(folder / "family-tree.png")
    return [overview, folder / "edit-effects.png", folder / "family-tree.png"]


def main() -> None:
    """Draw the sample's pictures anew."""
    for path in save_pictures(SAMPLE, FOLDER):
        sys.stderr.write(f"{path}\n")


if __name__ == "__main__":
    main()
