"""What can go wrong with a call, on purpose."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """A way to fail; those from ``SLOW`` on are billed."""

    RATE_LIMITED = "rate_limited"  # 429
    OVERLOADED = "overloaded"  # 529
    SERVER = "server"  # 500
    UNAUTHORISED = "unauthorised"  # 401
    BAD_REQUEST = "bad_request"  # 400
    OVERLOADED_LATE = "overloaded_late"  # an error event at the head of the stream, unbilled
    SLOW = "slow"  # the reply begins ``Fault.seconds`` late
    SLOW_STREAM = "slow_stream"  # the reply stands still for ``Fault.seconds`` in its middle
    GATEWAY = "gateway"  # 504: a gateway has given up on a reply that is being written
    DROPPED = "dropped"  # the connection ends before the answer
    CUT_OFF = "cut_off"  # the connection ends in the middle of the reply
    CUT_AT_END = "cut_at_end"  # the connection ends when the reply is whole
    BROKEN_OFF = "broken_off"  # an error event in the middle of the reply
    MALFORMED = "malformed"  # an event that is no JSON
    MISSHAPEN = "misshapen"  # JSON that is no message
    REFUSAL = "refusal"
    MAX_TOKENS = "max_tokens"
    EMPTY = "empty"

    @property
    def is_billed(self) -> bool:
        """True if the provider has done the work."""
        return self not in _STATUS and self is not FaultKind.OVERLOADED_LATE

    @property
    def status(self) -> int:
        """Status of the HTTP answer."""
        return 504 if self is FaultKind.GATEWAY else _STATUS.get(self, 200)


_STATUS = {
    FaultKind.RATE_LIMITED: 429,
    FaultKind.OVERLOADED: 529,
    FaultKind.SERVER: 500,
    FaultKind.UNAUTHORISED: 401,
    FaultKind.BAD_REQUEST: 400,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure.

    Attributes:
        kind: Which.
        seconds: How long a slow reply takes, or what ``retry-after`` says; 0 leaves it unsaid.
    """

    kind: FaultKind
    seconds: float = 0.0


#: Number of a request, from 1 -> its fault, if it has one.
Faults = Callable[[int], Fault | None]


def in_order(faults: Sequence[Fault | FaultKind | None]) -> Faults:
    """The first requests fail so, the rest do not."""
    script = [Fault(fault) if isinstance(fault, FaultKind) else fault for fault in faults]
    return lambda number: script[number - 1] if number <= len(script) else None


def at_random(shares: Mapping[FaultKind, float], seed: int = 0, seconds: float = 0.0) -> Faults:
    """Each request fails with these probabilities; a function of ``seed`` and its number."""
    if sum(shares.values()) > 1 or min(shares.values(), default=0) < 0:
        raise ValueError(f"shares of faults must be from 0 to 1 together, got {dict(shares)}")

    def fault(number: int) -> Fault | None:
        draw = random.Random(f"{seed}:{number}").random()
        for kind, share in shares.items():
            if draw < share:
                return Fault(kind, seconds)
            draw -= share
        return None

    return fault
