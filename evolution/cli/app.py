"""The verbs, gathered in the order in which ``evolve --help`` lists them."""

import typer

from evolution.cli.checkup import doctor
from evolution.cli.exporting import export
from evolution.cli.genes import genes
from evolution.cli.lessons import lessons
from evolution.cli.lineage import lineage
from evolution.cli.manuals import manual
from evolution.cli.marking import ban, pin
from evolution.cli.noise import noise
from evolution.cli.reading import leaderboard, status
from evolution.cli.reporting import report
from evolution.cli.search import resume, run
from evolution.cli.seeding import seed
from evolution.cli.spending import spend
from evolution.cli.starting import init
from evolution.cli.suggesting import suggest, suggestions
from evolution.cli.variants import diff, show

app = typer.Typer(
    name="evolve",
    help="Evolve a population of train.py variants: every variant a commit, every gain re-tested.",
    epilog="Begin with `evolve init`, then `evolve run`. `evolve VERB --help` shows examples.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_SEARCH, _READ, _STEER = "Search", "Read", "Steer"

app.command(rich_help_panel=_SEARCH)(init)
app.command(rich_help_panel=_SEARCH)(doctor)
app.command(rich_help_panel=_SEARCH)(run)
app.command(rich_help_panel=_SEARCH)(resume)
app.command(rich_help_panel=_READ)(status)
app.command(rich_help_panel=_READ)(leaderboard)
app.command(rich_help_panel=_READ)(show)
app.command(rich_help_panel=_READ)(diff)
app.command(rich_help_panel=_READ)(lineage)
app.command(rich_help_panel=_READ)(genes)
app.command(rich_help_panel=_READ)(noise)
app.command(rich_help_panel=_READ)(lessons)
app.command(rich_help_panel=_READ)(spend)
app.command(rich_help_panel=_READ)(suggestions)
app.command(rich_help_panel=_READ)(report)
app.command(rich_help_panel=_READ)(export)
app.command(rich_help_panel=_READ)(manual)
app.command(rich_help_panel=_STEER)(seed)
app.command(rich_help_panel=_STEER)(suggest)
app.command(rich_help_panel=_STEER)(pin)
app.command(rich_help_panel=_STEER)(ban)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"evoresearch {version('evoresearch')}")
        raise typer.Exit


@app.callback()
def _options(
    _: bool = typer.Option(
        False,
        "--version",
        callback=_print_version,
        is_eager=True,
        help="Say which version this is.",
    ),
) -> None:
    """Evolve a population of train.py variants: every variant a commit, every gain re-tested."""
