"""Keys of language models: taken out of our environment, which every child of ours inherits.

git, the boxes' self-test and all other children start without them; who makes a client asks here.
Imports nothing of the project; a key is never shown, kept or handed on.
"""

import os
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager

#: What the providers' clients read, each on its own; a cloud's general credentials stay.
NAMES = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_CUSTOM_HEADERS",
    "ANTHROPIC_AWS_API_KEY",
    "AWS_BEARER_TOKEN_BEDROCK",
    "OPENAI_API_KEY",
    "OPENAI_ADMIN_KEY",
    "OPENAI_CUSTOM_HEADERS",
)
_held: dict[str, str] = {}


@contextmanager
def hidden(environ: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """Without the keys in ``environ``; at the end they are back, with those held meanwhile."""
    earlier = set(_held)
    _held.update({name: environ.pop(name) for name in NAMES if name in environ})
    try:
        yield
    finally:
        for name in _held.keys() - earlier:
            environ[name] = _held.pop(name)


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


def hold(name: str, environ: MutableMapping[str, str] = os.environ) -> Callable[[], None]:
    """Take one more key out of ``environ``, as a setting names it; the answer puts it back."""
    if name not in environ:
        return lambda: None
    _held[name] = environ.pop(name)

    def give_back() -> None:
        if name in _held:
            environ[name] = _held.pop(name)

    return give_back


@contextmanager
def held(name: str, environ: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """Without one more key in ``environ``, as settings name it; every child starts without it."""
    give_back = hold(name, environ)
    try:
        yield
    finally:
        give_back()


def environment() -> dict[str, str]:
    """Our environment with the keys."""
    return {**os.environ, **_held}
