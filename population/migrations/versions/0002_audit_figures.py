"""Figures of the audit that a trusted score passed, beside the score."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Trials of before were not audited: nothing to fill in."""
    op.add_column("trials", sa.Column("audit", sa.JSON()))


def downgrade() -> None:
    """The figures are lost, the scores stay."""
    op.drop_column("trials", "audit")
