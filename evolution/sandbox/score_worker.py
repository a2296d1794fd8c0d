"""In the box: rebuilds a genome's model from its sealed state and answers for it, as asked.

Two modes. *Claim*: whole rows come in, the loss of every token goes out. *Audit*: rows come in that
are true up to a position, the logits at that position go out; no target is ever in this process.
Nothing here is trusted: the genome runs in the same process and could do all of this itself, so the
harness believes only what `evolution.scoring` can check from outside.

Runs in a folder with the genome and its ``prepare.py``, as a script or by ``exec`` of its text.
Imports nothing of ours: torch, numpy and the standard library.
"""

import importlib.util
import io
import json
import mmap
import os
import socket
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")  # eager, unless the harness says otherwise

import numpy as np
import numpy.typing as npt
import torch

_PACKET_BYTES = 1 << 16
_COMPILED = "_orig_mod."  # what torch.compile puts before the names of a state


def main() -> None:
    """Serve the one claim or audit that the conditions name."""
    sys.dont_write_bytecode = True
    if os.getcwd() not in sys.path:  # noqa: PTH109 - sys.path holds strings
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    conditions = json.loads(os.environ["EVORESEARCH_CONDITIONS"])
    line = Line(int(os.environ["EVORESEARCH_HARNESS"].split(",")[0]))
    go, descriptors = line.receive(descriptor_count=3)
    if go is None or go.get("type") != "go":
        _leave("it was never released")
    state, given, wanted = descriptors
    if conditions["device"] == "cpu":
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    torch.manual_seed(int(conditions.get("rng_seed", 0)))
    model = load_state(build_model(conditions["entry"]), state).eval()
    asker = Asker(model, conditions)
    with torch.inference_mode():
        if conditions["mode"] == "claim":
            claim(asker, given, wanted, int(conditions["row_count"]))
            line.send(type="done")
        else:
            audit(asker, line, given, wanted)
    line.close()


class Line:
    """The socket to the harness: one JSON object a packet, descriptors attached."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(
            socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=os.dup(descriptor)
        )

    def receive(self, descriptor_count: int = 0) -> tuple[dict[str, Any] | None, list[int]]:
        """The next packet and its descriptors; None once the harness has closed the line."""
        data, descriptors, _, _ = socket.recv_fds(self._socket, _PACKET_BYTES, descriptor_count)
        if not data:
            return None, descriptors
        if len(descriptors) != descriptor_count:
            _leave(f"{len(descriptors)} descriptors came, and not {descriptor_count}")
        return json.loads(data), descriptors

    def send(self, **message: object) -> None:
        """One packet to the harness."""
        self._socket.send(json.dumps(message).encode())

    def close(self) -> None:
        """Say no more."""
        self._socket.close()


def _leave(why: str) -> NoReturn:
    """Nobody listens any more, or somebody else talks: go no further, and say why."""
    raise SystemExit(f"The score worker ends: {why}.")


# --- the model -----------------------------------------------------------------------------------


def build_model(entry: str) -> torch.nn.Module:
    """The genome's untrained model; the genome stays importable as ``genome``."""
    spec = importlib.util.spec_from_file_location("genome", entry)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{entry} is not a Python file. Name one that has build_model().")
    module = importlib.util.module_from_spec(spec)
    sys.modules["genome"] = module
    spec.loader.exec_module(module)
    if not callable(getattr(module, "build_model", None)):
        raise SystemExit(
            f"{entry} has no build_model() at its top level. The harness builds the model anew to "
            "score it. Define build_model() outside the __main__ guard."
        )
    model: torch.nn.Module = module.build_model()
    return model


def load_state(model: torch.nn.Module, descriptor: int) -> torch.nn.Module:
    """Give the model the state that was handed in; every name and shape must fit."""
    with os.fdopen(os.dup(descriptor), "rb") as handle:
        data = io.BytesIO(os.pread(handle.fileno(), os.fstat(handle.fileno()).st_size, 0))
    try:
        state = torch.load(data, map_location="cpu", weights_only=True)
        model.load_state_dict(_without_prefix(state, model), strict=True)
    except Exception as error:  # noqa: BLE001 - whatever the state does, its author must hear it
        raise SystemExit(
            "The state_dict that was handed in does not fit the model of build_model(): "
            f"{type(error).__name__}: {str(error)[:2000]}. The model is rebuilt by build_model() "
            "and load_state_dict(strict=True) to be scored. Keep all that is learnt in the "
            "state_dict, as tensors, and let build_model() alone decide names and shapes."
        ) from None
    return model


