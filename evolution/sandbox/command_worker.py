"""Inside a box: lets a command work on files, ends all that it started, and reads the files back.

Run as ``python -m evolution.sandbox.command_worker`` in an empty folder in memory; one JSON object
comes in at standard input; one goes out at standard output, after a mark that the command does not
know, when all it started has ended. What it leaves is read as data: regular files of a sane size,
never through a link. The caller believes nothing of the answer either. Standard library only.
"""

import contextlib
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from evolution.sandbox.process_tree import set_dumpable

PROMPT = "{prompt}"  # a word of the command: the file that has the prompt

_FOLDER, _PROMPT_FILE = "genome", "prompt.md"
_OURS = ("PYTHONPATH", "LC_CTYPE", "PWD")  # how we were started
_KEPT_CHARACTERS = 64_000
_READ_BYTES = 1 << 16
_PATIENCE_SECONDS = 5.0
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class _Tail:
    """Reads a stream to its end, and keeps the end."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._data = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def text(self) -> str:
        self._thread.join(_PATIENCE_SECONDS)
        return self._data.decode("utf-8", "replace")[-_KEPT_CHARACTERS:]

    def _read(self) -> None:
        while data := os.read(self._stream.fileno(), _READ_BYTES):
            self._data = (self._data + data)[-4 * _KEPT_CHARACTERS :]


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """The files that the command is to work on."""
    for path, text in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text.encode("utf-8"))


def read_back(folder: Path, paths: Sequence[str], most_bytes: int) -> dict[str, str]:
    """Texts of those of ``paths`` that are still there.

    Raises:
        ValueError: One is a link, no regular file, too large, or no text.
    """
    files: dict[str, str] = {}
    left = most_bytes
    for path in paths:
        try:
            data = _read_file(folder, path, left)
            files[path] = data.decode("utf-8")
        except FileNotFoundError:
            continue
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is no text any more: {error.reason}") from error
        except OSError as error:
            raise ValueError(f"{path} is no regular file any more: {error.strerror}") from error
        left -= len(data)
    return files


def _read_file(folder: Path, path: str, most_bytes: int) -> bytes:
    """A regular file below ``folder``, opened step by step so that no link is followed."""
    *folders, name = Path(path).parts
    here = os.open(folder, _READ | os.O_DIRECTORY)
    try:
        for part in folders:
            below = os.open(part, _READ | os.O_DIRECTORY, dir_fd=here)
            os.close(here)
            here = below
        descriptor = os.open(name, _READ, dir_fd=here)
    finally:
        os.close(here)
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError(f"{path} is no regular file any more")
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise ValueError(f"the files hold more than {most_bytes} bytes")
    return data


def _limit(file_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))


def _worked(request: Mapping[str, Any]) -> dict[str, Any]:
    """Run the command to its end, or to its deadline."""
    home = Path.cwd()
    folder, prompt = home / _FOLDER, home / _PROMPT_FILE
    folder.mkdir()
    write_files(folder, request["files"])
    prompt.write_text(request["prompt"], encoding="utf-8")
    words = [word.replace(PROMPT, str(prompt)) for word in request["command"]]
    file_bytes = int(request["file_bytes"])
    environment = {name: value for name, value in os.environ.items() if name not in _OURS}
    with prompt.open("rb") as given:
        try:
            process = subprocess.Popen(
                words,
                cwd=folder,
                env=environment,
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                preexec_fn=lambda: _limit(file_bytes),  # noqa: PLW1509 - no thread runs yet
            )
        except OSError as error:
            return {"unstarted": f"{words[0]}: {error.strerror or error}"}
    assert process.stdout is not None
    assert process.stderr is not None
    said, errors = _Tail(process.stdout), _Tail(process.stderr)
    is_late = False
    try:
        code = process.wait(float(request["seconds"]))
    except subprocess.TimeoutExpired:
        code, is_late = -1, True
    with contextlib.suppress(OSError):
        os.kill(-1, signal.SIGKILL)  # all in this box but its init and us
    result = {"code": code, "is_late": is_late, "said": said.text(), "errors": errors.text()}
    try:
        most_bytes = int(request["most_bytes"])
        return {**result, "files": read_back(folder, list(request["files"]), most_bytes)}
    except ValueError as error:
        return {**result, "unreadable": str(error)}


def main() -> None:
    """One request, one answer."""
    set_dumpable(False)  # the command has our user, and must not look for the mark in here
    request = json.loads(sys.stdin.buffer.read())
    sys.stdout.write(request["mark"] + json.dumps(_worked(request)))


if __name__ == "__main__":
    main()
