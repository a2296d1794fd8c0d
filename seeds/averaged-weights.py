# Idea: what is scored is a running mean of the last steps' weights (arXiv 1803.05407)
"""The baseline genome: a small modern GPT, trained for the budget that ``prepare`` measures.

The design is that of autoresearch and nanochat: rotary positions, normalised queries and keys,
value embeddings on every other layer, a pattern of short and long attention windows, a squared
ReLU, capped logits, Muon for the matrices and AdamW for everything else. Data, clock, seed, depth
and metric belong to ``prepare``; everything in this file may evolve. The knobs below hold the sizes
of the ``cpu`` profile.

Contract: a block of ``ALL_CAPS = literal`` knobs; ``build_model()`` at the top level gives a module
that maps token ids (batch, time) to logits (batch, time, vocabulary) and keeps all it learns in its
``state_dict()``; training runs under the ``__main__`` guard; imports are torch, the standard
library and ``prepare``.
"""

import gc
import math
import time

import torch
import torch.nn.functional as F
from torch import nn

import prepare
from prepare import DEVICE, MAX_SEQ_LEN, VOCAB_SIZE

# --- knobs: one literal a line -------------------------------------------------------------------

# the model
DEPTH = 2  # layers, at the home depth; prepare.depth() scales it
WIDTH = 128  # channels of the residual stream
HEAD_DIM = 64  # channels of one attention head
MLP_RATIO = 4  # hidden channels of the MLP, as a multiple of WIDTH
WINDOW_PATTERN = "SSSL"  # windows by layer, repeated: S short, L long; the last is always long
SHORT_WINDOW = 0.5  # a short window, as a share of the sequence
ROPE_BASE = 10000.0  # base of the rotary frequencies
GATE_CHANNELS = 32  # channels that open the gates of the value embeddings
SOFTCAP = 15.0  # logits stay within plus and minus this; 0 turns the cap off

# the start
EMBED_STD = 1.0  # standard deviation of the token embeddings
UNEMBED_STD = 0.001  # standard deviation of the unembedding
MATRIX_INIT = 1.0  # scale of the input matrices; 1 keeps the variance
X0_INIT = 0.1  # first weight of the embedding in each layer's input

# the batch
BATCH_SIZE = 16  # sequences in one forward pass
GRAD_ACCUM = 1  # forward passes to one optimizer step

# the optimizer
EMBEDDING_LR = 0.6  # AdamW, token and value embeddings; at width 768
UNEMBEDDING_LR = 0.004  # AdamW, unembedding; at width 768
MATRIX_LR = 0.04  # Muon
SCALAR_LR = 0.5  # AdamW, the weights of residual stream and embedding
ADAM_BETA1 = 0.8  # decay of AdamW's mean gradient
ADAM_BETA2 = 0.95  # decay of AdamW's mean square
X0_BETA1 = 0.96  # the same as ADAM_BETA1, for the embedding's weights
WEIGHT_DECAY = 0.2  # cautious, matrices only; falls to 0 with the budget
MUON_MOMENTUM_START = 0.85  # momentum at the first step
MUON_MOMENTUM = 0.95  # momentum after its warm-up
MUON_BETA2 = 0.95  # decay of Muon's second moment
MUON_STEPS = 5  # iterations that make an update orthogonal, at most 5

# the schedule, in shares of the budget
WARMUP = 0.0  # learning rates rise over this share
WARMDOWN = 0.5  # and fall over this last share
FINAL_LR = 0.0  # down to this share of themselves
MOMENTUM_WARMUP = 0.3  # Muon's momentum rises over this share

# -------------------------------------------------------------------------------------------------

IS_COMPILED = DEVICE == "cuda"  # on a CPU compiling costs more than a short run gains
if IS_COMPILED:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

# --- the model -----------------------------------------------------------------------------------


def norm(x):
    return F.rms_norm(x, (x.size(-1),))


