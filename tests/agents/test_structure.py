import functools
import re
from collections import Counter
from dataclasses import replace

import libcst as cst
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from agents.structure import EDITS, Edited, Kind, Unedited, apply_edit, draw_shares, undone
from agents.structure.edit import places
from agents.structure.syntax import called, code, nodes
from agents.structure.tidy import without_unused
from evolution.templates import seed_paths
from population import Genome, canonical_hash, contract_problems, knobs
from tests.agents.parents import TRAIN
from tests.agents.plain_genome import PLAIN

BY_NAME = {edit.name: edit for edit in EDITS}


def outcomes(name, text, count=24):
    """All texts that an edit makes of ``text``, over many draws."""
    made = [apply_edit(BY_NAME[name], text, default_rng(seed)) for seed in range(count)]
    return {edited.text for edited in made if isinstance(edited, Edited)}


def body(source):
    """A module whose forward pass holds ``source``."""
    lines = "\n".join(f"        {line}" for line in source.splitlines())
    return f"class Block(nn.Module):\n    def forward(self, x, y):\n{lines}\n"


SEEDS = {path.stem: path.read_text(encoding="utf-8") for path in seed_paths()}
GENOMES = {"baseline": TRAIN, "plain": PLAIN}


def test_there_are_many_edits_of_every_kind_each_with_a_name_and_a_reason():
    assert len(BY_NAME) == len(EDITS) >= 48
    for edit in EDITS:
        assert re.fullmatch(r"[a-z_]+", edit.name)
        assert edit.hypothesis
        assert "\n" not in edit.hypothesis
        assert edit.weight > 0
    counts = Counter(edit.kind for edit in EDITS)
    assert set(counts) == set(Kind)
    assert min(counts.values()) >= 3


def test_each_kind_is_drawn_as_often_as_any_other():
    shares = Counter()
    for edit, share in zip(EDITS, draw_shares(), strict=True):
        shares[edit.kind] += share
    assert all(share == pytest.approx(1 / len(Kind)) for share in shares.values())


def check(edit, text, edited):
    """What every edit owes: a new genome, a line about it and a way back, or a reason."""
    if isinstance(edited, Unedited):
        assert edited.reason
        return
    genome = Genome.single(edited.text)
    assert contract_problems(genome) == []
    assert canonical_hash(genome) != canonical_hash(Genome.single(text))
    assert edited.what
    assert "\n" not in edited.what
    lost = set(text.splitlines()) - set(edited.text.splitlines())
    assert len(lost) <= 16, f"{edit.name} rewrote lines that it had no business with"
    assert edited.before == text
    assert undone(edited, edited.text) == text


@pytest.mark.parametrize("edit", EDITS, ids=lambda e: e.name)
def test_an_edit_makes_a_new_genome_and_can_be_undone(edit):
    """On plain PyTorch, which is short; on the baseline, where there is no place for it there."""
    text = PLAIN if edit.name not in idle_on(PLAIN) else TRAIN
    edited = apply_edit(edit, text, default_rng(0))
    check(edit, text, edited)
    assert isinstance(edited, Edited) or edit.name == "drop_option", edited.reason


@settings(max_examples=6)
@given(
    edit=st.sampled_from(EDITS),
    text=st.sampled_from([*GENOMES.values(), *SEEDS.values()]),
    seed=st.integers(0, 2**32),
)
def test_on_any_genome_wherever_chance_makes_it(edit, text, seed):
    edited = apply_edit(edit, text, default_rng(seed))
    check(edit, text, edited)
    assert apply_edit(edit, text, default_rng(seed)) == edited


@pytest.mark.slow
@pytest.mark.parametrize("text", [TRAIN, *SEEDS.values()], ids=["baseline", *SEEDS])
@pytest.mark.parametrize("edit", EDITS, ids=lambda e: e.name)
def test_on_the_baseline_and_every_seed(edit, text):
    check(edit, text, apply_edit(edit, text, default_rng(0)))


@functools.cache
def idle_on(text):
    """Names of the edits that find no place in a genome."""
    module = cst.parse_module(text)
    return {edit.name for edit in EDITS if not list(edit.find(module, default_rng(0)))}


