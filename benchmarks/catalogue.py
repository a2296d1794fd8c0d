"""Published changes of small language models, each as an edit of our baseline, with its source.

The first part lists what autoresearch's first round changed in nanochat, and one later change: the
baseline has none of them. The second lists what the published design itself is made of: the
baseline has all of it, and each edit says what a genome without it looks like.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from population import KnobValue, set_knobs

ROUND_1 = (
    "https://github.com/karpathy/nanochat/commit/6ed7d1d82cee16c2e26f45d559ad3338447a6c1b "
    "(autoresearch, round 1)"
)
NANOCHAT_LOG = "https://github.com/karpathy/nanochat/blob/master/dev/LOG.md"
MODDED = "https://github.com/KellerJordan/modded-nanogpt"


class DiscoveryError(Exception):
    """A discovery does not fit a genome; in three parts."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One place: what stands there without the discovery, and with it."""

    without: str
    with_it: str


@dataclass(frozen=True, slots=True)
class Discovery:
    """A published change.

    Attributes:
        name: One or a few words, in lower case.
        kind: What it changes: a search that finds its equal has found something of this kind.
        source: Where it was published.
        in_baseline: True if our baseline has it.
        knobs: Values (without it, with it).
        edits: Places, each found exactly once.
    """

    name: str
    kind: Literal["attention", "embeddings", "initialisation", "model", "optimizer", "schedule"]
    source: str
    in_baseline: bool
    knobs: Mapping[str, tuple[KnobValue, KnobValue]] = field(default_factory=dict)
    edits: tuple[Edit, ...] = ()
    has_same_work: bool = False

    def apply(self, genome: str) -> str:
        """The genome with this discovery.

        Raises:
            DiscoveryError: A place is not there exactly once.
        """
        for edit in self.edits:
            genome = self._replaced(genome, edit.without, edit.with_it)
        return set_knobs(genome, {name: values[1] for name, values in self.knobs.items()})

    def strip(self, genome: str) -> str:
        """The genome without it: the reverse of ``apply``.

        Raises:
            DiscoveryError: A place is not there exactly once.
        """
        for edit in reversed(self.edits):
            genome = self._replaced(genome, edit.with_it, edit.without)
        return set_knobs(genome, {name: values[0] for name, values in self.knobs.items()})

    def _replaced(self, genome: str, search: str, replace: str) -> str:
        if genome.count(search) != 1:
            raise DiscoveryError(
                f"{self.name}: its place stands {genome.count(search)} times in the genome, and "
                f"once was needed:\n{search}\nIts edits are written for the baseline: bring them "
                "along in benchmarks/catalogue.py when train.py changes."
            )
        return genome.replace(search, replace)


# --- changes that the baseline lacks -------------------------------------------------------------

_HEADS = "        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)\n"
_TABLES = '            {"params": tables, "lr": EMBEDDING_LR * lr_scale, "betas": betas},\n'
_UNEMBED = (
    '            {"params": [model.unembed.weight], "lr": UNEMBEDDING_LR * lr_scale, "betas": '
)
_EACH_PARAMETER = (
    '            for p, (mean, square) in zip(group["params"], group["moments"], strict=True):\n'
)
_MATRIX_INIT = "                nn.init.uniform_(layer.weight, -bound, bound)\n"
_TWO_TABLES = """\
            {"params": [model.embed.weight], "lr": EMBEDDING_LR * lr_scale, "betas": WTE},
            {
                "params": [table for table in tables if table is not model.embed.weight],
                "lr": EMBEDDING_LR * VALUE * lr_scale,
                "betas": betas,
                "decay": DECAY,
            },
"""


def _tables(wte: str = "betas", value: str = "1.0", decay: str = "0.0") -> str:
    return _TWO_TABLES.replace("WTE", wte).replace("VALUE", value).replace("DECAY", decay)


