"""A pool of workers in virtual time, for searches that hand their work to an executor.

It takes the place of a ``ProcessPoolExecutor``: work starts in the order in which it was handed in,
as soon as a worker is free, and ends after the seconds that it says it takes. Of all that runs only
what ends next is done, so that a search that waits for any of it sees things end in their order.
"""

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


class Waiting:
    """Work that was handed in: what is asked of a future."""

    def __init__(self, pool: "VirtualPool") -> None:
        self._pool = pool
        self.value: object = None

    def done(self) -> bool:
        """True for the one that ends next: until then nothing else can happen."""
        return self._pool.ends_next(self)

    def result(self, **_: object) -> object:
        """What came of it; the clock goes on to its end."""
        return self._pool.ended(self)

    def cancel(self) -> bool:
        """The search is over."""
        return True


@dataclass(slots=True)
class VirtualPool:
    """Workers, each with one thing at a time.

    Attributes:
        workers: How many.
        device_seconds: To spend, of all workers together.
        play: Does what was handed in; returns the seconds it takes, and what came of it.
        look: Called with the device-seconds so far once all that has ended by then is known.
        close: Called when the device-seconds are spent, or at trouble.
        troubles: What went wrong so far.
        now: The clock, in seconds.
        started: How much of it took time so far.
    """

    workers: int
    device_seconds: float
    play: Callable[..., tuple[float, object]]
    look: Callable[[float], None]
    close: Callable[[], None]
    troubles: Sequence[str] = ()
    now: float = 0.0
    started: int = 0
    _queue: deque[tuple[Waiting, tuple[object, ...]]] = field(default_factory=deque)
    _running: list[tuple[float, int, Waiting]] = field(default_factory=list)
    _order: int = 0

    def submit(self, *work: object) -> Waiting:
        """Take work: it starts when a worker is free."""
        waiting = Waiting(self)
        self._queue.append((waiting, work))
        self._fill()
        return waiting

    def ends_next(self, waiting: Waiting) -> bool:
        """Whether the clock may go on to the end of this one."""
        if self.troubles or self.now * self.workers >= self.device_seconds:
            self.close()
            return False
        return self._running[0][2] is waiting

    def ended(self, waiting: Waiting) -> object:
        """Let the clock go on to the end of this one, and start what waits for its worker."""
        if self._running[0][2] is not waiting:
            raise ValueError("something else ends before this")
        self.look(self.now * self.workers)
        self.now, *_ = heapq.heappop(self._running)
        self._fill()
        return waiting.value

    def _fill(self) -> None:
        while self._queue and len(self._running) < self.workers:
            waiting, work = self._queue.popleft()
            seconds, waiting.value = self.play(*work)
            self._order += 1
            self.started += seconds > 0
            heapq.heappush(self._running, (self.now + seconds, self._order, waiting))
