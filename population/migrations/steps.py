"""Takes the schema's steps. Each keeps every row; none is changed once it has been released.

Alembic is loaded only to take a step: opening a database of the present schema stays quick.
"""

from sqlalchemy import Connection

# In order; a test holds it against the files in ``versions``.
REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009")
HEAD = REVISIONS[-1]


def upgrade(connection: Connection, *, to: str = HEAD) -> None:
    """Bring the schema up to ``to``, inside the transaction that ``connection`` is in."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "population:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, to)