_LACKING = (
    Discovery(
        "q and k × 1.15",
        "attention",
        ROUND_1,
        in_baseline=False,
        edits=(Edit(_HEADS, "        q, k = 1.15 * q, 1.15 * k\n" + _HEADS),),
    ),
    Discovery(
        "value embeddings at half the rate, with decay",
        "embeddings",
        ROUND_1,
        in_baseline=False,
        edits=(
            Edit(_TABLES, _tables(value="0.5", decay="0.01")),
            Edit(
                _EACH_PARAMETER,
                '            if group.get("decay"):\n'
                '                kept = 1 - group["lr"] * group["decay"]\n'
                '                torch._foreach_mul_(group["params"], kept)\n' + _EACH_PARAMETER,
            ),
        ),
    ),
    Discovery(
        "gates that begin a little open",
        "initialisation",
        ROUND_1,
        in_baseline=False,
        edits=(
            Edit(
                "nn.init.zeros_(attention.gate.weight)  # half open: the gate's value is 1\n",
                "nn.init.uniform_(attention.gate.weight, 0.0, 0.02)\n",
            ),
        ),
        has_same_work=True,
    ),
    Discovery(
        "short window of a third",
        "attention",
        ROUND_1,
        in_baseline=False,
        knobs={"SHORT_WINDOW": (0.5, 0.34)},
        has_same_work=True,
    ),
    Discovery(
        "betas of the unembedding",
        "optimizer",
        ROUND_1,
        in_baseline=False,
        edits=(Edit(_UNEMBED + "betas},\n", _UNEMBED + "(0.8, 0.96)},\n"),),
        has_same_work=True,
    ),
    Discovery(
        "betas of the embedding",
        "optimizer",
        ROUND_1,
        in_baseline=False,
        edits=(Edit(_TABLES, _tables(wte="(0.8, 0.995)")),),
        has_same_work=True,
    ),
    Discovery(
        "more weight decay, by a cosine",
        "schedule",
        ROUND_1,
        in_baseline=False,
        knobs={"WEIGHT_DECAY": (0.2, 0.28)},
        edits=(
            Edit(
                'group["decay"] = WEIGHT_DECAY * (1 - share)\n',
                'group["decay"] = WEIGHT_DECAY * 0.5 * (1 + math.cos(math.pi * share))\n',
            ),
        ),
        has_same_work=True,
    ),
    Discovery(
        "Muon's second beta 0.9",
        "optimizer",
        ROUND_1,
        in_baseline=False,
        knobs={"MUON_BETA2": (0.95, 0.9)},
        has_same_work=True,
    ),
    Discovery(
        "Muon's momentum to 0.97",
        "optimizer",
        ROUND_1,
        in_baseline=False,
        knobs={"MUON_MOMENTUM": (0.95, 0.97)},
        has_same_work=True,
    ),
    Discovery(
        "a short warm-up",
        "schedule",
        ROUND_1 + "; its 40 steps are about a fiftieth of a run there",
        in_baseline=False,
        knobs={"WARMUP": (0.0, 0.02)},
        has_same_work=True,
    ),
    Discovery(
        "warm-down over 0.65",
        "schedule",
        ROUND_1,
        in_baseline=False,
        knobs={"WARMDOWN": (0.5, 0.65)},
        has_same_work=True,
    ),
    Discovery(
        "rates end at 0.05",
        "schedule",
        ROUND_1,
        in_baseline=False,
        knobs={"FINAL_LR": (0.0, 0.05)},
        has_same_work=True,
    ),
    Discovery(
        "smaller token embeddings",
        "initialisation",
        ROUND_1,
        in_baseline=False,
        knobs={"EMBED_STD": (1.0, 0.8)},
        has_same_work=True,
    ),
    Discovery(
        "half the first weights of the MLP",
        "initialisation",
        ROUND_1,
        in_baseline=False,
        edits=(Edit(_MATRIX_INIT, _MATRIX_INIT + "            block.mlp.up.weight.mul_(0.5)\n"),),
        has_same_work=True,
    ),
    Discovery(
        "rotary base 100,000",
        "attention",
        ROUND_1,
        in_baseline=False,
        knobs={"ROPE_BASE": (10000.0, 100000.0)},
        has_same_work=True,
    ),
    Discovery(
        "soft-cap 20",
        "model",
        NANOCHAT_LOG + " (2026-03-02)",
        in_baseline=False,
        knobs={"SOFTCAP": (15.0, 20.0)},
        has_same_work=True,
    ),
)

# --- changes that the baseline has ---------------------------------------------------------------

_NS5 = "    (3.4445, -4.7750, 2.0315),\n"  # https://kellerjordan.github.io/posts/muon/
_POLAR_EXPRESS = """\
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
"""
_EVEN_ROWS = """\
    side = -1 if p.size(-2) >= p.size(-1) else -2
    power = update.square().mean(dim=side, keepdim=True)
    square.lerp_(power, 1 - MUON_BETA2)
    scale = square.clamp_min(1e-10).rsqrt()
    before, after = power.sum((-2, -1), True), (power * scale.square()).sum((-2, -1), True)
    update = update * scale * (before / after.clamp_min(1e-10)).sqrt()
"""
_STREAM_INIT = """\
        self.stream_weights = nn.Parameter(torch.ones(depth))
        self.embed_weights = nn.Parameter(torch.full((depth,), X0_INIT))
"""
_STREAM_GROUPS = """\
            {
                "params": [model.stream_weights],
                "lr": SCALAR_LR * 0.01,
                "betas": betas,
            },  # they multiply
            {"params": [model.embed_weights], "lr": SCALAR_LR, "betas": (X0_BETA1, ADAM_BETA2)},
"""
_GROUPS = "    adamw = AdamW(\n        [\n"
_BLOCK_ENDS = """\
            nn.init.zeros_(attention.out.weight)
            nn.init.zeros_(block.mlp.down.weight)
"""

