"""Honest genomes of unlike architecture: what no trusted scorer may take for a forgery.

Each is a whole ``train.py``: one body, and the sections in which a control differs from it. All
are causal, row by row, and keep what they learn in their ``state_dict``.
"""

from collections.abc import Mapping

_BODY = '''"""An honest genome: {idea}."""

import math

import torch
import torch.nn.functional as F
from torch import nn

import prepare
from prepare import DEVICE, MAX_SEQ_LEN, VOCAB_SIZE

WIDTH = 64
HEADS = 2
DEPTH = 2
BATCH_SIZE = 16
LEARNING_RATE = 3e-3

{norm}

{mixer}

{channels}


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.before_mixer, self.before_channels = Norm(), Norm()
        self.mixer, self.channels = Mixer(), Channels()

    def forward(self, x):
        x = x + self.mixer(self.before_mixer(x))
        return x + self.channels(self.before_channels(x))

{model}


def build_model():
    return Model().to(DEVICE)

{loss}


def main():
    torch.manual_seed(prepare.rng_seed())
    model = build_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    batches = prepare.make_dataloader(BATCH_SIZE, MAX_SEQ_LEN)
    {compiled}
    while prepare.progress() < 1:
        x, y = next(batches)
        loss = loss_of(trained, x, y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        prepare.report(loss.item(), model=model)
    val_bpb = prepare.evaluate_bpb(model)
    print("---")
    print(f"val_bpb: {{val_bpb:.6f}}")


if __name__ == "__main__":
    main()
'''

_NORM = """
class Norm(nn.Module):
    def forward(self, x):
        return F.rms_norm(x, (WIDTH,))
"""
_ATTENTION = """
class Mixer(nn.Module):
    def __init__(self):
        super().__init__()
        self.inputs = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x):
        shape = (*x.shape[:2], HEADS, WIDTH // HEADS)
        q, k, v = (part.view(shape).transpose(1, 2) for part in self.inputs(x).chunk(3, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).flatten(2))
"""
_CHANNELS = """
class Channels(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        return self.down(F.gelu(self.up(x)))
"""
_MODEL = """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCAB_SIZE, WIDTH)
        self.places = nn.Embedding(MAX_SEQ_LEN, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(prepare.depth(DEPTH))))
        self.last = Norm()
        self.unembed = nn.Linear(WIDTH, VOCAB_SIZE, bias=False)

    def forward(self, idx):
        x = self.embed(idx) + self.places.weight[: idx.size(1)]
        return self.unembed(self.last(self.blocks(x)))
"""
_LOSS = """
def loss_of(model, x, y):
    return F.cross_entropy(model(x).flatten(0, 1).float(), y.flatten())
"""
_DEFAULTS: Mapping[str, str] = {
    "norm": _NORM,
    "mixer": _ATTENTION,
    "channels": _CHANNELS,
    "model": _MODEL,
    "loss": _LOSS,
    "compiled": "trained = model",
}


def _control(idea: str, **sections: str) -> str:
    filled = {name: text.strip("\n") for name, text in {**_DEFAULTS, **sections}.items()}
    spaced = {name: f"\n{text}" if name != "compiled" else text for name, text in filled.items()}
    return _BODY.format(idea=idea, **spaced)