def _without_prefix(state: dict[str, Any], model: torch.nn.Module) -> dict[str, Any]:
    """The state under the names of an uncompiled model; unchanged where names fit already."""
    if any(_COMPILED in name for name in model.state_dict()):
        return state
    return {name.replace(_COMPILED, ""): value for name, value in state.items()}


class Asker:
    """Runs batches of one fixed shape, and checks the shape of what comes back."""

    def __init__(self, model: torch.nn.Module, conditions: dict[str, Any]) -> None:
        self._model = model
        self._device = conditions["device"]
        self.batch_size = int(conditions["batch_size"])
        self.seq_len = int(conditions["seq_len"])
        self.vocab_size = int(conditions["vocab_size"])

    def on_device(self, tokens: npt.NDArray[np.uint16]) -> torch.Tensor:
        """Token ids as the model reads them, int64."""
        return torch.from_numpy(tokens.astype(np.int64)).to(self._device)

    def logits(self, tokens: npt.NDArray[np.uint16]) -> torch.Tensor:
        """(B, T) ids to (B, T, V) logits, of whatever type the model gives."""
        logits: torch.Tensor = self._model(self.on_device(tokens))
        wanted = (self.batch_size, self.seq_len, self.vocab_size)
        if tuple(logits.shape) != wanted:
            raise SystemExit(
                f"The model's logits have shape {tuple(logits.shape)}, but "
                f"{wanted} was needed: (batch, time, vocabulary). "
                "Return one logit for each token of the vocabulary at each position."
            )
        return logits


# --- what is asked -------------------------------------------------------------------------------


def claim(asker: Asker, given: int, wanted: int, row_count: int) -> None:
    """Write the loss of every token, (rows, T) float32 nats, batch by batch."""
    seq_len, batch_size = asker.seq_len, asker.batch_size
    with _mapped(given, mmap.ACCESS_READ) as rows_map, _mapped(wanted) as losses_map:
        rows = np.frombuffer(rows_map, np.uint16).reshape(row_count, seq_len + 1)
        losses = np.frombuffer(losses_map, np.float32).reshape(row_count, seq_len)
        for first in range(0, row_count, batch_size):
            batch = rows[np.arange(first, first + batch_size) % row_count]  # the last wraps around
            found = _losses(asker, batch)
            count = min(batch_size, row_count - first)
            losses[first : first + count] = found[:count]
        del rows, losses, batch


def _losses(asker: Asker, batch: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """Cross-entropy of one batch; its logits are gone when this returns."""
    logits = asker.logits(batch[:, :-1])
    targets = asker.on_device(batch[:, 1:])
    losses = torch.nn.functional.cross_entropy(
        logits.float().reshape(-1, asker.vocab_size), targets.reshape(-1), reduction="none"
    )
    found: npt.NDArray[np.float32] = losses.reshape(targets.shape).cpu().numpy()
    return found


def audit(asker: Asker, line: Line, given: int, wanted: int) -> None:
    """Answer round after round, (B, V) float32 logits each, until the harness closes the line."""
    shape = (asker.batch_size, asker.seq_len)
    slots = torch.arange(asker.batch_size)
    with _mapped(given, mmap.ACCESS_READ) as tokens_map, _mapped(wanted) as logits_map:
        tokens = np.frombuffer(tokens_map, np.uint16).reshape(shape)
        answers = np.frombuffer(logits_map, np.float32).reshape(-1, asker.vocab_size)
        for positions in _rounds(line):
            logits = asker.logits(tokens)
            answers[:] = logits[slots, torch.tensor(positions)].float().cpu().numpy()
            del logits
            line.send(type="done")
        del tokens, answers


def _rounds(line: Line) -> Iterator[list[int]]:
    while True:
        message, _ = line.receive()
        if message is None:
            return
        if message.get("type") != "round":
            _leave(f"the harness said {message.get('type')!r}, and not round")
        yield message["positions"]


def _mapped(descriptor: int, access: int = mmap.ACCESS_WRITE) -> mmap.mmap:
    """The whole of a file in memory, shared with the harness."""
    return mmap.mmap(descriptor, os.fstat(descriptor).st_size, access=access)


if __name__ == "__main__":
    main()