def rotate(x, cos, sin):
    """Rotary positions for heads of shape (batch, time, head, channel)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos + b * sin, b * cos - a * sin), dim=-1)


def bf16_is_native():
    """True where bfloat16 products run in hardware; elsewhere they would only lose time."""
    if DEVICE == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return DEVICE == "mps" or torch.cuda.is_bf16_supported(including_emulation=False)


class Attention(nn.Module):
    def __init__(self, has_value_embedding, window):
        super().__init__()
        self.heads = max(1, WIDTH // HEAD_DIM)
        inner = self.heads * HEAD_DIM
        self.query = nn.Linear(WIDTH, inner, bias=False)
        self.key = nn.Linear(WIDTH, inner, bias=False)
        self.value = nn.Linear(WIDTH, inner, bias=False)
        self.out = nn.Linear(inner, WIDTH, bias=False)
        self.values = nn.Embedding(VOCAB_SIZE, inner) if has_value_embedding else None
        self.gate = (
            nn.Linear(min(GATE_CHANNELS, WIDTH), self.heads, bias=False)
            if has_value_embedding
            else None
        )
        self.window = window

    def forward(self, x, idx, cos, sin, mask):
        shape = (*idx.shape, self.heads, HEAD_DIM)
        q = norm(rotate(self.query(x).view(shape), cos, sin))
        k = norm(rotate(self.key(x).view(shape), cos, sin))
        v = self.value(x).view(shape)
        if self.values is not None:  # tokens speak for themselves, as far as the gates let them
            gate = 2 * torch.sigmoid(self.gate(x[..., : self.gate.in_features]))
            v = v + gate.unsqueeze(-1) * self.values(idx).view(shape).to(v.dtype)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        if self.window >= idx.size(1):
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        elif isinstance(mask, torch.Tensor):
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        else:
            y = flex_attention(q.to(v.dtype), k.to(v.dtype), v, block_mask=mask)
        return self.out(y.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Linear(WIDTH, int(MLP_RATIO * WIDTH), bias=False)
        self.down = nn.Linear(int(MLP_RATIO * WIDTH), WIDTH, bias=False)

    def forward(self, x):
        return self.down(F.relu(self.up(x)).square())


class Block(nn.Module):
    def __init__(self, has_value_embedding, window):
        super().__init__()
        self.attention = Attention(has_value_embedding, window)
        self.mlp = MLP()

    def forward(self, x, idx, cos, sin, mask):
        x = x + self.attention(norm(x), idx, cos, sin, mask)
        return x + self.mlp(norm(x))


class SoftCap(torch.autograd.Function):
    """``SOFTCAP * tanh(logits / SOFTCAP)`` in place: logits are the largest thing in memory."""

    @staticmethod
    def forward(ctx, logits):
        ctx.mark_dirty(logits)
        capped = logits.div_(SOFTCAP).tanh_().mul_(SOFTCAP)
        ctx.save_for_backward(capped)
        return capped

    @staticmethod
    def backward(ctx, grad):
        (capped,) = ctx.saved_tensors
        return torch.addcmul(grad, grad * capped, capped, value=-(SOFTCAP**-2))


class GPT(nn.Module):
    def __init__(self, depth):
        super().__init__()
        short = max(1, int(SHORT_WINDOW * MAX_SEQ_LEN))
        pattern = [WINDOW_PATTERN[i % len(WINDOW_PATTERN)] for i in range(depth)]
        pattern[-1] = "L"
        self.embed = nn.Embedding(VOCAB_SIZE, WIDTH)
        self.blocks = nn.ModuleList(
            Block(
                has_value_embedding=i % 2 == (depth - 1) % 2,  # every other layer, and the last
                window=short if letter == "S" else MAX_SEQ_LEN,
            )
            for i, letter in enumerate(pattern)
        )
        self.unembed = nn.Linear(WIDTH, VOCAB_SIZE, bias=False)
        self.stream_weights = nn.Parameter(torch.ones(depth))
        self.embed_weights = nn.Parameter(torch.full((depth,), X0_INIT))
        self.register_tables(short)
        self.init_weights()
        self.dtype = torch.bfloat16 if bf16_is_native() else torch.float32

    def register_tables(self, short):
        """Rotary angles and the mask of short windows: functions of the sizes, so not state."""
        steps = torch.arange(MAX_SEQ_LEN)
        rates = ROPE_BASE ** -(torch.arange(0, HEAD_DIM, 2) / HEAD_DIM)
        angles = torch.outer(steps.float(), rates)[:, None, :]
        age = steps[:, None] - steps[None, :]
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        self.register_buffer("mask", (age >= 0) & (age < short), persistent=False)
        self.band = None  # the same mask in blocks, of which a compiled model skips the empty ones
        if IS_COMPILED:
            sizes = (None, None, MAX_SEQ_LEN, MAX_SEQ_LEN)
            self.band = create_block_mask(
                lambda _, __, q, k: (q >= k) & (q - k < short), *sizes, device=DEVICE
            )

    @torch.no_grad()
    def init_weights(self):
        """Each block starts as the identity: what leaves it is multiplied by zero."""
        bound = MATRIX_INIT * math.sqrt(3 / WIDTH)  # uniform, with standard deviation WIDTH ** -0.5
        nn.init.normal_(self.embed.weight, std=EMBED_STD)
        nn.init.normal_(self.unembed.weight, std=UNEMBED_STD)
        for block in self.blocks:
            attention = block.attention
            for layer in (attention.query, attention.key, attention.value, block.mlp.up):
                nn.init.uniform_(layer.weight, -bound, bound)
            nn.init.zeros_(attention.out.weight)
            nn.init.zeros_(block.mlp.down.weight)
            if attention.values is not None:
                nn.init.uniform_(attention.values.weight, -bound, bound)
                nn.init.zeros_(attention.gate.weight)  # half open: the gate's value is 1

    def forward(self, idx):
        time_steps = idx.size(1)
        with torch.autocast(DEVICE, dtype=torch.bfloat16, enabled=self.dtype is torch.bfloat16):
            cos, sin = self.cos[:time_steps].to(self.dtype), self.sin[:time_steps].to(self.dtype)
            mask = self.mask[:time_steps, :time_steps]
            if torch.compiler.is_compiling() and time_steps == MAX_SEQ_LEN:
                mask = self.band
            x = x0 = norm(self.embed(idx).to(self.dtype))
            for i, block in enumerate(self.blocks):
                x = self.stream_weights[i] * x + self.embed_weights[i] * x0
                x = block(x, idx, cos, sin, mask)
            logits = self.unembed(norm(x)).float()
        if not SOFTCAP:
            return logits
        return SOFTCAP * torch.tanh(logits / SOFTCAP) if IS_COMPILED else SoftCap.apply(logits)


def build_model():
    """The untrained model of this genome, on the device, at the depth the harness asks for."""
    model = GPT(depth=prepare.depth(DEPTH)).to(DEVICE)
    if DEVICE == "cuda":  # half the memory traffic, and the tables stand it
        for module in model.modules():
            if isinstance(module, nn.Embedding):
                module.to(torch.bfloat16)
    return model


# --- the optimizers ------------------------------------------------------------------------------

# Polar Express: five polynomials that pull every singular value of a matrix towards 1.
POLYNOMIALS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)


def orthogonalise(g):
    """The nearest semi-orthogonal matrix to each of a stack, roughly."""
    is_tall = g.size(-2) > g.size(-1)
    x = g.mT if is_tall else g
    x = x / (x.norm(dim=(-2, -1), keepdim=True) * 1.02 + 1e-6)
    for a, b, c in POLYNOMIALS[:MUON_STEPS]:
        gram = x @ x.mT
        cubic = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, cubic, x, beta=a)
    return x.mT if is_tall else x


def muon_update(p, g, mean, square, momentum, lr, decay):
    """One Muon step on a stack of matrices, in place: p and its two moments.

    Nesterov momentum; orthogonal update; each row (or column, along the longer side) brought to an
    even size by its running second moment, the whole keeping its norm; and weight decay only where
    it agrees with the update.
    """
    mean.lerp_(g, 1 - momentum)
    update = g.lerp(mean, momentum)
    dtype = torch.bfloat16 if bf16_is_native() else torch.float32
    update = orthogonalise(update.to(dtype)).float()
    side = -1 if p.size(-2) >= p.size(-1) else -2
    power = update.square().mean(dim=side, keepdim=True)
    square.lerp_(power, 1 - MUON_BETA2)
    scale = square.clamp_min(1e-10).rsqrt()
    before, after = power.sum((-2, -1), True), (power * scale.square()).sum((-2, -1), True)
    update = update * scale * (before / after.clamp_min(1e-10)).sqrt()
    agrees = update * p >= 0
    p.sub_(lr * (update + decay * p * agrees))


def adamw_update(p, g, mean, square, lr, betas, biases):
    """One Adam step on a tensor, in place: p and its two moments."""
    g = g.float()
    mean.lerp_(g, 1 - betas[0])
    square.lerp_(g.square(), 1 - betas[1])
    size = (square / biases[1]).sqrt() + 1e-10
    p.sub_(lr / biases[0] * mean / size)


def numbers(*values):
    """Numbers as tensors: a compiled step does not compile again when they change."""
    return [torch.tensor(value) if IS_COMPILED else value for value in values]


class Muon:
    """Muon for the blocks' matrices, those of one shape stacked into one step."""

    def __init__(self, matrices):
        by_shape = {}
        for p in matrices:
            by_shape.setdefault(p.shape, []).append(p)
        self.update = torch.compile(muon_update, dynamic=False) if IS_COMPILED else muon_update
        self.groups = []
        for (rows, columns), params in by_shape.items():
            stack = torch.stack([p.detach() for p in params])
            kept = (1, columns) if rows < columns else (rows, 1)  # one number for each of these
            self.groups.append(
                {
                    "params": params,
                    "mean": torch.zeros_like(stack),
                    "square": stack.new_zeros(len(params), *kept),
                    "lr": MATRIX_LR * max(1, rows / columns) ** 0.5,
                    "momentum": MUON_MOMENTUM_START,
                    "decay": WEIGHT_DECAY,
                }
            )

    @torch.no_grad()
    def step(self):
        for group in self.groups:
            p = torch.stack(list(group["params"]))
            g = torch.stack([matrix.grad for matrix in group["params"]])
            rates = numbers(group["momentum"], group["lr"], group["decay"])
            self.update(p, g, group["mean"], group["square"], *rates)
            torch._foreach_copy_(group["params"], list(p.unbind()))

    def forget(self):
        for group in self.groups:
            group["mean"].zero_()
            group["square"].zero_()


