"""Migrations: the steps lead to the tables, keep every row, and newer schemas are refused."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, insert, inspect
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from population import CallState, EvolveError, SchemaError, Store, StoreError
from population.migrations.steps import HEAD, REVISIONS, upgrade
from population.tables import Table, TrialRow
from tests.builders import NOW, a_run, a_variant, an_outcome, conditions

ROOT = Path(__file__).parents[2]


def stamp(path, revision):
    database = sqlite3.connect(path)
    database.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    database.commit()
    database.close()


@pytest.fixture
def engine(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path / 'bare.db'}")
    yield engine
    engine.dispose()


def test_the_revisions_are_the_files_in_order():
    config = Config()
    config.set_main_option("script_location", "population:migrations")
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert [step.revision for step in scripts.walk_revisions()][::-1] == list(REVISIONS)
    assert scripts.get_current_head() == HEAD


def test_the_steps_lead_to_exactly_the_tables_of_the_program(engine):
    with engine.begin() as connection:
        upgrade(connection)
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []


def test_constraints_and_columns_are_the_same_by_migration_and_by_declaration():
    def schema(build):
        engine = create_engine("sqlite://")
        with engine.begin() as connection:
            build(connection)
            rows = connection.exec_driver_sql(
                "SELECT name, sql FROM sqlite_master WHERE tbl_name <> 'alembic_version'"
            ).all()
        engine.dispose()
        # The order of clauses does not matter, nor do quotes, and the two write them differently.
        clauses = {name: re.split(r"[,()]", (sql or "").replace('"', "")) for name, sql in rows}
        return {name: sorted(" ".join(c.split()) for c in parts) for name, parts in clauses.items()}

    assert schema(upgrade) == schema(Table.metadata.create_all)


def test_the_tables_can_be_made_on_postgresql():
    for table in Table.metadata.sorted_tables:
        statement = str(CreateTable(table).compile(dialect=postgresql.dialect()))
        assert statement.strip().startswith(f"CREATE TABLE {table.name}")


# Rows as SQL sees them: whatever fits a column is kept by every step after it.

_VALUES = {
    str: st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    int: st.integers(-(2**62), 2**62),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    object: st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),  # JSON
}


@st.composite
def rows(draw):
    """One row of each table, with rows of the tables it points at."""
    content = {}
    for table in Table.metadata.sorted_tables:
        row = {}
        for column in table.columns:
            values = _VALUES[column.type.python_type]
            if column.nullable:
                values = st.none() | values
            if column.foreign_keys:
                target = next(iter(column.foreign_keys)).column
                known = content.get(target.table.name, {})
                row[column.name] = known.get(target.name)
            elif column.name == "id" and table.name == "run":
                row[column.name] = 1
            else:
                row[column.name] = draw(values)
        content[table.name] = row
    return content


@settings(max_examples=10)
@given(content=rows(), revision=st.sampled_from(REVISIONS))
def test_every_later_step_keeps_every_row(content, revision):
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        upgrade(connection, to=revision)
        there = connection.dialect.get_table_names(connection)
        for name in there:
            if name in content:
                columns = {column["name"] for column in inspect(connection).get_columns(name)}
                known = {k: v for k, v in content[name].items() if k in columns}
                table = Table.metadata.tables[name]
                content[name] = {c.name: filled_in(c) for c in table.columns} | known
                connection.execute(insert(table).values(known))
        before = {name: count(connection, name) for name in there if name in content}
        upgrade(connection)
        assert (
            {name: count(connection, name) for name in before} == before == dict.fromkeys(before, 1)
        )
        for name in before:
            table = Table.metadata.tables[name]
            kept = connection.execute(table.select()).mappings().one()
            assert dict(kept) == content[name]
    engine.dispose()


def filled_in(column):
    """What a step gives to the rows of before in a new column."""
    if column.server_default is None:
        return None
    kind, text = column.type.python_type, column.server_default.arg
    return json.loads(text) if kind in (dict, object) else kind(text)


def count(connection, table):
    return connection.exec_driver_sql(f'SELECT count(*) FROM "{table}"').scalar()


def test_a_run_of_schema_0002_is_brought_up_to_date_with_its_calls(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path / 'run.db'}")
    run = "'r', 0, 'running', '{}', '', '', NULL, 1"
    call = "'mutator', 'model-x', 'the prompt', 'the reply', 5.5, 1.5, 100, 20, 80, 0.25"
    with engine.begin() as connection:
        upgrade(connection, to="0002")
        connection.exec_driver_sql(f"INSERT INTO run VALUES (1, {run})")
        connection.exec_driver_sql(
            f"INSERT INTO calls VALUES (7, {call}, 'end_turn', NULL, NULL, '{{\"a\": 1}}')"
        )
    engine.dispose()
    with pytest.raises(SchemaError, match=r"schema 0002, but reading needs.*evolve resume"):
        Store.open(tmp_path / "run.db", read_only=True)
    with Store.open(tmp_path / "run.db") as store:
        (kept,) = store.calls(with_texts=True)
        assert (kept.id, kept.prompt, kept.reply) == (7, "the prompt", "the reply")
        assert (kept.state, kept.commission, kept.reserved_usd) == (CallState.SETTLED, None, 0.0)
        assert (kept.system, kept.tools, kept.details) == ((), "", {"a": 1})
        assert store.spending().spent_usd == 0.25
        assert store.commissions() == []


@pytest.mark.parametrize("read_only", [True, False])
def test_a_newer_schema_is_refused_and_left_alone(tmp_path, read_only):
    Store.create(tmp_path / "run.db", a_run()).close()
    stamp(tmp_path / "run.db", "9999")
    before = (tmp_path / "run.db").read_bytes()
    with pytest.raises(SchemaError, match=r"schema 9999.*newer version.*Install that version"):
        Store.open(tmp_path / "run.db", read_only=read_only)
    assert (tmp_path / "run.db").read_bytes() == before
    assert issubclass(SchemaError, StoreError)
    assert issubclass(StoreError, EvolveError)


def test_an_older_schema_is_brought_up_to_date_by_a_writer_only(tmp_path, monkeypatch):
    with Store.create(tmp_path / "run.db", a_run()) as store:
        store.add_variant(a_variant())
    steps = []
    monkeypatch.setattr("population.database.REVISIONS", ("0000", *REVISIONS))
    monkeypatch.setattr("population.database.upgrade", steps.append)
    stamp(tmp_path / "run.db", "0000")
    with pytest.raises(SchemaError, match=r"schema 0000, but reading needs.*evolve resume"):
        Store.open(tmp_path / "run.db", read_only=True)
    assert steps == []
    with Store.open(tmp_path / "run.db") as store:
        assert store.variants() == [a_variant()]
    assert len(steps) == 1


def test_a_step_that_fails_changes_nothing(tmp_path):
    path = tmp_path / "run.db"
    blocker = sqlite3.connect(path)
    # The last table of the first step is there already, so that the step breaks half way.
    blocker.execute("CREATE TABLE snapshots (x)")
    blocker.commit()
    from population.database import Database, address

    database = Database(address(path))
    with pytest.raises(Exception, match="already exists"):
        database.build()
    database.close()
    names = {name for (name,) in blocker.execute("SELECT name FROM sqlite_master")}
    blocker.close()
    assert names == {"snapshots"}


def test_opening_a_present_schema_does_not_load_alembic(tmp_path):
    Store.create(tmp_path / "run.db", a_run()).close()
    opening = "import sys; from population import Store; Store.open(sys.argv[1]).close(); "
    check = opening + "sys.exit('alembic' in sys.modules)"
    command = [sys.executable, "-c", check, str(tmp_path / "run.db")]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def test_importing_population_loads_neither_database_nor_git():
    check = (
        "import sys, population; from population import Variant, Fitness, Trial; "
        "sys.exit(bool({'sqlalchemy', 'git'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0


def test_a_wheel_carries_the_steps(tmp_path):
    """Only the packages are copied, as a wheel does; the store must work from there alone."""
    from setuptools import find_packages

    for package in find_packages(str(ROOT), include=["population*"]):
        target = tmp_path / "site" / package.replace(".", "/")
        target.mkdir(parents=True)
        for module in (ROOT / package.replace(".", "/")).glob("*.py"):
            shutil.copy(module, target)
    making = (
        "import sys; sys.path.insert(0, sys.argv[2]); import population; "
        "assert population.__file__.startswith(sys.argv[2]); "
        "from population import Store, RunRecord, RunState; "
        "Store.create(sys.argv[1], RunRecord('r', 0.0, RunState.CREATED, {}, '', '', None, 1))"
    )
    command = [sys.executable, "-c", making, str(tmp_path / "run.db"), str(tmp_path / "site")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with Store.open(tmp_path / "run.db") as store:
        assert store.run().name == "r"


def test_a_leaderboard_query_uses_an_index(tmp_path):
    from sqlalchemy import select

    with Store.create(tmp_path / "run.db", a_run()) as store:
        store.add_variant(a_variant())
        from population import Purpose

        trial = store.queue_trial(
            a_variant().sha, purpose=Purpose.SCREEN, conditions=conditions(), at=NOW
        )
        store.start_trial(trial.id, slot=0, lease_seconds=1.0, at=NOW)
        store.finish_trial(trial.id, 1, an_outcome(), at=NOW)
    query = select(TrialRow.id).where(TrialRow.purpose == "screen").order_by(TrialRow.val_bpb)
    sql = str(query.limit(20).compile(compile_kwargs={"literal_binds": True}))
    database = sqlite3.connect(tmp_path / "run.db")
    plan = " ".join(row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {sql}"))
    database.close()
    assert "ix_trials_purpose_val_bpb" in plan
    assert "TEMP B-TREE" not in plan
