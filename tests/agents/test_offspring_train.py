"""What the built-in operators propose is trained for a few steps, in processes of its own."""

import libcst
import pytest
from numpy.random import default_rng

from agents import KnobEdit, Proposal, StructureEdit
from agents.structure import EDITS, Edited, learned
from population import canonical_hash, read_summary, set_knobs
from tests.agents.parents import a_context
from tests.agents.plain_genome import PLAIN

TEN_STEPS = {"kind": "tokens", "amount": 10 * 16 * 64}
FEW_STEPS = {"kind": "tokens", "amount": 4 * 16 * 64}

# Once trained: what comes later in a row must not be seen earlier, whatever the weights.
CAUSALITY = """
if __name__ == "__main__":
    model = build_model().eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.1)
        one = torch.randint(0, VOCAB_SIZE, (2, 64))
        other = one.clone()
        other[:, 40:] = torch.randint(0, VOCAB_SIZE, (2, 24))
        gap = (model(one)[:, :40].float() - model(other)[:, :40].float()).abs().max().item()
    print("causal" if gap < 1e-3 else f"LEAK {gap}")
"""


def proposals(operator, text, count, rng_seed=0):
    rng = default_rng(rng_seed)
    seen = set()
    for _ in range(count):
        proposal = operator.propose(a_context(text, seen=frozenset(seen), rng=rng))
        if isinstance(proposal, Proposal):
            seen.add(canonical_hash(proposal.genome))
            yield proposal


def trained(start_trainer, text, budget=TEN_STEPS):
    """Whether some steps end in a score, and the last line of what went wrong."""
    code, out, err = start_trainer(text + CAUSALITY, budget=budget).end()
    assert "LEAK" not in out, out
    is_scored = code == 0 and read_summary(out.replace("causal\n", "")) is not None
    return is_scored, err.strip().splitlines()[-1:]


@pytest.mark.parametrize("operator", [KnobEdit(), StructureEdit()], ids=lambda o: o.name)
def test_a_proposal_trains(operator, start_trainer, tiny_genome):
    (proposal,) = proposals(operator, tiny_genome, 1)
    is_scored, error = trained(start_trainer, proposal.genome.main)
    assert is_scored, (proposal.hypothesis, error)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("operator", [KnobEdit(), StructureEdit()], ids=lambda o: o.name)
def test_of_many_proposals_at_least_85_percent_train_and_none_sees_the_future(
    operator, start_trainer, tiny_genome
):
    text = set_knobs(tiny_genome, {"DEPTH": 2, "HEAD_DIM": 32})  # short windows, two heads
    made = list(proposals(operator, text, 60, rng_seed=1))
    results = {p.hypothesis: trained(start_trainer, p.genome.main) for p in made}
    crashes = {what: error for what, (is_scored, error) in results.items() if not is_scored}
    print(f"{operator.name}: {len(crashes)} of {len(results)} crashed", crashes)  # noqa: T201
    assert len(crashes) <= 0.15 * len(results), crashes


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_change_of_every_edit_trains(start_trainer, tiny_genome):
    """Once each: some may diverge in time, none may be wrong code."""
    text = set_knobs(tiny_genome, {"HEAD_DIM": 32, "GATE_CHANNELS": 16})
    module = libcst.parse_module(text)
    results = {}
    for edit in EDITS:
        for edited in edit.every(module, default_rng(0)):
            if not isinstance(edited, Edited):
                continue
            what = f"{edit.name}: {edited.what}"
            results[what] = trained(start_trainer, edited.text, FEW_STEPS)
    crashes = {what: error for what, (is_scored, error) in results.items() if not is_scored}
    assert len(results) > 80
    assert not crashes


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_change_of_every_edit_trains_in_plain_pytorch(start_trainer):
    module = libcst.parse_module(PLAIN)
    results = {}
    for edit in EDITS:
        for edited in edit.every(module, default_rng(0)):
            if isinstance(edited, Edited):
                what = f"{edit.name}: {edited.what}"
                text = edited.text.replace("import prepare\n", PLAIN_NAMES)
                results[what] = trained(start_trainer, text, FEW_STEPS)
    crashes = {what: error for what, (is_scored, error) in results.items() if not is_scored}
    assert len(results) > 80
    assert not crashes


# What the check of causality calls by name.
PLAIN_NAMES = "import prepare\nfrom prepare import VOCAB_SIZE\n"

# After training: has what an edit added been moved from where it started?
MOVED = """
if __name__ == "__main__":
    model, batches = build_model(), prepare.make_dataloader(16, 64)
    made = {OPTIMIZERS}(model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for _ in range(3):
        STEP
    still = [n for n, p in model.named_parameters() if torch.equal(p, before[n])]
    print("still:", still)
"""


@pytest.mark.slow
@pytest.mark.parametrize("edit", learned.EDITS, ids=lambda e: e.name)
@pytest.mark.parametrize("genome", ["baseline", "plain"])
def test_what_an_edit_adds_to_learn_is_learned(edit, genome, start_trainer, tiny_genome):
    is_plain = genome == "plain"
    text = PLAIN if is_plain else set_knobs(tiny_genome, {"HEAD_DIM": 32})
    step = "train_step(model, *made, batches)" if is_plain else "train_step(model, made, batches)"
    maker = "build_optimizer" if is_plain else "build_optimizers"
    check = MOVED.replace("{OPTIMIZERS}", maker).replace("STEP", step)
    changes = list(edit.every(libcst.parse_module(text), default_rng(0)))
    assert changes or (is_plain and edit.name == "gain_norm")
    for edited in changes:
        assert isinstance(edited, Edited)
        code, out, err = start_trainer(edited.text + check, budget=FEW_STEPS).end()
        assert code == 0, err
        (line,) = [x for x in out.splitlines() if x.startswith("still:")]
        assert not any(word in line for word in ("gain", "past", "sharpness")), line
