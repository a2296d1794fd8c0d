"""The first schema.

Revision 0001, after nothing.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# SQLite numbers rows only where the key is a plain INTEGER.
_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    # Parents before the tables that point at them.
    _create_calibrations()
    _create_decisions()
    _create_facts()
    _create_requests()
    _create_run()
    _create_variants()
    _create_fitnesses()
    _create_trials()
    _create_verdicts()
    _create_calls()
    _create_late_results()
    _create_snapshots()


def _create_calibrations() -> None:
    op.create_table(
        "calibrations",
        sa.Column("id", _INTEGER, nullable=False),
        sa.Column("genome_hash", sa.Text(), nullable=False),
        sa.Column("device_class", sa.Text(), nullable=False),
        sa.Column("cost_ratio", sa.Double(), nullable=False),
        sa.Column("pair_count", _INTEGER, nullable=False),
        sa.Column("genome_seconds", sa.Double(), nullable=False),
        sa.Column("baseline_seconds", sa.Double(), nullable=False),
        sa.Column("depth_scale", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_calibrations"),
    )
    op.create_index("ix_calibrations_genome_hash", "calibrations", ["genome_hash"])


def _create_decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("id", _INTEGER, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("rng_state", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_decisions"),
    )


def _create_facts() -> None:
    op.create_table(
        "facts",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_facts"),
    )


def _create_requests() -> None:
    op.create_table(
        "requests",
        sa.Column("id", _INTEGER, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Double()),
        sa.Column("is_settled", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.JSON()),
        sa.PrimaryKeyConstraint("id", name="pk_requests"),
    )
    op.create_index("ix_requests_is_settled", "requests", ["is_settled"])


def _create_run() -> None:
    op.create_table(
        "run",
        sa.Column("id", _INTEGER, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("ruler_hash", sa.Text(), nullable=False),
        sa.Column("data_hash", sa.Text(), nullable=False),
        sa.Column("baseline", sa.Text()),
        sa.Column("rng_seed", _INTEGER, nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_run_only_one")),
        sa.PrimaryKeyConstraint("id", name="pk_run"),
    )


def _create_variants() -> None:
    op.create_table(
        "variants",
        sa.Column("serial", _INTEGER, nullable=False),
        sa.Column("sha", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("generation", _INTEGER, nullable=False),
        sa.Column("first_parent", sa.Text()),
        sa.Column("second_parent", sa.Text()),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("hypothesis", sa.Text(), nullable=False),
        sa.Column("genome_hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expected_gain", sa.Double()),
        sa.ForeignKeyConstraint(
            ["first_parent"], ["variants.sha"], name="fk_variants_first_parent"
        ),
        sa.ForeignKeyConstraint(
            ["second_parent"], ["variants.sha"], name="fk_variants_second_parent"
        ),
        sa.PrimaryKeyConstraint("serial", name="pk_variants"),
        sa.UniqueConstraint("name", name="uq_variants_name"),
        sa.UniqueConstraint("sha", name="uq_variants_sha"),
    )
    op.create_index("ix_variants_first_parent", "variants", ["first_parent"])
    op.create_index("ix_variants_genome_hash", "variants", ["genome_hash"])
    op.create_index("ix_variants_second_parent", "variants", ["second_parent"])


def _create_fitnesses() -> None:
    op.create_table(
        "fitnesses",
        sa.Column("variant", sa.Text(), nullable=False),
        sa.Column("mean", sa.Double()),
        sa.Column("sd", sa.Double(), nullable=False),
        sa.Column("trial_count", _INTEGER, nullable=False),
        sa.ForeignKeyConstraint(["variant"], ["variants.sha"], name="fk_fitnesses_variant"),
        sa.PrimaryKeyConstraint("variant", name="pk_fitnesses"),
    )
    op.create_index("ix_fitnesses_mean", "fitnesses", ["mean"])


def _create_trials() -> None:
    op.create_table(
        "trials",
        sa.Column("id", _INTEGER, nullable=False),
        sa.Column("variant", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("pair", sa.Text()),
        sa.Column("budget_kind", sa.Text(), nullable=False),
        sa.Column("budget_amount", sa.Double(), nullable=False),
        sa.Column("rng_seed", _INTEGER, nullable=False),
        sa.Column("depth_scale", sa.Double(), nullable=False),
        sa.Column("device_class", sa.Text(), nullable=False),
        sa.Column("split", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempt", _INTEGER, nullable=False),
        sa.Column("queued_at", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double()),
        sa.Column("finished_at", sa.Double()),
        sa.Column("slot", _INTEGER),
        sa.Column("supervisor_pid", _INTEGER),
        sa.Column("lease_until", sa.Double()),
        sa.Column("requeue_reason", sa.Text()),
        sa.Column("val_bpb", sa.Double()),
        sa.Column("scoring", sa.Text()),
        sa.Column("containment", sa.Text()),
        sa.Column("train_seconds", sa.Double()),
        sa.Column("total_seconds", sa.Double()),
        sa.Column("cpu_seconds", sa.Double()),
        sa.Column("train_tokens", _INTEGER),
        sa.Column("step_count", _INTEGER),
        sa.Column("peak_memory_mb", sa.Double()),
        sa.Column("summary", sa.JSON()),
        sa.Column("calibration", sa.JSON()),
        sa.Column("granted_tokens", _INTEGER),
        sa.Column("is_suspect", sa.Boolean()),
        sa.Column("failure_kind", sa.Text()),
        sa.Column("failure_message", sa.Text()),
        sa.Column("failure_log_tail", sa.Text()),
        sa.Column("curve", sa.JSON()),
        sa.ForeignKeyConstraint(["variant"], ["variants.sha"], name="fk_trials_variant"),
        sa.PrimaryKeyConstraint("id", name="pk_trials"),
    )
    op.create_index("ix_trials_pair", "trials", ["pair"])
    op.create_index("ix_trials_purpose_val_bpb", "trials", ["purpose", "val_bpb"])
    op.create_index("ix_trials_status_id", "trials", ["status", "id"])
    op.create_index("ix_trials_variant", "trials", ["variant"])


def _create_verdicts() -> None:
    op.create_table(
        "verdicts",
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("champion", sa.Text()),
        sa.Column("baseline", sa.Text(), nullable=False),
        sa.Column("rungs", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["baseline"], ["variants.sha"], name="fk_verdicts_baseline"),
        sa.ForeignKeyConstraint(["champion"], ["variants.sha"], name="fk_verdicts_champion"),
        sa.PrimaryKeyConstraint("label", name="pk_verdicts"),
    )


def _create_calls() -> None:
    op.create_table(
        "calls",
        sa.Column("id", _INTEGER, nullable=False),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("reply", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("latency_seconds", sa.Double(), nullable=False),
        sa.Column("input_tokens", _INTEGER, nullable=False),
        sa.Column("output_tokens", _INTEGER, nullable=False),
        sa.Column("cached_input_tokens", _INTEGER, nullable=False),
        sa.Column("cost_usd", sa.Double(), nullable=False),
        sa.Column("stop_reason", sa.Text(), nullable=False),
        sa.Column("variant", sa.Text()),
        sa.Column("trial", _INTEGER),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["trial"], ["trials.id"], name="fk_calls_trial"),
        sa.ForeignKeyConstraint(["variant"], ["variants.sha"], name="fk_calls_variant"),
        sa.PrimaryKeyConstraint("id", name="pk_calls"),
    )
    op.create_index("ix_calls_variant", "calls", ["variant"])


def _create_late_results() -> None:
    op.create_table(
        "late_results",
        sa.Column("trial", _INTEGER, nullable=False),
        sa.Column("attempt", _INTEGER, nullable=False),
        sa.Column("received_at", sa.Double(), nullable=False),
        sa.Column("outcome", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["trial"], ["trials.id"], name="fk_late_results_trial"),
        sa.PrimaryKeyConstraint("trial", "attempt", name="pk_late_results"),
    )


def _create_snapshots() -> None:
    op.create_table(
        "snapshots",
        sa.Column("trial", _INTEGER, nullable=False),
        sa.Column("attempt", _INTEGER, nullable=False),
        sa.Column("fraction", sa.Double(), nullable=False),
        sa.Column("bpb", sa.Double()),
        sa.ForeignKeyConstraint(["trial"], ["trials.id"], name="fk_snapshots_trial"),
        sa.PrimaryKeyConstraint("trial", "attempt", "fraction", name="pk_snapshots"),
    )
