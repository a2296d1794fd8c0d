"""Prompt caching as the Messages API does it: by prefix, byte by byte, from point to point.

A prompt is a row of blocks: tools, standing instructions, turns. ``cache_control`` marks points. A
request writes what lies before its last point, and reads the longest prefix that lies in the cache
and ends at a point or at most ``LOOKBACK`` blocks before one.
"""

import hashlib
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Body = dict[str, Any]  # JSON of the protocol

LOOKBACK = 20  # blocks
LIFE_SECONDS = 300.0  # from the last use
MIN_TOKENS = 512  # shorter prefixes are not kept

_BYTES_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a prompt."""

    data: bytes
    is_point: bool
    is_turn: bool = False

    @property
    def tokens(self) -> int:
        """Tokens as the twin counts them: four bytes of its JSON each, rounded up."""
        return count_tokens(self.data)


@dataclass(frozen=True, slots=True)
class Split:
    """How the input of a request is billed, in tokens."""

    fresh: int
    read: int
    written: int


@dataclass
class PromptCache:
    """What is cached, for all models. Safe for several threads.

    Attributes:
        life_seconds: How long a prefix is kept after its last use.
        min_tokens: Length below which nothing is kept.
        clock: Seconds, from any origin.
    """

    life_seconds: float = LIFE_SECONDS
    min_tokens: int = MIN_TOKENS
    clock: Callable[[], float] = time.monotonic
    _used_at: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def use(self, model: str, blocks: Sequence[Block]) -> Split:
        """Read and write the cache for one request."""
        keys = list(_prefix_keys(model, blocks))
        ends = list(itertools.accumulate(block.tokens for block in blocks))
        points = [i for i, block in enumerate(blocks) if block.is_point]
        with self._lock:
            now = self.clock()
            near = {i - k for i in points for k in range(LOOKBACK) if i >= k}
            hits = [i for i in near if self._is_alive(keys[i], now)]
            read = max((ends[i] for i in hits), default=0)
            kept = [i for i in points if ends[i] >= self.min_tokens]
            self._used_at |= {keys[i]: now for i in (*hits, *kept)}
        written = max([0, *(ends[i] - read for i in kept)])
        total = ends[-1] if ends else 0
        return Split(fresh=total - read - written, read=read, written=written)

    def _is_alive(self, key: str, now: float) -> bool:
        return now - self._used_at.get(key, -float("inf")) < self.life_seconds


def blocks_of(request: Body) -> list[Block]:
    """The blocks of a request, in the order in which they are cached."""
    system = request.get("system", [])
    if isinstance(system, str):
        system = [{"type": "text", "text": system}]
    found = [_block("tool", tool) for tool in request.get("tools", [])]
    found += [_block("system", block) for block in system]
    for turn in request.get("messages", []):
        content = turn["content"]
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        found += [_block(turn["role"], block, is_turn=True) for block in content]
    return found


def count_tokens(data: bytes) -> int:
    """Tokens of ``data``."""
    return -(-len(data) // _BYTES_PER_TOKEN)


def shown(value: object) -> bytes:
    """``value`` as JSON, keys in the order in which they came."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


def _block(place: str, block: Body, *, is_turn: bool = False) -> Block:
    bare = {key: value for key, value in block.items() if key != "cache_control"}
    return Block(shown([place, bare]), bool(block.get("cache_control")), is_turn)


def _prefix_keys(model: str, blocks: Sequence[Block]) -> Iterator[str]:
    """For each block the name of all that stands up to its end."""
    so_far = hashlib.sha256(model.encode())
    for block in blocks:
        so_far.update(len(block.data).to_bytes(8, "big") + block.data)
        yield so_far.hexdigest()
