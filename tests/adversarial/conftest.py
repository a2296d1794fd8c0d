"""The arena of the forgeries, once for all of them."""

from pathlib import Path

import pytest

from tests.adversarial.arena import Arena


@pytest.fixture(scope="session")
def arena(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path) -> Arena:
    """Where genomes are scored, naively and by us."""
    return Arena(tmp_path_factory.mktemp("arena"), tiny_data)
