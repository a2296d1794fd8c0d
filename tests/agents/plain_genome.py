"""A genome in plain PyTorch, made as people make them who have not read the baseline.

``nn.Sequential``, ``nn.LayerNorm``, attention by hand, ``torch.optim.AdamW`` with a ``LambdaLR``.
Edits must find their places in it by syntax alone.
"""

PLAIN = '''"""A small GPT in plain PyTorch."""

import math
import time

import torch
import torch.nn.functional as F
from torch import nn

import prepare

N_LAYER = 2
N_EMBD = 64
N_HEAD = 2
BATCH_SIZE = 16
ACCUM_STEPS = 1
LEARNING_RATE = 3e-3
BETA1 = 0.9
BETA2 = 0.95
WEIGHT_DECAY = 0.1
WARMUP = 0.1


class CausalSelfAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.c_proj = nn.Linear(width, width)
        mask = torch.tril(torch.ones(prepare.MAX_SEQ_LEN, prepare.MAX_SEQ_LEN))
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x):
        b, t, c = x.shape
        q = self.q_proj(x).view(b, t, self.heads, c // self.heads).transpose(1, 2)
        k = self.k_proj(x).view(b, t, self.heads, c // self.heads).transpose(1, 2)
        v = self.v_proj(x).view(b, t, self.heads, c // self.heads).transpose(1, 2)
        att = q @ k.transpose(-2, -1) / math.sqrt(k.size(-1))
        att = att.masked_fill(self.mask[:t, :t] == 0, float("-inf"))
        att = F.softmax(att, dim=-1)
        y = (att @ v).transpose(1, 2).contiguous().view(b, t, c)
        return self.c_proj(y)


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = CausalSelfAttention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
        )

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        x = x + self.mlp(self.ln_2(x))
        return x


class GPT(nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.wte = nn.Embedding(prepare.VOCAB_SIZE, N_EMBD)
        self.wpe = nn.Embedding(prepare.MAX_SEQ_LEN, N_EMBD)
        self.h = nn.ModuleList([Block(N_EMBD, N_HEAD) for _ in range(depth)])
        self.ln_f = nn.LayerNorm(N_EMBD)
        self.lm_head = nn.Linear(N_EMBD, prepare.VOCAB_SIZE, bias=False)
        self.apply(self._init_weights)

    def _init_weights(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, idx):
        positions = torch.arange(idx.size(1), device=idx.device)
        x = self.wte(idx) + self.wpe(positions)
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))


def build_model():
    return GPT(prepare.depth(N_LAYER)).to(prepare.DEVICE)


def build_optimizer(model):
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [
        {"params": decayed, "weight_decay": WEIGHT_DECAY},
        {"params": others, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(BETA1, BETA2))
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lr_lambda)


def lr_lambda(_step):
    share = prepare.progress()
    if share < WARMUP:
        return max(share / WARMUP, 0.05)
    return 0.5 * (1.0 + math.cos(math.pi * (share - WARMUP) / (1 - WARMUP)))


def train_step(model, optimizer, scheduler, batches):
    total = 0.0
    for _ in range(ACCUM_STEPS):
        x, y = next(batches)
        logits = model(x)
        loss = F.cross_entropy(logits.view(-1, logits.size(-1)), y.reshape(-1)) / ACCUM_STEPS
        loss.backward()
        total += float(loss.detach())
    grad_norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    scheduler.step()
    optimizer.zero_grad(set_to_none=True)
    return total, float(grad_norm)


def main():
    start = time.time()
    torch.manual_seed(prepare.rng_seed())
    model = build_model()
    batches = prepare.make_dataloader(BATCH_SIZE)
    optimizer, scheduler = build_optimizer(model)
    steps = 0
    while prepare.progress() < 1:
        loss, grad_norm = train_step(model, optimizer, scheduler, batches)
        steps += 1
        if not loss < 100:
            raise SystemExit(f"loss is not finite or above 100 ({loss}): training diverged")
        prepare.report(loss, model=model, grad_norm=grad_norm)
    seconds = time.time() - start
    val_bpb = prepare.evaluate_bpb(model)
    print("---")
    print(f"val_bpb: {val_bpb:.6f}")
    print(f"training_seconds: {seconds:.1f}")
    print(f"num_steps: {steps}")
    print(f"depth: {len(model.h)}")


if __name__ == "__main__":
    main()
'''