class AdamW:
    """Adam for everything else, group by group; nothing in these groups decays."""

    def __init__(self, groups):
        self.update = torch.compile(adamw_update, dynamic=False) if IS_COMPILED else adamw_update
        self.steps = 0
        self.groups = groups
        for group in groups:
            zeros = [torch.zeros_like(p, dtype=torch.float32) for p in group["params"]]
            group["moments"] = [(zero, zero.clone()) for zero in zeros]

    @torch.no_grad()
    def step(self):
        self.steps += 1
        for group in self.groups:
            beta1, beta2 = group["betas"]
            biases = 1 - beta1**self.steps, 1 - beta2**self.steps
            (lr,), betas, biases = numbers(group["lr"]), numbers(beta1, beta2), numbers(*biases)
            for p, (mean, square) in zip(group["params"], group["moments"], strict=True):
                self.update(p, p.grad, mean, square, lr, betas, biases)

    def forget(self):
        self.steps = 0
        for group in self.groups:
            torch._foreach_zero_([moment for pair in group["moments"] for moment in pair])


def build_optimizers(model):
    """Muon for the matrices of the blocks; AdamW, group by group, for the rest."""
    tables = [m.weight for m in model.modules() if isinstance(m, nn.Embedding)]
    ids = {id(table) for table in tables}
    matrices = [p for p in model.blocks.parameters() if id(p) not in ids]
    lr_scale = (WIDTH / 768) ** -0.5  # the rates were tuned at width 768
    betas = (ADAM_BETA1, ADAM_BETA2)
    adamw = AdamW(
        [
            {"params": tables, "lr": EMBEDDING_LR * lr_scale, "betas": betas},
            {"params": [model.unembed.weight], "lr": UNEMBEDDING_LR * lr_scale, "betas": betas},
            {
                "params": [model.stream_weights],
                "lr": SCALAR_LR * 0.01,
                "betas": betas,
            },  # they multiply
            {"params": [model.embed_weights], "lr": SCALAR_LR, "betas": (X0_BETA1, ADAM_BETA2)},
        ]
    )
    muon = Muon(matrices)
    for group in adamw.groups + muon.groups:
        group["first_lr"] = group["lr"]
    return adamw, muon


