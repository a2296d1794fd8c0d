"""Genomes that something went wrong with: honest ones, mutated at random from a seed."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

#: The signals that end or stop a process, and some that do neither.
SIGNALS = (
    *("SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE"),
    *("SIGKILL", "SIGUSR1", "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGCHLD"),
    *("SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGXCPU", "SIGXFSZ", "SIGSYS", "SIGRTMAX"),
)

#: Statements that are put between two lines of a genome. Floods of processes and files are finite,
#: so that the tests may also run where nothing holds them.
DEEDS: Mapping[str, str] = {
    "endless loop": "while True: pass",
    "endless sleep": "__import__('time').sleep(1e6)",
    "fork bomb": "[__import__('os').fork() for _ in range(5)]; __import__('time').sleep(1e6)",
    "daemon": (
        "import os, time; os.fork() or (os.setsid(), os.fork() or time.sleep(1e6), os._exit(0))"
    ),
    "ten gigabytes": "hoard = [bytearray(b'x') * (1 << 28) for _ in range(40)]",
    "ten gigabytes of zeros": "hoard = bytearray(10 << 30)",
    "gigabyte of output": "[__import__('os').write(1, b'spam\\n' * 200_000) for _ in range(1024)]",
    "output without an end of line": "print('x' * (1 << 26))",
    "binary output": "__import__('os').write(2, bytes(range(256)) * 4096)",
    "terminal escapes": "print('\\x1b[2J\\x1b]0;owned\\x07\\x1b[31m' * 500)",
    "deep recursion": "deep = lambda: deep(); deep()",
    "recursion past the stack": (
        "__import__('sys').setrecursionlimit(10**9)\n"
        "deep = lambda: [*map(eval, ['deep()'])]; deep()"
    ),
    "deleted folder": "import os, shutil; shutil.rmtree(os.getcwd(), ignore_errors=True)",
    "renamed folder": "import os; os.rename(os.getcwd(), os.getcwd() + '-away')",
    "unreadable folder": "import os; os.makedirs('a/b'); os.chmod('a', 0); os.chmod('.', 0)",
    "deep folders": "import os; [(os.mkdir('d'), os.chdir('d')) for _ in range(600)]",
    "many files": "[open(f'f{n}', 'w').close() for n in range(3000)]",
    "large file": "open('large', 'wb').write(bytes(100 << 20))",
    "links": "import os; os.symlink('.', 'loop'); os.symlink('/', 'root'); os.mkfifo('pipe')",
    "endless threads": (
        "import threading, time\n"
        "[threading.Thread(target=time.sleep, args=(1e6,)).start() for _ in range(400)]"
    ),
    "closed descriptors": "__import__('os').closerange(0, 1024)",
    "closed input and output": "[__import__('os').close(n) for n in (0, 1, 2)]",
    "no descriptors left": "hoard = [open('/dev/null') for _ in range(10**6)]",
    "deaf": (
        "import signal\n"
        "[signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]; __import__('time').sleep(1e6)"
    ),
    "odd exit": "__import__('os')._exit(77)",
    "odd exception": "raise type('\\ud800', (BaseException,), {})('\\x1b[31m\\x00' * 9999)",
    "noise on the line": (
        "import os; line = int(os.environ['EVORESEARCH_HARNESS'].split(',')[1])\n"
        "[os.write(line, os.urandom(60_000)) for _ in range(400)]"
    ),
    "a long line": (
        "import os; line = int(os.environ['EVORESEARCH_HARNESS'].split(',')[1])\n"
        "[os.write(line, b'[' * 65_536) for _ in range(1000)]"
    ),
    "many messages": (
        "import os; line = int(os.environ['EVORESEARCH_HARNESS'].split(',')[1])\n"
        '[os.write(line, b\'{"type": "report", "loss": 1e999}\\n\' * 1500) for _ in range(200)]'
    ),
    "wrong messages": (
        "import os; line = int(os.environ['EVORESEARCH_HARNESS'].split(',')[1])\n"
        'os.write(line, b\'{"type": "start"}\\n{"type": "score", "val_bpb": "x"}\\n\')\n'
        'os.write(line, b\'{"type": "snapshot", "fraction": []}\\n{"type": "submit"}\\n\')'
    ),
}


@dataclass(frozen=True)
class Mutant:
    """A genome's text and what was done to it."""

    kind: str
    text: str


def mutants(honest: str, count: int, rng_seed: int) -> list[Mutant]:
    """So many mutants of one text; every kind comes before one comes again."""
    rng = random.Random(rng_seed)
    made: list[Mutant] = []
    while len(made) < count:
        kinds = list(KINDS.items())
        rng.shuffle(kinds)
        made += [Mutant(kind, mutate(honest, rng)) for kind, mutate in kinds]
    return made[:count]


def mutant_of(kind: str, honest: str, rng_seed: int) -> Mutant:
    """One mutant of this kind."""
    return Mutant(kind, KINDS[kind](honest, random.Random(rng_seed)))


def _truncated(text: str, rng: random.Random) -> str:
    return text[: rng.randrange(len(text))]


def _with_noise(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text))
    return text[:at] + "".join(chr(rng.randrange(33, 0x2FF)) for _ in range(9)) + text[at:]


def _with_nul(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text))
    return text[:at] + "\0" * rng.randrange(1, 5) + text[at:]


def _without_lines(text: str, rng: random.Random) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if rng.random() > 0.1)


def _shuffled(text: str, rng: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    rng.shuffle(lines)
    return "".join(lines)


def _signalled(text: str, rng: random.Random) -> str:
    name = rng.choice(SIGNALS)
    return _with_deed(text, rng, f"import os, signal; os.kill(os.getpid(), signal.{name})")


def _with_deed(text: str, rng: random.Random, deed: str) -> str:
    """The text with a deed before one of its lines, as deep as that line stands."""
    lines = text.splitlines(keepends=True)
    places = [n for n, line in enumerate(lines) if line[:1].strip() and not line.startswith('"')]
    at = rng.choice(places)
    return "".join([*lines[:at], deed, "\n", *lines[at:]])


def _doing(deed: str) -> Callable[[str, random.Random], str]:
    return lambda text, rng: _with_deed(text, rng, deed)


KINDS: Mapping[str, Callable[[str, random.Random], str]] = {
    "truncated": _truncated,
    "noise": _with_noise,
    "NUL bytes": _with_nul,
    "lines deleted": _without_lines,
    "lines shuffled": _shuffled,
    "signalled": _signalled,
    "signalled again": _signalled,
    "empty": lambda _text, _rng: "",
    **{name: _doing(deed) for name, deed in DEEDS.items()},
}
