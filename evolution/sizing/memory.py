"""Memory that training the shipped genome takes: a formula over its sizes (pure).

What lives as long as the model is counted by parameter: weights, gradients and moments. What one
forward pass keeps for the backward pass is counted by token: in each layer so many numbers for each
channel, and at the end so many copies of the logits. The counts follow from `train.py`, line by
line; `benchmarks/memory.py` holds them against measured peaks on the CPU. For a GPU, where
`torch.compile` keeps less, they are fitted to one published figure: 45,060 MiB for eight layers of
512, 128 sequences of 2,048 tokens and a vocabulary of 8,192 on an H100 (README of
github.com/karpathy/autoresearch, whose design the genome shares). A GPU's own is not measured yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from population import KnobValue

_MIB = 2.0**20
#: Bytes of a parameter with its gradient and moments: float32, Adam's two, Muon's one.
_ADAM, _MUON = 16, 12
#: The same of an embedding on a GPU, where it and its gradient are bfloat16.
_GPU_TABLE = 12
#: A step of Muon stacks matrices of one shape: copies and temporaries, bytes of each parameter.
_MUON_STEP = 24
#: Numbers that a layer keeps of a token: for each channel of the stream, and of the MLP.
_PER_CHANNEL, _PER_HIDDEN = 11.0, 2.0
#: With `torch.compile`: cheap operations are done again in the backward pass instead.
_COMPILED_PER_CHANNEL, _COMPILED_PER_HIDDEN = 7.75, 1.0
#: Copies of the logits at the peak: 32-bit ones, and on a GPU a 16-bit one beside them.
_LOGIT_COPIES, _COMPILED_LOGIT_COPIES = 4.0, 2.0


def number(knobs: Mapping[str, KnobValue], name: str) -> float:
    """A knob that is a number.

    Raises:
        KeyError: There is no such knob.
        ValueError: It is something else.
    """
    value = knobs[name]
    if not isinstance(value, int | float):
        raise ValueError(f"{name} is {value!r}, and no number")
    return value


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a genome and of what it reads.

    Attributes:
        depth: Layers.
        width: Channels of the residual stream.
        head_dim: Channels of a head; heads fill the width as far as whole ones go.
        mlp_ratio: Hidden channels of the MLP as a multiple of ``width``.
        batch_size: Sequences of one forward pass.
        seq_len: Tokens of a sequence.
        vocab_size: Tokens there are.
    """

    depth: int
    width: int
    head_dim: int
    mlp_ratio: float
    batch_size: int
    seq_len: int
    vocab_size: int

    @classmethod
    def of(cls, knobs: Mapping[str, KnobValue], facts: Mapping[str, object]) -> "Shape":
        """Of a genome's knobs, and what its profile prepares.

        Raises:
            KeyError, ValueError: The genome has no such numbers: it is not the shipped one.
        """
        return cls(
            depth=int(number(knobs, "DEPTH")),
            width=int(number(knobs, "WIDTH")),
            head_dim=int(number(knobs, "HEAD_DIM")),
            mlp_ratio=number(knobs, "MLP_RATIO"),
            batch_size=int(number(knobs, "BATCH_SIZE")),
            seq_len=int(str(facts["seq_len"])),
            vocab_size=int(str(facts["vocab_size"])),
        )

    @property
    def inner(self) -> int:
        """Channels of all heads together."""
        return max(1, self.width // self.head_dim) * self.head_dim

    @property
    def table_parameters(self) -> int:
        """Of token and value embeddings, which every other layer has."""
        return self.vocab_size * (self.width + (self.depth + 1) // 2 * self.inner)

    @property
    def matrix_parameters(self) -> int:
        """Of the blocks."""
        hidden = int(self.mlp_ratio * self.width)
        return self.depth * (4 * self.width * self.inner + 2 * self.width * hidden)


def parameter_count(shape: Shape) -> int:
    """Parameters of the shipped genome, the few hundred of its gates and weights aside."""
    return shape.table_parameters + shape.matrix_parameters + shape.vocab_size * shape.width


def training_mb(shape: Shape, *, on_gpu: bool = False, has_bf16: bool = False) -> float:
    """Peak memory of training in MiB, what torch itself takes aside.

    Args:
        shape: Sizes.
        on_gpu: True for a CUDA device and a compiled model.
        has_bf16: True where activations are bfloat16, elsewhere they are float32.
    """
    unembedding = shape.vocab_size * shape.width
    standing = (
        shape.table_parameters * (_GPU_TABLE if on_gpu else _ADAM)
        + shape.matrix_parameters * _MUON
        + unembedding * _ADAM
    )
    # The largest stack: the two matrices of all MLPs, which are of two shapes.
    step = shape.depth * int(shape.mlp_ratio * shape.width) * shape.width * _MUON_STEP
    held = shape.batch_size * shape.seq_len * _token_bytes(shape, on_gpu=on_gpu, has_bf16=has_bf16)
    return (standing + max(step, held)) / _MIB


def _token_bytes(shape: Shape, *, on_gpu: bool, has_bf16: bool) -> float:
    """What the forward pass keeps of one token."""
    size = 2 if has_bf16 else 4
    per_channel = _COMPILED_PER_CHANNEL if on_gpu else _PER_CHANNEL
    per_hidden = _COMPILED_PER_HIDDEN if on_gpu else _PER_HIDDEN
    layer = (per_channel + per_hidden * shape.mlp_ratio) * shape.width
    copies = 4 * (_COMPILED_LOGIT_COPIES if on_gpu else _LOGIT_COPIES) + (2 if has_bf16 else 0)
    return size * shape.depth * layer + copies * shape.vocab_size
