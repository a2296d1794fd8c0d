"""Alembic's entry point. The store hands it a connection; there is no alembic.ini."""

from alembic import context

from population.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,  # SQLite changes a table by making it anew
)
context.run_migrations()
