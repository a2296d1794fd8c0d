import re

import libcst as cst
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from agents.structure import EDITS, Edited, Unedited, apply_edit
from agents.structure.edit import places
from agents.structure.tidy import without_unused
from population import Genome, canonical_hash, contract_problems
from tests.agents.parents import TRAIN

BY_NAME = {edit.name: edit for edit in EDITS}


def outcomes(name, text, count=24):
    """All texts that an edit makes of ``text``, over many draws."""
    made = [apply_edit(BY_NAME[name], text, default_rng(seed)) for seed in range(count)]
    return {edited.text for edited in made if isinstance(edited, Edited)}


def body(source):
    """A module whose forward pass holds ``source``."""
    lines = "\n".join(f"        {line}" for line in source.splitlines())
    return f"class Block(nn.Module):\n    def forward(self, x, y):\n{lines}\n"


def test_there_are_many_edits_each_with_a_name_and_a_reason():
    assert len(BY_NAME) == len(EDITS) >= 12
    for edit in EDITS:
        assert re.fullmatch(r"[a-z_]+", edit.name)
        assert edit.hypothesis
        assert "\n" not in edit.hypothesis
        assert edit.weight > 0


def check(edit, edited):
    """What every edit of the baseline owes: a new genome and a line about it, or a reason."""
    if isinstance(edited, Unedited):
        assert edited.reason
        return
    genome = Genome.single(edited.text)
    assert contract_problems(genome) == []
    assert canonical_hash(genome) != canonical_hash(Genome.single(TRAIN))
    assert edited.what
    assert "\n" not in edited.what
    lost = set(TRAIN.splitlines()) - set(edited.text.splitlines())
    assert len(lost) <= 16, f"{edit.name} rewrote lines that it had no business with"


@pytest.mark.parametrize("edit", EDITS, ids=lambda e: e.name)
def test_on_the_baseline_an_edit_makes_a_new_genome_or_says_why_not(edit):
    check(edit, apply_edit(edit, TRAIN, default_rng(0)))


@settings(deadline=None, max_examples=12)
@given(edit=st.sampled_from(EDITS), seed=st.integers(0, 2**32))
def test_wherever_chance_makes_it(edit, seed):
    edited = apply_edit(edit, TRAIN, default_rng(seed))
    check(edit, edited)
    assert apply_edit(edit, TRAIN, default_rng(seed)) == edited


def test_most_edits_work_on_the_baseline():
    module = cst.parse_module(TRAIN)
    idle = {edit.name for edit in EDITS if not list(edit.find(module, default_rng(0)))}
    assert idle <= {"swap_optimizer", "drop_option"}


def test_no_change_asks_for_two_things_at_one_node():
    module = cst.parse_module(TRAIN)
    for edit in EDITS:
        for change in edit.find(module, default_rng(0)):
            ids = [id(old) for old, _ in change.replaced]
            assert len(ids) == len(set(ids)), (edit.name, change.what)


@pytest.mark.parametrize("edit", EDITS, ids=lambda e: e.name)
@pytest.mark.parametrize("text", ["", "not python (", "x = 1\n", "(" * 300, "class A: pass\n"])
def test_any_text_is_edited_or_left(edit, text):
    assert isinstance(apply_edit(edit, text, default_rng(0)), Unedited)


@settings(deadline=None, max_examples=4)
@given(steps=st.lists(st.integers(0, 2**16), min_size=2, max_size=4))
def test_edits_stack(steps):
    text = TRAIN
    for seed in steps:
        rng = default_rng(seed)
        edited = apply_edit(EDITS[int(rng.integers(len(EDITS)))], text, rng)
        text = edited.text if isinstance(edited, Edited) else text
    assert contract_problems(Genome.single(text)) == []


# --- where edits may work ------------------------------------------------------------------------


def test_edits_keep_out_of_what_training_does_not_depend_on():
    where = {place.where for place in places(cst.parse_module(TRAIN))}
    assert "GPT.forward" in where
    assert "main" not in where  # it talks with the ruler
    assert "mfu_percent" not in where
    assert "SoftCap.backward" not in where


# --- examples of single edits --------------------------------------------------------------------


def test_activations_are_swapped_whole():
    made = outcomes("swap_activation", body("return F.relu(x).square()"))
    assert body("return F.gelu(x)") in made
    assert body("return F.silu(x).square()") not in made
    assert body("return F.relu(x).square()") not in made
    assert body("return F.relu(x).square()") in outcomes(
        "swap_activation", body("return F.silu(x)"), 80
    )
    assert body("return torch.nn.functional.silu(x)") in outcomes(
        "swap_activation", body("return torch.relu(x) ** 2"), 80
    )
    assert "        self.act = nn.SiLU()\n" in "".join(
        outcomes("swap_activation", body("self.act = nn.GELU()"))
    )


