"""A small text, small models, and a scorer in this process: the real worker, on a thread."""

import os
import socket
import threading
import time
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from evolution.sandbox import score_worker
from evolution.sandbox.line import sealed_file
from evolution.scoring import (
    SocketLine,
    check_claim,
    cut_rows,
    judge,
    plan_audit,
    take_audit,
    take_claim,
    worker_conditions,
)

SEQ_LEN, VOCAB_SIZE, BATCH_SIZE = 16, 48, 8


def small_text(token_count, rng_seed=0):
    """Tokens of a first-order chain; the last token of the vocabulary is special."""
    rng = np.random.default_rng(rng_seed)
    favourite = np.random.default_rng(99).integers(VOCAB_SIZE, size=VOCAB_SIZE)
    tokens = [0]
    for surprise, other in zip(
        rng.random(token_count) < 0.4, rng.integers(VOCAB_SIZE, size=token_count), strict=True
    ):
        tokens.append(int(other) if surprise else int(favourite[tokens[-1]]))
    return np.array(tokens, dtype=np.uint16)


def small_rows(row_count=50):
    """Rows of that text; lengths of 1 to 7 bytes, none for the special token."""
    lengths = (np.arange(VOCAB_SIZE) % 7 + 1).astype(np.uint16)
    lengths[-1] = 0
    return cut_rows(small_text(row_count * (SEQ_LEN + 1)), SEQ_LEN, lengths)


FILLER = small_text(4000, rng_seed=1)


def plan(rows, claim, reference, probe_count=60, pair_count=8, rng_seed=0, batch_size=BATCH_SIZE):
    """An audit plan of the small text."""
    return plan_audit(
        rows,
        claim,
        reference,
        probe_count=probe_count,
        pair_count=pair_count,
        batch_size=batch_size,
        filler=FILLER,
        rng=np.random.default_rng(rng_seed),
    )


@contextmanager
def worker_thread(model, rows, mode):
    """The worker's own loop, serving on a thread; gives the harness's line and a state."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    asker = score_worker.Asker(model.eval(), worker_conditions(mode, rows, BATCH_SIZE, "cpu"))
    state = sealed_file(b"not read here")

    def serve():
        line = score_worker.Line(theirs.fileno())
        _, (ignored, given, wanted) = line.receive(descriptor_count=3)
        with torch.inference_mode():
            if mode == "claim":
                score_worker.claim(asker, given, wanted, rows.row_count)
                line.send(type="done")
            else:
                score_worker.audit(asker, line, given, wanted)
        line.close()
        for descriptor in (ignored, given, wanted):
            os.close(descriptor)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield SocketLine(ours, time.monotonic() + 60), state
    finally:
        ours.close()
        thread.join(60)
        theirs.close()
        os.close(state)


def claim_of(model, rows):
    """The losses that the worker claims for a model."""
    with worker_thread(model, rows, "claim") as (line, state):
        return take_claim(line, state, rows)


def score(model, rows, probe_count=60):
    """Claim and audit; the report, or the verdict is raised."""
    claim = claim_of(model, rows)
    check_claim(rows, claim)
    asked = plan(rows, claim, claim + 0.1, probe_count)
    with worker_thread(model, rows, "audit") as (line, state):
        return judge(asked, claim, take_audit(line, state, asked, rows.vocab_size))


# --- models --------------------------------------------------------------------------------------


class Embedded(nn.Module):
    """Embedding, some mixing over time, unembedding."""

    def __init__(self, width=32):
        super().__init__()
        torch.manual_seed(3)
        self.embed = nn.Embedding(VOCAB_SIZE, width)
        self.out = nn.Linear(width, VOCAB_SIZE, bias=False)

    def mix(self, x):
        return x

    def forward(self, idx):
        return self.out(self.mix(self.embed(idx)))


class Attention(Embedded):
    is_causal = True

    def mix(self, x):
        y = nn.functional.scaled_dot_product_attention(x, x, x, is_causal=self.is_causal)
        return x + y


class Bidirectional(Attention):
    is_causal = False


class Convolution(Embedded):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(32, 32, 4, padding=3)

    def mix(self, x):
        return x + self.conv(x.transpose(1, 2))[..., : x.size(1)].transpose(1, 2)


class Recurrent(Embedded):
    def __init__(self):
        super().__init__()
        self.cell = nn.GRU(32, 32, batch_first=True)

    def mix(self, x):
        return self.cell(x)[0]


class Tied(Embedded):
    def __init__(self):
        super().__init__()
        self.out.weight = self.embed.weight
        nn.init.normal_(self.embed.weight, std=0.2)


class HalfPrecision(Attention):
    def __init__(self):
        super().__init__()
        self.to(torch.bfloat16)


class Masked(Embedded):
    """Rules the special token out altogether."""

    def forward(self, idx):
        logits = super().forward(idx)
        return torch.cat([logits[..., :-1], logits[..., -1:] - float("inf")], dim=-1)


class FutureMean(Embedded):
    def mix(self, x):
        return x + 0.01 * x.mean(dim=1, keepdim=True)


class BatchStatistics(Embedded):
    def mix(self, x):
        return x + 0.01 * x.mean(dim=0, keepdim=True)


class NextToken(Embedded):
    """Knows the answer where the text shows it."""

    def forward(self, idx):
        logits = super().forward(idx)
        shown = nn.functional.one_hot(idx[:, 1:], VOCAB_SIZE)
        logits[:, :-1] += 5.0 * shown
        return logits


class Remembering(Embedded):
    """Adapts to what it has been shown."""

    def __init__(self):
        super().__init__()
        self.seen = torch.zeros(VOCAB_SIZE)

    def forward(self, idx):
        logits = super().forward(idx) + 0.1 * self.seen
        self.seen += torch.bincount(idx.flatten(), minlength=VOCAB_SIZE) / idx.numel()
        return logits


class Unnormalised(Embedded):
    def forward(self, idx):
        return super().forward(idx) * float("inf")
