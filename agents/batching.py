"""Batching: prompts that nobody waits for, handed in together for less money (Message Batches).

A prompt becomes a ticket, and a ticket, hours later and perhaps in another process, a reply. What
a ticket is worth is the provider's to say: nothing is asked twice, whoever is killed in between.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from agents.model import CallFailure, ModelError, Prompt, Reply
from population.records import Json

#: What a prompt of a batch costs against one that is asked at once; Anthropic's price list of
#: 2026-10-24, all kinds of tokens alike.
PRICE_SHARE = 0.5
#: A batch is given up after so many seconds; the provider ends each within a day.
GIVEN_UP_AFTER = 26 * 3600.0

#: Name of the fact of a call that says which batch it was handed in with.
HANDED_IN = "batch"
_PLACE, _SIZE = "place", "size"


@dataclass(frozen=True, slots=True)
class Pace:
    """How batches are put together and looked after.

    Attributes:
        largest: Prompts of one batch. Providers take far more, but whoever came first would wait
            for the last.
        gather_seconds: Wait for further prompts after the first.
        first_look: Pause between two looks at a batch, in seconds; doubled with each.
        longest_look: The longest such pause.
        called_off_seconds: How long a batch that nobody needs any more is waited for. Whoever
            cannot be told to end it, or does not, is asked again when the run goes on.
    """

    largest: int = 64
    gather_seconds: float = 2.0
    first_look: float = 5.0
    longest_look: float = 60.0
    called_off_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Prompts that were handed in together: the provider's name for them, and how many."""

    id: str
    size: int


@dataclass(frozen=True, slots=True)
class Ticket:
    """One prompt of a batch, by its place, from 0."""

    batch: Batch
    place: int

    def as_details(self) -> dict[str, Json]:
        """As facts of a call."""
        return {HANDED_IN: self.batch.id, _SIZE: self.batch.size, _PLACE: self.place}

    @classmethod
    def of_details(cls, details: Mapping[str, Json]) -> "Ticket | None":
        """The ticket among the facts of a call; None if it has none."""
        name, size, place = details.get(HANDED_IN), details.get(_SIZE), details.get(_PLACE)
        if not (isinstance(name, str) and isinstance(size, int) and isinstance(place, int)):
            return None
        return cls(Batch(name, size), place)


#: Keeps the tickets of a batch, by the keys of its prompts.
Note = Callable[[Mapping[int, Ticket]], None]


class Clerk(Protocol):
    """Whoever takes batches in; safe to ask from several threads at once."""

    @property
    def name(self) -> str:
        """The model, as its provider names it."""
        ...

    def batch(self, prompts: Sequence[Prompt]) -> Batch:
        """Hand ``prompts`` in together.

        Raises:
            ModelError: They were not taken in.
        """
        ...

    def collect(self, batch: Batch) -> list[Reply | ModelError] | None:
        """What a batch gave, in the order of its prompts; None while it is under way.

        Raises:
            ModelError: The provider did not say; nothing is lost.
        """
        ...

    def cancel(self, batch: Batch) -> None:
        """End a batch before its time; what was not begun is not billed.

        Raises:
            ModelError: The provider did not hear of it.
        """
        ...


@runtime_checkable
class Deferred(Protocol):
    """A model whose replies may take hours, and outlive the asking process."""

    @property
    def name(self) -> str:
        """The model, as its provider names it."""
        ...

    def hand_in(self, prompt: Prompt, key: int, note: Note) -> Ticket:
        """Have ``prompt`` taken in, together with others that come at about the same time.

        Args:
            prompt: What is asked.
            key: The caller's name for it.
            note: Called once for all of a batch, as soon as it is taken in.

        Raises:
            ModelError: It was not taken in.
        """
        ...

    def redeem(self, ticket: Ticket) -> Reply:
        """Wait for the reply.

        Raises:
            ModelError: There is none; ``UNDER_WAY`` if there may be one later.
        """
        ...


