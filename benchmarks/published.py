"""The published train.py of autoresearch, made to run under our ruler: fetched, checked, adapted.

The text is not part of this repository. It is read from a file, or fetched at a pinned commit, and
its hash is checked. A scratch copy then takes a short list of replacements, each with its reason:
what ties it to one kind of GPU, to its own data loader and clock, and to sizes of its own. Model,
initialisation, optimizers and schedule stay as they were published.
"""

import hashlib
import textwrap
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from population import KnobValue

COMMIT = "228791fb499afffb54b46200aca536f79142f117"
URL = f"https://raw.githubusercontent.com/karpathy/autoresearch/{COMMIT}/train.py"
#: Of the text that the figures in docs/log.md come from: put together from a public copy of that
#: commit, and never compared with the original file. If that has another one, ``--sha256`` says so.
SHA256 = "2954175f4ac42ad65164aef40910ef953789abcd05a5cc886ac9ba5a00814414"


class PublishedError(Exception):
    """The published text cannot be had, or is another one; in three parts."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """One place of the published text, found exactly once.

    Attributes:
        why: The reason, for the table.
        search: What stands there; with ``until``, its beginning.
        replace: What takes its place.
        until: If given, everything from ``search`` to just before this goes.
    """

    why: str
    search: str
    replace: str
    until: str = ""

    def apply(self, text: str) -> str:
        """The text with this place replaced.

        Raises:
            PublishedError: The place is not there, or there twice.
        """
        if text.count(self.search) != 1 or (self.until and text.count(self.until) != 1):
            raise PublishedError(
                f"{self.search!r} stands {text.count(self.search)} times in the text, and once was "
                f"needed ({self.why}). The replacements are those of commit {COMMIT[:12]}: "
                "give that text."
            )
        if not self.until:
            return text.replace(self.search, self.replace)
        start, end = text.index(self.search), text.index(self.until)
        return text[:start] + self.replace + text[end:]


_ATTENTION = '''\
import prepare
from prepare import DEVICE, MAX_SEQ_LEN, VOCAB_SIZE

IS_CUDA = DEVICE == "cuda"
HAS_BF16 = IS_CUDA or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
NUMBERS = torch.bfloat16 if HAS_BF16 else torch.float32
BANDS = {}


def compiled(function):
    return torch.compile(function, dynamic=False, fullgraph=True) if IS_CUDA else function


def band(window, length):
    """Where a query may look: its own place and `window` places before."""
    if (window, length) not in BANDS:
        age = torch.arange(length)[:, None] - torch.arange(length)[None, :]
        BANDS[window, length] = ((age >= 0) & (age <= window)).to(DEVICE)
    return BANDS[window, length]


def attend(q, k, v, window):
    """Heads of shape (batch, time, head, channel), as the published kernel takes them."""
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    if window >= q.size(2):
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    elif torch.compiler.is_compiling():
        y = FLEX.flex_attention(q, k, v, block_mask=BLOCKS[window])
    else:
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=band(window, q.size(2)))
    return y.transpose(1, 2)


if IS_CUDA:
    import torch.nn.attention.flex_attention as FLEX

    SHORT = MAX_SEQ_LEN // 2
    BLOCKS = {
        SHORT: FLEX.create_block_mask(
            lambda b, h, q, k: (q >= k) & (q - k <= SHORT),
            None, None, MAX_SEQ_LEN, MAX_SEQ_LEN, device=DEVICE,
        )
    }
'''

_OURS = "our ruler: its batches, its clock, its seed, its score"
_CUDA = "what only CUDA has"
_BF16 = "bfloat16 where the processor multiplies it, as in our baseline; else 32 bits"
_COMPILE = "torch.compile on CUDA alone: on a CPU it costs more than a short run gains"

REPLACEMENTS = (
    Replacement(
        "the kernel for Hopper GPUs becomes torch's own attention with the same windows",
        "from kernels import get_kernel",
        _ATTENTION,
        until="# " + 75 * "-" + "\n# GPT Model",
    ),
    Replacement(
        "the same",
        "fa3.flash_attn_func(q, k, v, causal=True, window_size=window_size)",
        "attend(q, k, v, window_size[0])",
    ),
    Replacement(
        _BF16,
        "cos, sin = cos.bfloat16(), sin.bfloat16()",
        "cos, sin = cos.to(NUMBERS), sin.to(NUMBERS)",
    ),
    Replacement(_BF16, "wte.to(dtype=torch.bfloat16)", "wte.to(dtype=NUMBERS)"),
    Replacement(_BF16, "ve.to(dtype=torch.bfloat16)", "ve.to(dtype=NUMBERS)"),
    Replacement(_BF16, "X = g.bfloat16()", "X = g.to(NUMBERS)"),
    Replacement(
        _COMPILE,
        "@torch.compile(dynamic=False, fullgraph=True)\ndef adamw",
        "@compiled\ndef adamw",
    ),
    Replacement(
        _COMPILE, "@torch.compile(dynamic=False, fullgraph=True)\ndef muon", "@compiled\ndef muon"
    ),
    Replacement(
        _COMPILE,
        "model = torch.compile(model, dynamic=False)",
        "trained = torch.compile(model, dynamic=False) if IS_CUDA else model",
    ),
    Replacement(
        _OURS,
        "torch.manual_seed(42)\ntorch.cuda.manual_seed(42)",
        "torch.manual_seed(prepare.rng_seed())",
    ),
    Replacement(
        _CUDA, 'device = torch.device("cuda")\nautocast', "device = torch.device(DEVICE)\nautocast"
    ),
    Replacement(
        _BF16,
        'device_type="cuda", dtype=torch.bfloat16)',
        "device_type=DEVICE, dtype=torch.bfloat16, enabled=HAS_BF16)",
    ),
    Replacement(
        _OURS,
        "tokenizer = Tokenizer.from_directory()",
        "vocab_size = VOCAB_SIZE\n",
        until='print(f"Vocab size',
    ),
    Replacement(
        "to be built without training",
        'with torch.device("meta"):',
        "model = build_model()\n\n",
        until="param_counts = model",
    ),
    Replacement(
        _OURS,
        "train_loader = make_dataloader(tokenizer",
        "train_loader = prepare.make_dataloader(DEVICE_BATCH_SIZE, MAX_SEQ_LEN)\n\n",
        until='print(f"Time budget',
    ),
    Replacement(_OURS, 'print(f"Time budget: {TIME_BUDGET}s")\n', ""),
    Replacement(
        _OURS,
        "while True:\n    torch.cuda.synchronize()\n    t0 = time.time()",
        "while (progress := prepare.progress()) < 1:",
    ),
    Replacement(
        _OURS,
        "        with autocast_ctx:\n            loss = model(x, y)",
        "        x, y = next(train_loader)\n"
        "        with autocast_ctx:\n            loss = trained(x, y)",
    ),
    Replacement(
        _OURS, "        x, y, epoch = next(train_loader)\n\n    # Progress", "\n    # Progress"
    ),
    Replacement(_OURS, "    progress = min(total_training_time / TIME_BUDGET, 1.0)\n", ""),
    Replacement(
        _OURS,
        "    torch.cuda.synchronize()\n    t1 = time.time()",
        "    prepare.report(train_loss_f, model=model)\n\n",
        until="    # GC management",
    ),
    Replacement(_OURS, "    # Time's up", "", until="print()  # newline"),
    Replacement(
        _OURS,
        "    val_bpb = evaluate_bpb(model, tokenizer, DEVICE_BATCH_SIZE)",
        "    total_training_time = time.time() - t_start_training\n"
        "    val_bpb = prepare.evaluate_bpb(model)",
    ),
    Replacement(
        _CUDA,
        "torch.cuda.max_memory_allocated() /",
        "(torch.cuda.max_memory_allocated() if IS_CUDA else 0) /",
    ),
)

_BUILD = """\
def build_model():
    with torch.device("meta"):
        model = GPT(build_model_config(prepare.depth(DEPTH)))
    model.to_empty(device=DEVICE)
    model.init_weights()
    return model


