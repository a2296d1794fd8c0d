"""Keys of language models: taken out of our environment, which every child of ours inherits.

git, the boxes' self-test and all other children start without them; who makes a client asks here.
Imports nothing of the project; a key is never shown, kept or handed on.
"""

import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

#: What the providers' clients read, each on its own; a cloud's general credentials stay.
NAMES = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_CUSTOM_HEADERS",
    "ANTHROPIC_AWS_API_KEY",
    "AWS_BEARER_TOKEN_BEDROCK",
    "OPENAI_API_KEY",
)
_held: dict[str, str] = {}


@contextmanager
def hidden(environ: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """Without the keys in ``environ``; at the end they are back."""
    taken = {name: environ.pop(name) for name in NAMES if name in environ}
    _held.update(taken)
    try:
        yield
    finally:
        for name, value in taken.items():
            del _held[name]
            environ[name] = value


@contextmanager
def shown(environ: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """With the keys, for a client that is being made and looks for its own; start no child here."""
    added = {name: value for name, value in _held.items() if name not in environ}
    environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del environ[name]


def environment() -> dict[str, str]:
    """Our environment with the keys."""
    return {**os.environ, **_held}
