"""Pool: work in threads beside the engine's, whose results the engine's thread takes in.

Knows nothing of models. Threads are daemons: an engine that is told to end now does not wait for a
reply that may take minutes.
"""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Broken:
    """What is left of a piece of work that raised an error."""

    error: Exception


class Pool(Generic[Result]):
    """Runs pieces of work side by side; the caller decides how many.

    What a piece of work raises is its result: one that is broken must not end all others. Only what
    ends a process, and an error that says that the run's own books cannot be kept, is raised by
    ``finished``, in the thread that asks.

    Args:
        lasting: Errors that no other piece of work will be spared.
    """

    def __init__(self, lasting: tuple[type[Exception], ...] = ()) -> None:
        self._lasting = lasting
        self._running: dict[int, threading.Thread] = {}
        self._ended: queue.SimpleQueue[tuple[int, Result | BaseException]] = queue.SimpleQueue()
        self._has_news = threading.Event()

    def __len__(self) -> int:
        """Pieces of work whose results were not taken in yet."""
        return len(self._running)

    def __contains__(self, key: int) -> bool:
        return key in self._running

    def submit(self, key: int, work: Callable[[], Result]) -> None:
        """Start ``work``; ``key`` is how its result is called.

        Raises:
            ValueError: There is work of this key already.
        """
        if key in self._running:
            raise ValueError(f"work {key} is under way already")
        thread = threading.Thread(
            target=self._do, args=(key, work), name=f"commission-{key}", daemon=True
        )
        self._running[key] = thread
        thread.start()

    def finished(self) -> list[tuple[int, Result | Broken]]:
        """What has ended since the last call, in the order in which it did."""
        results: list[tuple[int, Result | Broken]] = []
        self._has_news.clear()
        while not self._ended.empty():
            key, result = self._ended.get()
            self._running.pop(key).join()
            if not isinstance(result, BaseException):
                results.append((key, result))
            elif isinstance(result, Exception) and not isinstance(result, self._lasting):
                results.append((key, Broken(result)))
            else:
                raise result
        return results

    def wait(self, seconds: float) -> None:
        """Until something has ended, but no longer than ``seconds``."""
        self._has_news.wait(seconds)

    def close(self, patience_seconds: float) -> list[int]:
        """Wait for what runs, so long at most; the keys of what still does."""
        deadline = time.monotonic() + patience_seconds
        for thread in self._running.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        return [key for key, thread in self._running.items() if thread.is_alive()]

    def _do(self, key: int, work: Callable[[], Result]) -> None:
        try:
            result: Result | BaseException = work()
        except BaseException as error:  # noqa: BLE001 - the engine's thread gets it
            result = error
        self._ended.put((key, result))
        self._has_news.set()