"""
_DRIVER = "t_start = time.time()"
_CONFIG = "def build_model_config(depth):"
_CONFIG_ENDS = "config = build_model_config(DEPTH)"


def read_published(path: Path | None, sha256: str = SHA256) -> str:
    """The published text, from a file or from its home, checked.

    Raises:
        PublishedError: It cannot be had, or is not the text that is meant.
    """
    try:
        if path is not None:
            content = path.read_bytes()
        else:
            with urllib.request.urlopen(URL, timeout=30) as answer:
                content = answer.read()
    except (OSError, urllib.error.URLError) as error:
        raise PublishedError(
            f"{path or URL} cannot be read: {error}. The benchmark needs the published train.py of "
            f"autoresearch at commit {COMMIT[:12]}. Get it elsewhere and name it: --published FILE."
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise PublishedError(
            f"The text has hash {found[:12]}…, but {sha256[:12]}… was needed: figures of another "
            f"text do not compare. Give that of commit {COMMIT[:12]}, or --sha256 {found} to "
            "measure this one."
        )
    return content.decode("utf-8")


def adapted(text: str, knobs: Mapping[str, KnobValue]) -> str:
    """The published text as a genome of our ruler, at the sizes of our baseline's knobs.

    Raises:
        PublishedError: A place that is replaced is not there.
    """
    for replacement in (*REPLACEMENTS, *sizes(knobs)):
        text = replacement.apply(text)
    head, driver = text[: text.index(_DRIVER)], text[text.index(_DRIVER) :]
    start, end = driver.index(_CONFIG), driver.index(_CONFIG_ENDS)
    config = driver[start:end].replace("vocab_size=vocab_size", "vocab_size=VOCAB_SIZE")
    main = textwrap.indent(driver[:start] + driver[end:], "    ", lambda line: line.strip() != "")
    main = main.replace("build_model_config(DEPTH)", "build_model_config(prepare.depth(DEPTH))")
    return (
        f'{head}{config}\n{_BUILD}def main():\n{main}\n\nif __name__ == "__main__":\n    main()\n'
    )


def sizes(knobs: Mapping[str, KnobValue]) -> tuple[Replacement, ...]:
    """Replacements of the published sizes by those of the profile; the rest is as published."""
    why = "sizes of the profile"
    batch, accumulated = int(str(knobs["BATCH_SIZE"])), int(str(knobs["GRAD_ACCUM"]))
    aspect = int(str(knobs["WIDTH"])) // int(str(knobs["DEPTH"]))
    return (
        Replacement(why, "ASPECT_RATIO = 64 ", f"ASPECT_RATIO = {aspect} "),
        Replacement(why, "HEAD_DIM = 128 ", f"HEAD_DIM = {knobs['HEAD_DIM']} "),
        Replacement(why, "DEPTH = 8 ", f"DEPTH = {knobs['DEPTH']} "),
        Replacement(why, "DEVICE_BATCH_SIZE = 128 ", f"DEVICE_BATCH_SIZE = {batch} "),
        Replacement(
            why,
            "TOTAL_BATCH_SIZE = 2**19 ",
            f"TOTAL_BATCH_SIZE = {batch * accumulated} * MAX_SEQ_LEN ",
        ),
    )
