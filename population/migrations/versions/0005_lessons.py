"""Lessons, and what critics say of proposals and verdicts."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# SQLite numbers rows only where the key is a plain INTEGER.
_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Two new tables; nothing of before is touched."""
    op.create_table(
        "lessons",
        sa.Column("id", _INTEGER, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("claim", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("retired_at", sa.Double()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("call", _INTEGER),
        sa.ForeignKeyConstraint(["call"], ["calls.id"], name="fk_lessons_call"),
        sa.PrimaryKeyConstraint("id", name="pk_lessons"),
    )
    op.create_index("ix_lessons_state", "lessons", ["state"])
    op.create_table(
        "critiques",
        sa.Column("commission", _INTEGER, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("call", _INTEGER),
        sa.Column("variant", sa.Text()),
        sa.Column("judgement", sa.Text()),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("was_exempt", sa.Boolean(), nullable=False),
        sa.Column("label", sa.Text()),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("suspects", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["call"], ["calls.id"], name="fk_critiques_call"),
        sa.ForeignKeyConstraint(["commission"], ["commissions.id"], name="fk_critiques_commission"),
        sa.ForeignKeyConstraint(["label"], ["verdicts.label"], name="fk_critiques_label"),
        sa.ForeignKeyConstraint(["variant"], ["variants.sha"], name="fk_critiques_variant"),
        sa.PrimaryKeyConstraint("commission", name="pk_critiques"),
    )
    op.create_index("ix_critiques_kind", "critiques", ["kind"])
    op.create_index("ix_critiques_label", "critiques", ["label"])
    op.create_index("ix_critiques_variant", "critiques", ["variant"])


def downgrade() -> None:
    """Lessons and critiques are lost; everything else stays."""
    op.drop_table("critiques")
    op.drop_table("lessons")
