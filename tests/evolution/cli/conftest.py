"""Calls the command as a shell would, in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from evolution.cli import main


class Said(NamedTuple):
    """What a command left with, and what it wrote."""

    code: int
    out: str
    err: str


Evolve = Callable[..., Said]


@pytest.fixture
def evolve(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Evolve:
    monkeypatch.setenv("COLUMNS", "100")

    def call(*arguments: str | Path) -> Said:
        try:
            main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 0
        printed = capsys.readouterr()
        return Said(code, printed.out, printed.err)

    return call
