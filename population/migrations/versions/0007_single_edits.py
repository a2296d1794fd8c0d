"""Which variants' own edits a variant has, or lacks, beside those of its parents."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Variants of before have what their parents have: nothing to fill in."""
    op.add_column("variants", sa.Column("adds", sa.JSON(none_as_null=True)))
    op.add_column("variants", sa.Column("drops", sa.JSON(none_as_null=True)))


def downgrade() -> None:
    """Such a variant is then one edit of its parent, as others are."""
    op.drop_column("variants", "drops")
    op.drop_column("variants", "adds")
