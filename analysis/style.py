"""Style: what all figures share. A figure has a canvas of its own: no display, no global state."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PAGE = ("whitegrid", {"grid.color": "#eceef0"})
_TEXT = ("notebook", 0.8)


@contextmanager
def figure_style() -> Iterator[None]:
    """A white page with a faint grid, and text that stays legible in print."""
    import seaborn as sns

    with sns.axes_style(*_PAGE), sns.plotting_context(*_TEXT):
        yield


def set_style() -> None:
    """The same for all figures from now on: for notebooks, which draw with pyplot."""
    import seaborn as sns

    sns.set_style(*_PAGE)
    sns.set_context(*_TEXT)


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure of so many inches, laid out so that nothing is cut off."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    return figure