@pytest.mark.parametrize(
    "source", ["C * torch.tanh(x / C)", "torch.tanh(x / 15) * 15", "torch.tanh(x)", "bound(x)"]
)
def test_saturations_of_any_make_are_found(source):
    helper = "def bound(x):\n    return x.clamp(-1, 1)\n"
    made = outcomes("drop_saturation", helper + body(f"return {source}"))
    assert made == {helper + body("return x")}


def test_a_choice_between_a_bound_and_none_goes_whole():
    text = body("return C * torch.tanh(x / C) if C else x")
    assert outcomes("drop_saturation", text) == {body("return x")}


def test_a_bound_with_a_way_for_another_device_goes_whole():
    helper = "def bound(x):\n    return x.clamp(-1, 1)\n"
    text = helper + body("return C * torch.tanh(x / C) if IS_COMPILED else bound(x)")
    assert outcomes("drop_saturation", text) == {helper + body("return x")}


def test_what_can_be_turned_off_is_left_out():
    assert outcomes("drop_option", body("return f(x, 2) if y else x")) == {body("return x")}
    assert outcomes("drop_option", body("return f(x) if IS_COMPILED else x")) == set()


def test_a_saturation_has_cheaper_kin():
    assert outcomes("cheaper_function", body("return C * torch.tanh(x / C)")) == {
        body("return x.clamp(-C, C)"),
        body("return x / (1 + (x / C).abs())"),
    }


def test_operands_are_parenthesised_where_they_must_be():
    text = body("return 2 * norm(x + y)")
    assert outcomes("drop_norm", text) == {body("return 2 * (x + y)")}


def test_norms_that_are_numbers_stay():
    assert outcomes("drop_norm", body("return x / x.norm(dim=-1)")) == set()
    assert outcomes("drop_norm", body("torch.nn.utils.clip_grad_norm_(x, 1)")) == set()


def test_residual_parts_can_be_put_side_by_side():
    text = body("x = x + self.a(norm(x), y)\nreturn x + self.b(norm(x))")
    assert outcomes("parallel_parts", text) == {
        body("shared = norm(x)\nreturn x + self.a(shared, y) + self.b(shared)")
    }
    text = body("x = x + self.a(x)\nx = x + self.b(y)\nreturn x")
    assert outcomes("parallel_parts", text) == {body("x = x + self.a(x) + self.b(y)\nreturn x")}


def test_norms_move_behind_what_they_normalised():
    text = body("return x + self.a(norm(x), y)")
    assert outcomes("post_norm", text) == {body("return norm(x + self.a(x, y))")}


MLP = """class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Linear(W, 4 * W, bias=False)
        self.down = nn.Linear(4 * W, W, bias=False)

    def forward(self, x):
        return self.down(F.gelu(self.up(x)))
"""


def test_a_gate_is_a_second_way_up():
    wide, narrow = sorted(outcomes("gate_mlp", MLP), key=len)
    assert "self.up_gate = nn.Linear(W, 4 * W, bias=False)\n" in wide
    assert "return self.down(F.gelu(self.up(x)) * self.up_gate(x))" in wide
    assert "self.up_gate = nn.Linear(W, int((4 * W) * 2 // 3), bias=False)\n" in narrow
    assert "self.down = nn.Linear(int((4 * W) * 2 // 3), W, bias=False)\n" in narrow
    assert outcomes("gate_mlp", wide) == set()


def test_tying_takes_the_output_layer_out_everywhere():
    (tied,) = outcomes("tie_embeddings", TRAIN, 2)
    assert "unembed" not in tied.replace("UNEMBED", "").replace("unembedding", "")
    assert "self.embed.weight" in tied


def test_ablation_takes_out_what_it_leaves_unused():
    module = cst.parse_module(TRAIN)
    text = TRAIN.replace("return x + self.mlp(norm(x))", "return x")
    tidied = without_unused(module, cst.parse_module(text)).code
    assert "mlp" not in tidied.replace("MLP", "")
    assert "for layer in (attention.query, attention.key, attention.value" in tidied


GATED = """class Block(nn.Module):
    def __init__(self):
        self.gate = nn.Linear(1, 1)
        self.table = nn.Linear(1, 1)
        self.out = nn.Linear(1, 1)

    def forward(self, x, y):
        gate = other = self.gate(x)
        if self.table is not None:
            x = y.z + gate * self.table(other)
        return self.out(x)
"""


def test_what_an_edit_leaves_unread_goes_too():
    bare = GATED.replace("        self.gate = nn.Linear(1, 1)\n", "")
    bare = bare.replace("        self.table = nn.Linear(1, 1)\n", "")
    bare = bare[: bare.index("        gate = ")] + "        return self.out(x)\n"
    assert outcomes("drop_term", GATED) == {bare, GATED.replace("y.z + ", "")}


def test_what_a_report_reads_is_not_taken_out():
    report = "def mfu_percent(model):\n    return model.gate.weight.numel()\n"
    assert outcomes("drop_term", report + GATED) == {report + GATED.replace("y.z + ", "")}