# --- the schedule --------------------------------------------------------------------------------


def lr_share(share):
    """What is left of the learning rates when ``share`` of the budget is used."""
    if share < WARMUP:
        return max(share / WARMUP, 0.01)
    left = min(1.0, (1 - share) / WARMDOWN) if WARMDOWN else 1.0
    return FINAL_LR + (1 - FINAL_LR) * left


def set_rates(adamw, muon, share):
    """Learning rates, momentum and weight decay at ``share`` of the budget."""
    for group in adamw.groups + muon.groups:
        group["lr"] = group["first_lr"] * lr_share(share)
    risen = min(1.0, share / MOMENTUM_WARMUP) if MOMENTUM_WARMUP else 1.0
    for group in muon.groups:
        group["momentum"] = MUON_MOMENTUM_START + (MUON_MOMENTUM - MUON_MOMENTUM_START) * risen
        group["decay"] = WEIGHT_DECAY * (1 - share)


# --- training ------------------------------------------------------------------------------------


def loss_of(model, x, y):
    return F.cross_entropy(model(x).flatten(0, 1), y.flatten())


def train_step(model, optimizers, batches):
    """One optimizer step; gives back the mean loss and the norm of the gradient."""
    total = 0.0
    for _ in range(GRAD_ACCUM):
        x, y = next(batches)
        loss = loss_of(model, x, y) / GRAD_ACCUM
        loss.backward()
        total += loss.detach()
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    grad_norm = torch.nn.utils.get_total_norm(grads)
    for optimizer in optimizers:
        optimizer.step()
    model.zero_grad(set_to_none=True)
    return float(total), grad_norm


