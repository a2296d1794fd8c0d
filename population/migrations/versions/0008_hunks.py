"""Which hunks a variant's own edit has, and whose edits its author made, or took out, again."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_COLUMNS = ("hunks", "repeats", "reverts")


def upgrade() -> None:
    """Edits of variants of before have no names: nobody's edit is taken for one of theirs."""
    for name in _COLUMNS:
        op.add_column("variants", sa.Column(name, sa.JSON(none_as_null=True)))


def downgrade() -> None:
    """An edit that was made twice is then two."""
    for name in reversed(_COLUMNS):
        op.drop_column("variants", name)
