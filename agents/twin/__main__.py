"""``python -m agents.twin``: the twin as a process of its own, with its books in a file.

    python -m agents.twin --port 8788 --ledger twin.jsonl --faults rate_limited=0.1,cut_off=0.05

Point ``ANTHROPIC_BASE_URL`` at the address that it prints, with any key.
"""

import argparse
import signal
import sys
import threading
from pathlib import Path

from agents.twin import Author, FaultKind, PromptCache, Twin, at_random


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal ends it."""
    options = _parser().parse_args(arguments)
    end = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: end.set())
    twin = Twin(
        Author(options.seed, slips=options.slips),
        faults=at_random(options.faults, options.seed, options.seconds),
        key=options.key,
        ledger=options.ledger,
        port=options.port,
        cache=PromptCache(min_tokens=options.min_cached_tokens),
    )
    with twin:
        sys.stdout.write(f"{twin.url}\n")
        sys.stdout.flush()
        end.wait()
    for error in twin.errors:
        sys.stderr.write(f"{error}\n")
    return 1 if twin.errors else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m agents.twin", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--port", type=int, default=0, help="where to listen; 0 for any free port")
    parser.add_argument("--ledger", type=Path, help="file to which the books are appended")
    parser.add_argument("--faults", type=_shares, default={}, help="kind=share,… of all requests")
    parser.add_argument("--seconds", type=float, default=0.0, help="of slow replies, retry-after")
    parser.add_argument("--seed", type=int, default=0, help="of author and faults")
    parser.add_argument("--slips", type=float, default=0.0, help="share of replies to be mended")
    parser.add_argument("--key", default="", help="the only key that is let in; default: any")
    parser.add_argument("--min-cached-tokens", type=int, default=512, help="shortest cached prefix")
    return parser


def _shares(text: str) -> dict[FaultKind, float]:
    shares: dict[FaultKind, float] = {}
    for part in filter(None, text.split(",")):
        name, _, share = part.partition("=")
        if name not in list(FaultKind):
            known = ", ".join(FaultKind)
            raise argparse.ArgumentTypeError(f"there is no fault {name!r}. Known are: {known}.")
        shares[FaultKind(name)] = float(share or 1)
    return shares


if __name__ == "__main__":
    sys.exit(main())
