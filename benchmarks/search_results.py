"""What `benchmarks.search` found, as a table for a terminal or a page, and as a figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from analysis.style import figure_style, new_figure
from benchmarks.courses import Course
from benchmarks.worlds import Landscape

POINTS = 100  # of each line
PANEL = (3.6, 2.9)  # inches of one world


@dataclass(frozen=True, slots=True)
class Result:
    """A table.

    Attributes:
        title: Of what.
        columns: Their heads.
        rows: Cells as text.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def table(self) -> Table:
        """For a terminal."""
        table = Table(title=self.title)
        for column in self.columns:
            table.add_column(column)
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> list[str]:
        """The lines of a page."""
        lines = [f"{self.title[:1].upper()}{self.title[1:]}:", ""]
        lines += [_line(self.columns), _line(["---"] * len(self.columns))]
        return lines + [_line(row) for row in self.rows]


def markdown(command: str, results: Sequence[Result]) -> str:
    """A page that says how to repeat it."""
    lines = ["# The search against its rivals", "", f"Made by `{command}`.", ""]
    for result in results:
        lines += [*result.markdown(), ""]
    lines += ["![True gain against device-time](search.png)"]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def save_figure(courses: Sequence[Course], path: Path, *, seconds: float, most: float) -> None:
    """Mean true gain of each search against the time it spent: a panel a world, a row a width.

    Args:
        courses: Of all searches.
        path: Of the image; its ending says the format.
        seconds: Of one whole training.
        most: Whole trainings that are shown.
    """
    worlds = list(dict.fromkeys(course.world for course in courses))
    widths = sorted({course.workers for course in courses})
    arms = list(dict.fromkeys(course.arm for course in courses))
    grid = np.linspace(0.0, most, POINTS)
    with figure_style():
        import seaborn as sns

        colours = dict(zip(arms, sns.color_palette("colorblind", len(arms)), strict=True))
        figure = new_figure(PANEL[0] * len(worlds), PANEL[1] * len(widths))
        panels = figure.subplots(len(widths), len(worlds), squeeze=False, sharex=True)
        for row, width in enumerate(widths):
            for column, world in enumerate(worlds):
                panel = panels[row][column]
                for arm in arms:
                    lines = [
                        _gains(c, grid * seconds)
                        for c in courses
                        if (c.world, c.workers, c.arm) == (world, width, arm)
                    ]
                    if lines:
                        mean = np.mean(lines, axis=0)
                        panel.plot(grid, mean, label=arm, color=colours[arm], linewidth=1.6)
                panel.set_title(f"{world}, {width} worker{'' if width == 1 else 's'}")
                panel.set_ylabel("true gain, mbpb" if column == 0 else "")
                panel.set_xlabel("whole trainings" if row == len(widths) - 1 else "")
        panels[0][0].legend(frameon=False, fontsize="small")
        figure.savefig(path)


def _gains(course: Course, moments: np.ndarray) -> np.ndarray:
    start = Landscape.start_bpb
    return np.array([1000 * (start - course.at(float(moment), start)) for moment in moments])
