import pytest

from evolution.ruler import Ruler
from evolution.templates import template_path
from population import Genome, contract_problems, knobs, read_summary, set_knobs

STEP = 16 * 64  # tokens of one training step


def tokens(steps):
    return {"kind": "tokens", "amount": steps * STEP}


def test_the_baseline_keeps_the_contract(tiny_genome):
    assert contract_problems(Genome.single(tiny_genome)) == []


def test_the_baseline_keeps_autoresearchs_choices():
    chosen = knobs(template_path("train.py").read_text(encoding="utf-8"))
    wanted = {
        "WINDOW_PATTERN": "SSSL",
        "SOFTCAP": 15.0,
        "EMBEDDING_LR": 0.6,
        "UNEMBEDDING_LR": 0.004,
        "MATRIX_LR": 0.04,
        "SCALAR_LR": 0.5,
        "WEIGHT_DECAY": 0.2,
        "WARMDOWN": 0.5,
        "FINAL_LR": 0.0,
    }
    assert {name: chosen[name] for name in wanted} == wanted


def test_alone_it_trains_and_prints_the_same_summary_twice(start_trainer, tiny_genome):
    runs = [start_trainer(tiny_genome, budget=tokens(40)).end() for _ in range(2)]
    assert [code for code, _, _ in runs] == [0, 0], runs[0][2]
    first, second = (read_summary(out) for _, out, _ in runs)
    assert first.val_bpb == second.val_bpb
    assert 2.0 < first.val_bpb < 2.5
    assert (first.values["num_steps"], first.values["depth"]) == (40, 1)
    named = [
        "training_seconds",
        "total_seconds",
        "peak_vram_mb",
        "mfu_percent",
        "total_tokens_M",
        "num_params_M",
    ]
    assert set(named) <= set(first.values)


def test_the_depth_scale_of_the_harness_reaches_the_model(start_trainer, tiny_genome):
    deeper = set_knobs(tiny_genome, {"DEPTH": 2})
    _, out, _ = start_trainer(deeper, budget=tokens(1), depth_scale=1.5).end()
    assert read_summary(out).values["depth"] == 3


def test_odd_sizes_train_too(start_trainer, tiny_genome):
    odd = set_knobs(
        tiny_genome,
        {"WIDTH": 72, "HEAD_DIM": 32, "GRAD_ACCUM": 2, "DEPTH": 3, "WARMUP": 0.1, "MLP_RATIO": 3},
    )
    code, out, err = start_trainer(odd, budget=tokens(4)).end()
    assert code == 0, err
    assert read_summary(out).values["num_steps"] == 2


def test_a_loss_that_explodes_stops_the_run_with_a_reason(start_trainer, tiny_genome):
    wild = set_knobs(tiny_genome, {"SOFTCAP": 0.0, "UNEMBED_STD": 1e6})
    code, out, err = start_trainer(wild, budget=tokens(40)).end()
    assert (code, read_summary(out)) == (1, None)
    assert "loss is not finite or above 100" in err
    assert "Traceback" not in err


PROBE = """

def probe():
    torch.manual_seed(3)
    model = build_model()
    with torch.no_grad():  # blocks begin as the identity: give them something to do
        for p in model.parameters():
            p.add_(0.05 * torch.randn_like(p))
    idx = torch.randint(VOCAB_SIZE, (2, MAX_SEQ_LEN))
    logits = model(idx)
    assert logits.shape == (2, MAX_SEQ_LEN, VOCAB_SIZE)
    assert logits.abs().max() <= SOFTCAP

    changed = idx.clone()
    changed[0, 40:] = (changed[0, 40:] + 1) % VOCAB_SIZE
    assert torch.equal(model(changed)[0, :40], logits[0, :40]), "the future shows"
    assert torch.equal(model(changed)[1], logits[1]), "rows see each other"
    assert torch.allclose(model(idx[:, :30]), logits[:, :30], atol=1e-2)

    again = build_model()
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(idx), logits), "state is kept outside state_dict"

    z = torch.randn(4, 9, requires_grad=True)
    (SOFTCAP * torch.tanh(z / SOFTCAP)).square().sum().backward()
    wanted, z.grad = z.grad, None
    SoftCap.apply(z * 1).square().sum().backward()
    assert torch.allclose(z.grad, wanted, atol=1e-5)

    optimizers = build_optimizers(model)
    before = {name: p.clone() for name, p in model.state_dict().items()}
    warm_up(model, optimizers)
    assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items())
    moments = [m for group in optimizers[0].groups for pair in group["moments"] for m in pair]
    moments += [group[name] for group in optimizers[1].groups for name in ("mean", "square")]
    assert not any(moment.any() for moment in moments)
    set_rates(*optimizers, 0.0)
    assert optimizers[1].groups[0]["lr"] == optimizers[1].groups[0]["first_lr"] > 0

    shares = [lr_share(i / 100) for i in range(101)]
    assert shares[:50] == [1.0] * 50
    assert shares[100] == FINAL_LR
    m = orthogonalise(torch.randn(2, 24, 64))
    assert (torch.linalg.svdvals(m) - 1).abs().max() < 0.3
    print("probed")

if __name__ == "__main__":
    probe()
    raise SystemExit
"""


def test_the_model_is_causal_stateless_and_kept_in_its_state_dict(start_trainer, tiny_genome):
    text = set_knobs(tiny_genome, {"DEPTH": 3})
    guard = 'if __name__ == "__main__":'
    body, main = text.split(guard)
    code, out, err = start_trainer(f"{body}{PROBE}\n{guard}{main}", budget=tokens(1)).end()
    assert code == 0, err
    assert out == "probed\n"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_610_steps_on_the_cpu_profile_reach_1_57_bits_per_byte(start_trainer):
    data = Ruler.load(template_path("prepare.py")).prepare("cpu").path
    text = template_path("train.py").read_text(encoding="utf-8")
    trainer = start_trainer(text, data=str(data), budget=tokens(610), rng_seed=42)
    out, err = trainer.process.communicate(timeout=590)
    assert trainer.process.returncode == 0, err
    assert read_summary(out).val_bpb <= 1.57