def test_most_edits_work_on_the_baseline():
    assert idle_on(TRAIN) <= {"swap_optimizer", "drop_option", "drop_bias"}


def test_most_edits_find_places_in_plain_pytorch_too():
    assert len(EDITS) - len(idle_on(PLAIN)) >= 40


@pytest.mark.parametrize("text", GENOMES.values(), ids=GENOMES)
def test_no_change_asks_for_two_things_at_one_node(text):
    module = cst.parse_module(text)
    for edit in EDITS:
        for change in edit.find(module, default_rng(0)):
            ids = [id(old) for old, _ in change.replaced]
            assert len(ids) == len(set(ids)), (edit.name, change.what)


# --- taking an edit back -------------------------------------------------------------------------


@settings(max_examples=6)
@given(first=st.sampled_from(EDITS), then=st.sampled_from(EDITS), seed=st.integers(0, 2**32))
def test_an_edit_goes_out_of_a_later_genome_or_says_what_stands_in_the_way(first, then, seed):
    rng = default_rng(seed)
    edited = apply_edit(first, PLAIN, rng)
    if isinstance(edited, Unedited):
        return
    later = apply_edit(then, edited.text, rng)
    found = undone(edited, later.text if isinstance(later, Edited) else edited.text)
    assert isinstance(found, str) or found.reason
    if isinstance(later, Unedited):
        assert found == PLAIN


def test_later_lines_stay_when_an_edit_goes():
    edited = apply_edit(BY_NAME["scale_attention"], PLAIN, default_rng(1))
    later = edited.text.replace("WARMUP = 0.1", "WARMUP = 0.2")
    assert undone(edited, later) == PLAIN.replace("WARMUP = 0.1", "WARMUP = 0.2")


def test_an_edit_whose_lines_were_changed_since_stays():
    edited = apply_edit(BY_NAME["scale_attention"], PLAIN, default_rng(1))
    later = edited.text.replace("att * ", "7 * att * ")
    assert later != edited.text
    assert "were changed since, in 1 place" in undone(edited, later).reason


def test_an_edit_that_is_gone_cannot_go_again():
    edited = apply_edit(BY_NAME["scale_attention"], PLAIN, default_rng(1))
    assert "nothing of" in undone(edited, PLAIN).reason


# --- any text ------------------------------------------------------------------------------------


@pytest.mark.parametrize("edit", EDITS, ids=lambda e: e.name)
@pytest.mark.parametrize("text", ["", "not python (", "x = 1\n", "(" * 300, "class A: pass\n"])
def test_any_text_is_edited_or_left(edit, text):
    assert isinstance(apply_edit(edit, text, default_rng(0)), Unedited)


@settings(max_examples=2)
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


# --- the ways of attention in one function -------------------------------------------------------


def ways_of(text):
    """By function, each attention call: its heads without casts, other options, kind of mask."""
    found = {}
    for owner in cst.parse_module(text).body:
        for node in nodes(owner):
            if isinstance(node, cst.FunctionDef):
                calls = [n for n in nodes(node) if isinstance(n, cst.Call)]
                kernels = [c for c in calls if re.search(r"(product|flex)_attention$", called(c))]
                if kernels:
                    found[f"{owner.name.value}.{node.name.value}"] = [told(c) for c in kernels]
    return found


def told(call):
    given = {a.keyword.value if a.keyword else "heads": [] for a in call.args}
    for each in call.args:
        text = re.sub(r"\.to\(\w+\.dtype\)|[() ]", "", code(each.value))
        given[each.keyword.value if each.keyword else "heads"].append(text)
    mask = tuple(sorted(n for n in given if n in ("attn_mask", "block_mask", "is_causal")))
    return {n: x for n, x in given.items() if n not in mask}, mask