class Batched:
    """A model that asks in batches. Safe for several threads; each call waits for its batch.

    Args:
        clerk: Takes batches in.
        pace: See there.
        clock: Seconds, from any origin.
    """

    def __init__(
        self,
        clerk: Clerk,
        *,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clerk = clerk
        self._pace = pace or Pace()
        self._clock = clock
        self._lock = threading.Lock()
        self._gathering: _Group | None = None
        self._watched: dict[str, _Watch] = {}
        self._called_off_at: float | None = None
        self._closed = threading.Event()

    @property
    def name(self) -> str:
        """The model, as its provider names it."""
        return self._clerk.name

    def reply(self, prompt: Prompt) -> Reply:
        """Hand ``prompt`` in and wait for its reply.

        Raises:
            ModelError: There is none.
        """
        return self.redeem(self.hand_in(prompt, 0, lambda _: None))

    def hand_in(self, prompt: Prompt, key: int, note: Note) -> Ticket:
        """See ``Deferred``. The first of a group waits for others, then hands all of them in."""
        with self._lock:
            if self._called_off_at is not None or self._closed.is_set():
                raise ModelError("No more batches are handed in.", CallFailure.RESTING)
            group = self._gathering
            is_first = group is None
            if group is None:
                group = self._gathering = _Group()
            place = len(group.prompts)
            group.prompts.append(prompt)
            group.keys.append(key)
            if len(group.prompts) >= self._pace.largest:
                self._gathering = None
                group.is_full.set()
        if is_first:
            self._send(group, note)
        group.is_sent.wait()
        if group.error is not None:
            raise group.error
        assert group.batch is not None
        return Ticket(group.batch, place)

    def redeem(self, ticket: Ticket) -> Reply:
        """See ``Deferred``. However many wait for a batch, one look serves all."""
        watch = self._watch(ticket.batch)
        deadline = self._clock() + GIVEN_UP_AFTER
        while True:
            results = watch.looked(self._clerk, self._clock)
            if results is not None:
                found = results[ticket.place]
                if isinstance(found, ModelError):
                    raise found
                return found
            if self._clock() > deadline:
                raise ModelError(
                    f"The batch {ticket.batch.id} had not ended after {GIVEN_UP_AFTER / 3600:.0f} "
                    "hours, and is given up.",
                    CallFailure.ABANDONED,
                )
            if self._is_let_be() or self._closed.wait(watch.pause):
                raise ModelError(
                    f"The batch {ticket.batch.id} is under way. It is asked for again when the "
                    "run goes on.",
                    CallFailure.UNDER_WAY,
                )

    def _is_let_be(self) -> bool:
        """True if what nobody needs has been waited for long enough."""
        since = self._called_off_at
        return since is not None and self._clock() - since > self._pace.called_off_seconds

    def call_off(self) -> None:
        """Nobody needs what is under way: no more is handed in, and open batches end early.

        Returns at once; the provider is told by another thread, and again at each look until it
        has heard.
        """
        with self._lock:
            if self._called_off_at is not None:
                return
            self._called_off_at = self._clock()
            watched = list(self._watched.values())

        def cancel() -> None:
            for watch in watched:
                watch.cancel(self._clerk, self._pace.first_look)

        threading.Thread(target=cancel, name="call-off", daemon=True).start()

    def close(self) -> None:
        """Let all who wait go; what they wait for stays with the provider."""
        self._closed.set()

    def _send(self, group: "_Group", note: Note) -> None:
        group.is_full.wait(self._pace.gather_seconds)
        with self._lock:
            if self._gathering is group:
                self._gathering = None
        try:
            group.batch = batch = self._clerk.batch(group.prompts)
            note({key: Ticket(batch, place) for place, key in enumerate(group.keys)})
            self._watch(batch)
        except ModelError as error:
            group.error = error
        except BaseException:
            group.error = ModelError("The batch was not handed in.", CallFailure.ABANDONED)
            raise
        finally:
            group.is_sent.set()

    def _watch(self, batch: Batch) -> "_Watch":
        """What is known of ``batch``; one that nobody needs any more ends early."""
        with self._lock:
            new = _Watch(batch, self._pace.first_look, self._pace.longest_look)
            watch = self._watched.setdefault(batch.id, new)
            is_needed = self._called_off_at is None
        if not is_needed:
            watch.cancel(self._clerk, self._pace.first_look)
        return watch


@dataclass
class _Group:
    """Prompts that will be one batch."""

    prompts: list[Prompt] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    is_full: threading.Event = field(default_factory=threading.Event)
    is_sent: threading.Event = field(default_factory=threading.Event)
    batch: Batch | None = None
    error: ModelError | None = None


@dataclass
class _Watch:
    """What is known of a batch; ``pause`` is how long to wait before the next look, in seconds."""

    batch: Batch
    pause: float
    longest_pause: float
    results: list[Reply | ModelError] | None = None
    looked_at: float | None = None
    is_called_off: bool = False
    is_cancelled: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def looked(self, clerk: Clerk, clock: Callable[[], float]) -> "list[Reply | ModelError] | None":
        """The results, if there are any by now; looks again when it is time."""
        with self.lock:
            is_due = self.looked_at is None or clock() - self.looked_at >= self.pause
            if self.results is None and is_due:
                self._try_to_cancel(clerk)
                try:
                    self.results = clerk.collect(self.batch)
                except ModelError as error:
                    if error.kind is CallFailure.BAD_REQUEST:  # the provider does not know it
                        lost = ModelError(str(error), CallFailure.ABANDONED)
                        self.results = [lost] * self.batch.size
                    # Otherwise nobody knows yet: what was handed in is there, and paid once.
                if self.looked_at is not None:
                    self.pause = min(2 * self.pause, self.longest_pause)
                self.looked_at = clock()
            return self.results

    def cancel(self, clerk: Clerk, pause: float) -> None:
        """End it early, if it has not ended; from here on it is looked at often."""
        with self.lock:
            if self.results is not None or self.is_called_off:
                return
            self.is_called_off = True
            self.pause = min(pause, self.pause)
            self._try_to_cancel(clerk)

    def _try_to_cancel(self, clerk: Clerk) -> None:
        if not self.is_called_off or self.is_cancelled:
            return
        try:
            clerk.cancel(self.batch)
        except ModelError:
            return  # tried again at the next look
        self.is_cancelled = True
        self.looked_at = None  # look at once
