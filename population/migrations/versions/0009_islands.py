"""The island on which a variant was bred."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Variants of before belong to every island: nothing to fill in."""
    op.add_column(
        "variants", sa.Column("island", sa.BigInteger().with_variant(sa.Integer(), "sqlite"))
    )


def downgrade() -> None:
    """All variants are one field again."""
    op.drop_column("variants", "island")