@pytest.mark.parametrize("edit", EDITS, ids=lambda e: e.name)
def test_attention_is_changed_in_every_way_it_is_computed_or_in_none(edit):
    """A compiled baseline trains through FlexAttention and is scored through masks."""
    ((name, before),) = ways_of(TRAIN).items()
    assert [mask for _, mask in before] == [("is_causal",), ("attn_mask",), ("block_mask",)]
    module = cst.parse_module(TRAIN)
    (forward,) = (
        place.node
        for place in places(module)
        if isinstance(place.node, cst.FunctionDef)
        and f"{place.where}.{place.node.name.value}" == name
    )
    inside = {id(node) for node in nodes(forward)}
    touching = [
        change
        for change in edit.find(module, default_rng(0))
        if any(id(old) in inside for old, _ in change.replaced)
    ]
    for edited in replace(edit, find=lambda *_: touching).every(module, default_rng(0)):
        if isinstance(edited, Edited):
            after = ways_of(edited.text)[name]
            assert len({repr(given) for given, _ in after}) == 1, edited.what
            masks = [mask for _, mask in after]
            assert masks in ([mask for _, mask in before], [("is_causal",)] * 3), edited.what


def changed_lines(name, text):
    """Lines that the first change of an edit puts in."""
    (first, *_) = BY_NAME[name].every(cst.parse_module(text), default_rng(0))
    return sorted(line.strip() for line in set(first.text.splitlines()) - set(text.splitlines()))


def test_attention_is_scaled_before_a_cast_and_in_each_branch():
    lines = changed_lines("learn_temperature", TRAIN)
    assert "self.sharpness = torch.nn.Parameter(torch.ones(1, 1))" in lines
    assert sum("q * self.sharpness.to(q.dtype)" in line for line in lines) == 3
    assert any("flex_attention((q * self.sharpness.to(q.dtype)).to(v.dtype), k" in x for x in lines)


def test_no_mask_is_no_flex_attention():
    (made,) = BY_NAME["drop_mask"].every(cst.parse_module(TRAIN), default_rng(0))
    assert "attention(q.to(v.dtype), k.to(v.dtype), v, is_causal=True)" in made.text
    assert "flex_attention(q" not in made.text


def test_a_softmax_beside_a_kernel_is_scaled_with_it():
    text = body(
        "if self.flash:\n    return F.scaled_dot_product_attention(x, y, y, attn_mask=m)\n"
        "return (x @ y).masked_fill(m, 0).softmax(-1) @ y"
    )
    for scaled in outcomes("scale_attention", text, 4):
        (factor,) = re.findall(r"attention\(x \* ([\d.]+), y", scaled)
        assert f"((x @ y).masked_fill(m, 0) * {factor}).softmax(-1)" in scaled
    assert outcomes("drop_mask", text) == set()


def test_dropout_of_attention_is_in_every_way_or_in_none():
    two = (
        "if self.short:\n    return F.scaled_dot_product_attention(x, y, y, attn_mask=m)\n"
        "return F.scaled_dot_product_attention(x, y, y, is_causal=True)"
    )
    for made in outcomes("add_dropout", body(two), 4):
        assert made.count("dropout_p=") == 2
    assert outcomes("add_dropout", body(two.replace("F.scaled_dot_product", "flex", 1))) == set()


def test_a_window_is_changed_where_it_is_computed():
    (line,) = changed_lines("scale_window", TRAIN)
    assert re.fullmatch(
        r"short = max\(1, int\(max\(1, int\(SHORT_WINDOW \* MAX_SEQ_LEN\)\) \* [\d.]+\)\)", line
    )


MASKS = """class A(nn.Module):
    def __init__(self, size):
        self.window = size

    def mask(self, window):
        self.m = (age >= 0) & (age < window)
        if IS_COMPILED:
            self.b = make(lambda q, k: (q >= k) & (q - k < window))
"""


def test_a_window_is_changed_for_every_device():
    for made in outcomes("scale_window", MASKS, 4):
        (factor,) = set(re.findall(r"< max\(1, int\(window \* ([\d.]+)\)\)", made))
        assert made.count(f"< max(1, int(window * {factor}))") == 2


@pytest.mark.parametrize(
    "more",
    [
        "        self.c = flash(window_size=window)\n",
        "    def run(self):\n        self.mask(self.window)\n",
        "    def run(self):\n        self.mask(3)\n        self.mask(4)\n",
    ],
)
def test_a_window_with_uses_that_would_not_follow_stays(more):
    assert outcomes("scale_window", MASKS + more, 2) == set()


