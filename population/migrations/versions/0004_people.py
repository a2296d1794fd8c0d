"""What people ask of a run: suggestions, which commissions are offered, and marks on variants.

A commission of before was offered nothing, and a variant of before took nothing up.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# SQLite numbers rows only where the key is a plain INTEGER.
_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Every row stays as it is, with the new columns at what was true of it."""
    op.create_table(
        "suggestions",
        sa.Column("id", _INTEGER, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("is_withdrawn", sa.Boolean(), nullable=False),
        sa.Column("request", _INTEGER),
        sa.Column("file", sa.Text()),
        sa.ForeignKeyConstraint(["request"], ["requests.id"], name="fk_suggestions_request"),
        sa.PrimaryKeyConstraint("id", name="pk_suggestions"),
        sa.UniqueConstraint("request", name="uq_suggestions_request"),
        sa.UniqueConstraint("file", name="uq_suggestions_file"),
    )
    op.create_table(
        "marks",
        sa.Column("variant", sa.Text(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["variant"], ["variants.sha"], name="fk_marks_variant"),
        sa.PrimaryKeyConstraint("variant", name="pk_marks"),
    )
    op.add_column("variants", sa.Column("suggestion", _INTEGER))
    op.add_column(
        "commissions", sa.Column("suggestions", sa.JSON(), nullable=False, server_default="[]")
    )


def downgrade() -> None:
    """Suggestions and marks are lost; every variant and commission stays."""
    op.drop_column("commissions", "suggestions")
    op.drop_column("variants", "suggestion")
    op.drop_table("marks")
    op.drop_table("suggestions")