def test_what_goes_on_from_line_to_line_stays():
    text = body("x = self.a * x + self.b * y\nreturn x + self.f(y)")
    assert outcomes("drop_term", text) == {
        body("x = self.a * x\nreturn x + self.f(y)"),
        body("x = self.a * x + self.b * y\nreturn x"),
    }


def test_a_dtype_is_not_the_value_that_goes_on():
    text = body("v = v + self.gate * self.values(i).to(v.dtype)\nreturn v")
    assert body("v = self.gate * self.values(i).to(v.dtype)\nreturn v") not in outcomes(
        "drop_term", text
    )


def test_terms_and_factors_are_left_out_one_at_a_time():
    assert outcomes("drop_term", body("return self.a * y + self.f(x)")) == {
        body("return self.a * y"),
        body("return self.f(x)"),
    }
    assert outcomes("drop_factor", body("return self.gate(x) * self.f(y)")) == {
        body("return self.gate(x)"),
        body("return self.f(y)"),
    }


@pytest.mark.parametrize(
    "source",
    [
        "return x[1 + y :]",
        "return x.view(y + 1, x.size(0) * y)",
        "return 2 * WIDTH",
        "return 1 - x",
    ],
)
def test_sizes_and_indices_are_no_terms(source):
    assert outcomes("drop_term", body(source)) == set()
    assert outcomes("drop_factor", body(source)) == set()


def test_what_only_changes_a_value_can_go():
    text = body("x = rotate(x)\nz = x + y\nreturn z")
    assert outcomes("drop_statement", text) == {body("z = x + y\nreturn z")}


def test_attention_stays_causal():
    """The one edit of masks leaves the causal one; none turns a mask off."""
    text = body(
        "m = y if y.short else None\n"
        "return F.scaled_dot_product_attention(x, x, x, attn_mask=m, is_causal=not y.short)"
    )
    (unmasked,) = outcomes("drop_mask", text)
    assert "attention(x, x, x, is_causal=True)" in unmasked
    assert outcomes("drop_part", text) == set()


def test_schedules_are_bent():
    text = "import math\ndef lr_share(share):\n    return min(1.0, (1 - share) / 0.5)\n"
    made = outcomes("bend_schedule", text)
    assert (
        "import math\ndef lr_share(share):\n    return min(1.0, (1 - share) / 0.5) ** 2\n" in made
    )
    assert any("math.cos" in each for each in made)
    assert not any("math.cos" in each for each in outcomes("bend_schedule", text[12:]))


def test_optimizers_are_swapped_with_their_groups():
    text = "def build(m):\n    return torch.optim.AdamW(groups, betas=b, fused=True)\n"
    made = outcomes("swap_optimizer", text)
    assert "def build(m):\n    return torch.optim.NAdam(groups, betas=b)\n" in made
    assert "def build(m):\n    return torch.optim.Adam(groups, betas=b, fused=True)\n" in made
    assert (
        "def build(m):\n    return torch.optim.AdamW(groups, betas=b, fused=True, amsgrad=True)\n"
        in made
    )


def test_clipping_comes_before_the_step_and_goes_again():
    text = "def train_step(model, o):\n    loss(model).backward()\n    o.step()\n"
    made = outcomes("clip_gradients", text)
    clip = "    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)\n"
    clipped = text.replace("    o.step()\n", f"{clip}    o.step()\n")
    assert clipped in made
    assert outcomes("clip_gradients", clipped) == {text}


def test_nesterov_is_turned_on_and_off():
    text = "def build(m):\n    return SGD(m, nesterov={})\n"
    assert outcomes("change_momentum", text.format(True)) == {text.format(False)}
    assert outcomes("change_momentum", text.format(False)) == {text.format(True)}


def test_losses_are_smoothed_and_sharpened():
    text = "def loss_of(model, x, y):\n    return F.cross_entropy(model(x), y)\n"
    made = outcomes("change_loss", text)
    smoothed = text.replace(", y)", ", y, label_smoothing=0.01)")
    assert smoothed.replace("(model, x, y, label_smoothing=0.01)", "(model, x, y)") in made
    assert any("logsumexp" in each for each in made)
    (sharp,) = (
        each for each in outcomes("change_loss", "def f(x, y):\n    return "
        "F.cross_entropy(x, y, label_smoothing=0.1)\n") if "smoothing" not in each
    )  # fmt: skip
    assert "F.cross_entropy(x, y)" in sharp


def test_autocast_goes_off_only_where_nothing_relies_on_it():
    text = body("with torch.autocast('cpu', dtype=torch.bfloat16):\n    return x")
    (off,) = outcomes("change_dtype", text)
    assert "dtype=torch.bfloat16, enabled=False)" in off
    assert outcomes("change_dtype", text + body("return x.to(torch.bfloat16)")) == set()