def test_a_new_parameter_needs_no_name_but_torch():
    for name in ("gate_branch", "gain_norm", "learn_temperature", "mix_previous"):
        for made in outcomes(name, PLAIN, 2):
            assert "= torch.nn.Parameter(" in made


STACKS = """class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.ModuleList(Block() for _ in range(2))
        self.blocks = nn.ModuleList(Block() for _ in range(4))
        for each in self.blocks:
            nn.init.normal_(each.up.weight, std=0.02)

class Block(nn.Module):
    pass
"""


def test_the_depth_of_a_stack_is_that_of_its_own_name():
    (made,) = outcomes("deep_start", STACKS, 2)
    assert "std=0.02 * len(self.blocks) ** -0.5" in made


def test_a_cosine_needs_the_module_math_itself():
    text = (
        "from torch.backends.cuda import enable_math_sdp\n\n\ndef lr_share(share):\n    return 1\n"
    )
    assert outcomes("swing_schedule", text) == set()
    assert outcomes("swing_schedule", f"import math\n{text}") != set()


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
    undone_or_moved = outcomes("clip_gradients", clipped)
    assert text in undone_or_moved
    assert clipped.replace("0.5)", "1)") in undone_or_moved


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


def test_keys_and_values_are_shared_by_groups_of_heads():
    (shared,) = outcomes("share_heads", PLAIN, 1)
    assert "self.k_proj = nn.Linear(width, width // 2)\n" in shared
    assert "torch.cat([self.v_proj(x)] * 2, dim=-1).view(b, t, self.heads" in shared
    assert outcomes("share_heads", shared, 1) == set()


def test_windows_change_and_stay_causal():
    text = "class A:\n    def mask(self, window):\n        return (age >= 0) & (age < window)\n"
    for made in outcomes("scale_window", text):
        assert re.search(r"\(age >= 0\) & \(age < max\(1, int\(window \* [\d.]+\)\)\)", made)
    assert outcomes("scale_window", text.replace("window)", "rows)")) == set()


def test_a_trade_of_depth_keeps_parameters_and_whole_heads():
    text = "DEPTH = 4\nWIDTH = 256\nHEAD_DIM = 64\n"
    made = [knobs(each) for each in outcomes("trade_depth", text, 60)]
    assert {each["DEPTH"] for each in made} == {2, 3, 5, 8}
    for each in made:
        assert each["WIDTH"] % each["HEAD_DIM"] == 0
        assert each["HEAD_DIM"] % 2 == 0
        assert 0.6 < each["DEPTH"] * each["WIDTH"] ** 2 / (4 * 256**2) < 1.3


def test_half_a_batch_takes_its_rates_along():
    text = "BATCH_SIZE = 16\nMATRIX_LR = 0.04\nFINAL_LR = 0.1\n"
    made = outcomes("trade_batch_rates", text, 80)
    assert text.replace("16", "8").replace("0.04", "0.0283") in made
    assert all("FINAL_LR = 0.1\n" in each for each in made)


def test_a_growing_batch_takes_the_mean_over_what_it_takes_in():
    for grown in outcomes("grow_batch", PLAIN, 4):
        assert re.search(
            r"passes = ACCUM_STEPS \* \(1 if prepare.progress\(\) < 0\.\d+ else 2\)", grown
        )
        assert "for _ in range(passes):" in grown
        assert "y.reshape(-1)) / passes\n" in grown


def test_a_gain_is_put_where_the_optimizer_finds_it():
    made = outcomes("gate_branch", PLAIN)
    assert any("self.attn_gain.to(x.dtype) * self.attn(self.ln_1(x))" in each for each in made)
    elsewhere = PLAIN.replace("model.parameters()", "model.wte.parameters()")
    assert outcomes("gate_branch", elsewhere) == set()


def test_dropout_is_for_training_alone():
    made = outcomes("add_dropout", PLAIN)
    assert made
    assert all(each.count("self.training)") == 1 for each in made)