_PRESENT = (
    Discovery(
        "normalised queries and keys",
        "attention",
        "https://arxiv.org/abs/2010.04245",
        in_baseline=True,
        edits=(
            Edit(
                "q = rotate(self.query(x).view(shape), cos, sin)\n",
                "q = norm(rotate(self.query(x).view(shape), cos, sin))\n",
            ),
            Edit(
                "k = rotate(self.key(x).view(shape), cos, sin)\n",
                "k = norm(rotate(self.key(x).view(shape), cos, sin))\n",
            ),
        ),
    ),
    Discovery(
        "short windows",
        "attention",
        "https://arxiv.org/abs/2310.06825",
        in_baseline=True,
        knobs={"WINDOW_PATTERN": ("L", "SSSL")},
    ),
    Discovery(
        "value embeddings",
        "embeddings",
        f"https://arxiv.org/abs/2410.17897; {MODDED}",
        in_baseline=True,
        edits=(
            Edit(
                "has_value_embedding=False,\n",
                "has_value_embedding=i % 2 == (depth - 1) % 2,  # every other layer, "
                "and the last\n",
            ),
        ),
    ),
    Discovery(
        "weights of stream and embedding",
        "model",
        MODDED,
        in_baseline=True,
        edits=(
            Edit(
                "        self.register_tables(short)\n",
                _STREAM_INIT + "        self.register_tables(short)\n",
            ),
            Edit(
                "                x = block(x, idx, cos, sin, mask)\n",
                "                x = self.stream_weights[i] * x + self.embed_weights[i] * x0\n"
                "                x = block(x, idx, cos, sin, mask)\n",
            ),
            Edit(_UNEMBED + "betas},\n", _UNEMBED + "betas},\n" + _STREAM_GROUPS),
        ),
    ),
    Discovery(
        "squared ReLU",
        "model",
        "https://arxiv.org/abs/2109.08668",
        in_baseline=True,
        edits=(
            Edit(
                "return self.down(F.gelu(self.up(x)))\n",
                "return self.down(F.relu(self.up(x)).square())\n",
            ),
        ),
    ),
    Discovery(
        "soft-cap of the logits",
        "model",
        "https://arxiv.org/abs/2408.00118",
        in_baseline=True,
        knobs={"SOFTCAP": (0.0, 15.0)},
    ),
    Discovery(
        "blocks that begin as the identity",
        "initialisation",
        "https://arxiv.org/abs/1901.09321",
        in_baseline=True,
        edits=(
            Edit(
                "            nn.init.uniform_(attention.out.weight, -bound, bound)\n"
                "            nn.init.uniform_(block.mlp.down.weight, -0.5 * bound, 0.5 * bound)\n",
                _BLOCK_ENDS,
            ),
        ),
        has_same_work=True,
    ),
    Discovery(
        "Muon for the matrices",
        "optimizer",
        "https://kellerjordan.github.io/posts/muon/",
        in_baseline=True,
        edits=(
            Edit(
                _GROUPS
                + '            {"params": matrices, "lr": MATRIX_LR * 0.1, "betas": betas},\n',
                _GROUPS,
            ),
            Edit("    muon = Muon([])\n", "    muon = Muon(matrices)\n"),
        ),
    ),
    Discovery(
        "polynomials of Polar Express",
        "optimizer",
        "https://arxiv.org/abs/2505.16932",
        in_baseline=True,
        edits=(Edit(5 * _NS5, _POLAR_EXPRESS),),
        has_same_work=True,
    ),
    Discovery(
        "even rows in Muon's updates",
        "optimizer",
        "https://arxiv.org/abs/2510.05491",
        in_baseline=True,
        edits=(
            Edit(
                "    agrees = update * p >= 0\n",
                _EVEN_ROWS + "    agrees = update * p >= 0\n",
            ),
        ),
    ),
    Discovery(
        "cautious weight decay",
        "optimizer",
        "https://arxiv.org/abs/2510.12402",
        in_baseline=True,
        knobs={"WEIGHT_DECAY": (0.0, 0.2)},
        has_same_work=True,
    ),
    Discovery(
        "a momentum that rises",
        "schedule",
        MODDED,
        in_baseline=True,
        knobs={"MUON_MOMENTUM_START": (0.95, 0.85)},
        has_same_work=True,
    ),
    Discovery(
        "rates that fall to the end",
        "schedule",
        "https://arxiv.org/abs/2404.06395",
        in_baseline=True,
        knobs={"WARMDOWN": (0.0, 0.5)},
        has_same_work=True,
    ),
)

#: Every published change, those that the baseline lacks first.
DISCOVERIES: tuple[Discovery, ...] = (*_LACKING, *_PRESENT)
