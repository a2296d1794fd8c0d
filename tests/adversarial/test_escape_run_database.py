import pytest

from tests.adversarial.escape_arena import EscapeContract, WriteContract

pytestmark = pytest.mark.security


class TestReadingTheDatabase(EscapeContract):
    program = """
import sqlite3
path = GROUND["root"] + "/runs/this/run.db"
for address in (path, f"file:{path}?mode=ro", f"file:{path}?immutable=1"):
    with a_try(address):
        database = sqlite3.connect(address, uri=address != path)
        print(database.execute("select * from trial").fetchall())
with a_try("its bytes"):
    print(open(path, "rb").read())
"""


class TestWritingAScoreIntoTheDatabase(WriteContract):
    program = """
import sqlite3
with a_try("update"):
    database = sqlite3.connect(GROUND["root"] + "/runs/this/run.db")
    database.execute("update trial set val_bpb = 0.1")
    database.commit()
with a_try("a journal that is hot"):
    open(GROUND["root"] + "/runs/this/run.db-journal", "wb").write(b"x" * 512)
"""
