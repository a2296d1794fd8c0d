"""Commissions, and calls that are reserved before they are made.

A call of before had its reply when it was stored: it is settled.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# SQLite numbers rows only where the key is a plain INTEGER.
_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_NEW_COLUMNS: tuple[sa.Column[Any], ...] = (
    sa.Column("commission", _INTEGER),
    sa.Column("ordinal", _INTEGER),
    sa.Column("state", sa.Text(), nullable=False, server_default="settled"),
    sa.Column("failure", sa.Text()),
    sa.Column("reserved_usd", sa.Double(), nullable=False, server_default="0"),
    sa.Column("cache_write_tokens", _INTEGER, nullable=False, server_default="0"),
    sa.Column("template", sa.Text(), nullable=False, server_default=""),
    sa.Column("request_id", sa.Text(), nullable=False, server_default=""),
    sa.Column("tool_uses", sa.JSON(), nullable=False, server_default="[]"),
    sa.Column("native", sa.JSON()),
    sa.Column("system", sa.JSON(), nullable=False, server_default="[]"),
    sa.Column("earlier", sa.JSON(), nullable=False, server_default="[]"),
    sa.Column("tools", sa.Text()),
)


def upgrade() -> None:
    """Every call stays as it is, with the new columns at what was true of it."""
    op.create_table(
        "texts",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_texts"),
    )
    op.create_table(
        "commissions",
        sa.Column("id", _INTEGER, nullable=False),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("parents", sa.JSON(), nullable=False),
        sa.Column("intent", sa.Text(), nullable=False),
        sa.Column("rng_seed", _INTEGER, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("variant", sa.Text()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["variant"], ["variants.sha"], name="fk_commissions_variant"),
        sa.PrimaryKeyConstraint("id", name="pk_commissions"),
    )
    op.create_index("ix_commissions_state", "commissions", ["state"])
    op.create_index("ix_commissions_variant", "commissions", ["variant"])
    with op.batch_alter_table("calls") as calls:
        for column in _NEW_COLUMNS:
            calls.add_column(column)
        calls.create_foreign_key("fk_calls_commission", "commissions", ["commission"], ["id"])
        calls.create_foreign_key("fk_calls_tools", "texts", ["tools"], ["hash"])
        calls.create_unique_constraint("uq_calls_commission_ordinal", ["commission", "ordinal"])
    op.create_index("ix_calls_state", "calls", ["state"])


def downgrade() -> None:
    """Commissions and what only they need are lost; every call stays."""
    op.drop_index("ix_calls_state", "calls")
    with op.batch_alter_table("calls") as calls:
        calls.drop_constraint("uq_calls_commission_ordinal", type_="unique")
        calls.drop_constraint("fk_calls_tools", type_="foreignkey")
        calls.drop_constraint("fk_calls_commission", type_="foreignkey")
        for column in _NEW_COLUMNS:
            calls.drop_column(column.name)
    op.drop_table("commissions")
    op.drop_table("texts")
