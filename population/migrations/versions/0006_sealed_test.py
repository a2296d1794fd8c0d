"""What a verdict run scores on the sealed test split, beside its score."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Trials of before never read that split: nothing to fill in."""
    op.add_column("trials", sa.Column("test_bpb", sa.Double()))


def downgrade() -> None:
    """These scores are lost, all else stays."""
    op.drop_column("trials", "test_bpb")