def warm_up(model, optimizers):
    """Compile on made-up tokens, before the clock starts. Nothing is learnt: all rates are 0."""
    x = torch.randint(VOCAB_SIZE, (BATCH_SIZE, MAX_SEQ_LEN), device=DEVICE)
    loss_of(model, x, x).backward()
    for optimizer in optimizers:
        for group in optimizer.groups:
            group["lr"] = 0.0
        optimizer.step()
        optimizer.forget()
    model.zero_grad(set_to_none=True)


def mfu_percent(model, tokens, seconds):
    """Share of the GPU's bfloat16 peak that training used; 0 where the peak is not known."""
    name = torch.cuda.get_device_name() if DEVICE == "cuda" else ""
    peaks = {"H100": 989.5e12, "H200": 989.5e12, "A100": 312e12, "4090": 165.2e12}
    peak = next((flops for key, flops in peaks.items() if key in name), math.inf)
    tables = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Embedding))
    weights = sum(p.numel() for p in model.parameters()) - tables
    spans = sum(min(block.attention.window, MAX_SEQ_LEN) for block in model.blocks)
    inner = max(1, WIDTH // HEAD_DIM) * HEAD_DIM
    return 100 * (6 * weights + 12 * inner * spans) * tokens / max(seconds, 1e-9) / peak


def main():
    start = time.time()
    torch.manual_seed(prepare.rng_seed())
    torch.set_float32_matmul_precision("high")
    model = build_model()
    adamw, muon = build_optimizers(model)
    trained = model
    if IS_COMPILED:
        trained = torch.compile(model, dynamic=False)
        warm_up(trained, (adamw, muon))

    batches = prepare.make_dataloader(BATCH_SIZE, MAX_SEQ_LEN)
    averaged = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.8)
    )
    steps = 0
    training_start = time.time()
    while (share := prepare.progress()) < 1:
        set_rates(adamw, muon, share)
        loss, grad_norm = train_step(trained, (adamw, muon), batches)
        averaged.update_parameters(model)
        steps += 1
        if not loss < 100:  # NaN is not below 100 either
            raise SystemExit(
                f"loss is not finite or above 100 ({loss}) after step {steps}: training diverged"
            )
        prepare.report(
            loss, model=averaged.module, grad_norm=grad_norm, lr=MATRIX_LR * lr_share(share)
        )
        if steps == 1:  # nothing in the loop makes cycles: spare the steps the collector's visits
            gc.collect()
            gc.disable()
    training_seconds = time.time() - training_start

    val_bpb = prepare.evaluate_bpb(averaged.module)

    tokens = steps * GRAD_ACCUM * BATCH_SIZE * MAX_SEQ_LEN
    peak_bytes = torch.cuda.max_memory_allocated() if DEVICE == "cuda" else 0
    print("---")
    print(f"val_bpb:          {val_bpb:.6f}")
    print(f"training_seconds: {training_seconds:.1f}")
    print(f"total_seconds:    {time.time() - start:.1f}")
    print(f"peak_vram_mb:     {peak_bytes / 2**20:.1f}")
    print(f"mfu_percent:      {mfu_percent(model, tokens, training_seconds):.2f}")
    print(f"total_tokens_M:   {tokens / 1e6:.3f}")
    print(f"num_steps:        {steps}")
    print(f"num_params_M:     {sum(p.numel() for p in model.parameters()) / 1e6:.3f}")
    print(f"depth:            {len(model.blocks)}")


if __name__ == "__main__":
    main()