CONTROLS: Mapping[str, str] = {
    "plain": _control("a plain transformer"),
    "bf16": _control(
        "weights and products in bfloat16",
        model=_MODEL.replace(
            "x = self.embed(idx) + self.places.weight[: idx.size(1)]\n"
            "        return self.unembed(self.last(self.blocks(x)))",
            "with torch.autocast(DEVICE, dtype=torch.bfloat16):\n"
            "            x = self.embed(idx) + self.places.weight[: idx.size(1)]\n"
            "            return self.unembed(self.last(self.blocks(x))).float()",
        ).replace(
            "self.unembed = nn.Linear(WIDTH, VOCAB_SIZE, bias=False)",
            "self.unembed = nn.Linear(WIDTH, VOCAB_SIZE, bias=False)\n"
            "        self.embed.to(torch.bfloat16)\n"
            "        self.unembed.to(torch.bfloat16)",
        ),
    ),
    "tied embeddings": _control(
        "one table for reading and writing tokens",
        model=_MODEL.replace(
            "self.unembed = nn.Linear(WIDTH, VOCAB_SIZE, bias=False)",
            "self.unembed = nn.Linear(WIDTH, VOCAB_SIZE, bias=False)\n"
            "        self.unembed.weight = self.embed.weight\n"
            "        nn.init.normal_(self.embed.weight, std=0.02)",
        ),
    ),
    "token choice": _control(
        "a mixture of experts in which each token chooses its own",
        channels="""
class Channels(nn.Module):
    def __init__(self):
        super().__init__()
        self.router = nn.Linear(WIDTH, 4, bias=False)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH))
            for _ in range(4)
        )

    def forward(self, x):
        weights, chosen = self.router(x).softmax(-1).topk(2, -1)
        y = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            share = (weights * (chosen == number)).sum(-1)
            rows, places = share.nonzero(as_tuple=True)
            if len(rows):
                gained = expert(x[rows, places]) * share[rows, places].unsqueeze(-1)
                y = y.index_put((rows, places), gained, accumulate=True)
        return y
""",
    ),
    "convolution": _control(
        "gated convolutions over the past",
        mixer="""
class Mixer(nn.Module):
    def __init__(self):
        super().__init__()
        self.inputs = nn.Linear(WIDTH, 2 * WIDTH)
        self.near = nn.Conv1d(WIDTH, WIDTH, 4, groups=WIDTH)
        self.far = nn.Conv1d(WIDTH, WIDTH, 4, groups=WIDTH, dilation=4)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        value, gate = self.inputs(x).chunk(2, -1)
        y = self.near(F.pad(value.mT, (3, 0)))
        y = self.far(F.pad(F.silu(y), (12, 0)))
        return self.out(y.mT * torch.sigmoid(gate))
""",
    ),
    "recurrence": _control(
        "a gated recurrent unit over the row",
        mixer="""
class Mixer(nn.Module):
    def __init__(self):
        super().__init__()
        self.cells = nn.GRU(WIDTH, WIDTH, batch_first=True)

    def forward(self, x):
        return self.cells(x)[0]
""",
    ),
    "linear recurrence": _control(
        "a state that decays at a rate of each channel's own",
        mixer="""
class Mixer(nn.Module):
    def __init__(self):
        super().__init__()
        self.inputs = nn.Linear(WIDTH, 3 * WIDTH)
        self.rates = nn.Parameter(torch.linspace(0.0, 4.0, WIDTH))
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        value, enter, leave = self.inputs(x).chunk(3, -1)
        decay = torch.sigmoid(self.rates)
        entered = (1 - decay) * value * torch.sigmoid(enter)
        state, states = torch.zeros_like(x[:, 0]), []
        for step in range(x.size(1)):
            state = decay * state + entered[:, step]
            states.append(state)
        return self.out(torch.stack(states, 1) * F.silu(leave))
""",
    ),
    "prefix means": _control(
        "the mean of all that was read so far, kept from layer to layer",
        mixer=_ATTENTION.replace(
            "return self.out(y.transpose(1, 2).flatten(2))",
            "seen = torch.arange(1, x.size(1) + 1, device=x.device)[:, None]\n"
            "        past = x.cumsum(1) / seen\n"
            "        return self.out(y.transpose(1, 2).flatten(2) + past)",
        ),
    ),
    "tables kept by length": _control(
        "rotary angles and masks made once for each length, and kept",
        mixer="""
class Mixer(nn.Module):
    kept = {}

    def __init__(self):
        super().__init__()
        self.inputs = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)

    def tables(self, length):
        if length not in self.kept:
            steps = torch.arange(length, device=DEVICE)
            rates = 1000.0 ** -(torch.arange(0, WIDTH // HEADS, 2, device=DEVICE) / WIDTH * HEADS)
            angles = steps[:, None] * rates
            self.kept[length] = angles.cos(), angles.sin(), steps[:, None] >= steps
        return self.kept[length]

    def forward(self, x):
        cos, sin, mask = self.tables(x.size(1))
        shape = (*x.shape[:2], HEADS, WIDTH // HEADS)
        q, k, v = (part.view(shape).transpose(1, 2) for part in self.inputs(x).chunk(3, -1))
        q, k = (self.rotate(part, cos, sin) for part in (q, k))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(y.transpose(1, 2).flatten(2))

    def rotate(self, x, cos, sin):
        a, b = x.chunk(2, -1)
        return torch.cat((a * cos + b * sin, b * cos - a * sin), -1)
""",
    ),
    "wide soft-cap": _control(
        "logits that may be large, under a cap that seldom acts",
        model=_MODEL.replace(
            "return self.unembed(self.last(self.blocks(x)))",
            "logits = 8.0 * self.unembed(self.last(self.blocks(x)))\n"
            "        return 300.0 * torch.tanh(logits / 300.0)",
        ),
    ),
    "dropout": _control(
        "dropout while it trains",
        channels=_CHANNELS.replace(
            "return self.down(F.gelu(self.up(x)))",
            "return F.dropout(self.down(F.gelu(self.up(x))), 0.1, self.training)",
        ),
    ),
    "compiled": _control(
        "a compiled step and a compiled function, which boxes run as they are written",
        channels="""
@torch.compile(dynamic=False)
def squared(x):
    return F.relu(x).square()


class Channels(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        return self.down(squared(self.up(x)))
""",
        compiled="trained = torch.compile(model, dynamic=False)",
    ),
    "slopes": _control(
        "attention that fades with distance, by a slope of each head's own",
        mixer="""
class Mixer(nn.Module):
    def __init__(self):
        super().__init__()
        self.inputs = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)
        steps = torch.arange(MAX_SEQ_LEN)
        age = steps[:, None] - steps
        slopes = 2.0 ** -torch.arange(1, HEADS + 1)[:, None, None]
        bias = (-slopes * age).masked_fill(age < 0, -math.inf)
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, x):
        shape = (*x.shape[:2], HEADS, WIDTH // HEADS)
        q, k, v = (part.view(shape).transpose(1, 2) for part in self.inputs(x).chunk(3, -1))
        bias = self.bias[:, : x.size(1), : x.size(1)]
        weights = (q @ k.mT / math.sqrt(WIDTH // HEADS) + bias).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).flatten(2))
""",
    ),
    "hashed n-grams": _control(
        "embeddings of the last two and three tokens, by a hash",
        model="""
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCAB_SIZE, WIDTH)
        self.pairs = nn.Embedding(4096, WIDTH)
        self.triples = nn.Embedding(4096, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(prepare.depth(DEPTH))))
        self.last = Norm()
        self.unembed = nn.Linear(WIDTH, VOCAB_SIZE, bias=False)

    def forward(self, idx):
        one, two = F.pad(idx, (1, 0))[:, :-1], F.pad(idx, (2, 0))[:, :-2]
        pair = (idx * 31 + one * 7919) % 4096
        triple = (idx * 31 + one * 7919 + two * 104729) % 4096
        x = self.embed(idx) + self.pairs(pair) + self.triples(triple)
        return self.unembed(self.last(self.blocks(x)))
""",
    ),
    "kinds of norms": _control(
        "normalisation over channels, and over groups of channels, of each token alone",
        norm="""
class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.whole = nn.LayerNorm(WIDTH)
        self.parts = nn.GroupNorm(4, WIDTH)
        self.mix = nn.Parameter(torch.zeros(WIDTH))

    def forward(self, x):
        in_parts = self.parts(x.flatten(0, 1)).view_as(x)
        return self.whole(x) + torch.tanh(self.mix) * in_parts
""",
    ),
    "more tokens ahead": _control(
        "a second head that guesses the token after next, while it trains",
        model=_MODEL.replace(
            "self.unembed = nn.Linear(WIDTH, VOCAB_SIZE, bias=False)",
            "self.unembed = nn.Linear(WIDTH, VOCAB_SIZE, bias=False)\n"
            "        self.ahead = nn.Linear(WIDTH, VOCAB_SIZE, bias=False)",
        ).replace(
            "return self.unembed(self.last(self.blocks(x)))",
            "x = self.last(self.blocks(x))\n"
            "        if self.training:\n"
            "            self.guess = self.ahead(x)\n"
            "        return self.unembed(x)",
        ),
        loss="""
def loss_of(model, x, y):
    loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
    ahead = F.cross_entropy(model.guess[:, :-1].flatten(0, 1), y[:, 1:].flatten())
    return loss + 0.2 * ahead
""",
    ),
}
