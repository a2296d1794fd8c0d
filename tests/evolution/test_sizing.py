"""Which profile suits a machine: a table of machines, and what holds for every one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution.config import EvolutionConfig
from evolution.doctor.choosing import ChoosingError, choose_here, published
from evolution.doctor.torch_probe import TorchProbe
from evolution.profiles import load_profile
from evolution.sizing import Gpu, Machine, Shape, choose, parameter_count, training_mb, with_note
from evolution.sizing.choice import room_mb, scaled
from evolution.templates import template_path
from population import Genome, canonical_hash, knobs, set_knobs
from population.genome import contract_problems

SHIPPED = template_path("train.py").read_text(encoding="utf-8")
PUBLISHED = published()
#: As torch tells them, in MiB: a little less than the box says.
H100 = Gpu("NVIDIA H100 80GB HBM3", 81_000, (9, 0), has_bf16=True)
A100 = Gpu("NVIDIA A100-SXM4-40GB", 40_300, (8, 0), has_bf16=True)
RTX4090 = Gpu("NVIDIA GeForce RTX 4090", 24_200, (8, 9), has_bf16=True)
RTX3060 = Gpu("NVIDIA GeForce RTX 3060", 12_000, (8, 6), has_bf16=True)
RTX4060 = Gpu("NVIDIA GeForce RTX 4060", 7_800, (8, 9), has_bf16=True)
T4 = Gpu("Tesla T4", 14_900, (7, 5), has_bf16=False)
P100 = Gpu("Tesla P100", 16_000, (6, 0), has_bf16=False)
GT1030 = Gpu("NVIDIA GeForce GT", 2_000, (8, 6), has_bf16=True)


def machine(**changes) -> Machine:
    facts = {"core_count": 4, "memory_mb": 16_000.0, "core_rate": 1.0, **changes}
    return Machine(**facts)


@pytest.mark.parametrize(
    ("found", "profile", "workers", "changed"),
    [
        (machine(core_count=2, memory_mb=6_000), "cpu", 2, {}),
        (machine(core_count=16, memory_mb=64_000, core_rate=2.0), "cpu", 15, {}),
        (machine(core_count=16, memory_mb=3_000), "cpu", 4, {}),
        (machine(core_count=1, memory_mb=100), "cpu", 1, {}),
        (machine(has_mps=True), "cpu", 4, {}),
        (machine(gpus=(P100,)), "cpu", 4, {}),
        (machine(gpus=(GT1030,)), "cpu", 4, {}),
        (machine(gpus=(H100,)), "gpu", 1, {}),
        (machine(gpus=(H100,) * 8), "gpu", 8, {}),
        (machine(gpus=(A100,)), "gpu", 1, {"BATCH_SIZE": 64, "GRAD_ACCUM": 4}),
        (
            machine(gpus=(RTX4090,)),
            "gpu",
            1,
            {"DEPTH": 6, "WIDTH": 384, "BATCH_SIZE": 32, "GRAD_ACCUM": 8},
        ),
        (
            machine(gpus=(RTX3060,)),
            "gpu",
            1,
            {"DEPTH": 4, "WIDTH": 256, "BATCH_SIZE": 32, "GRAD_ACCUM": 8},
        ),
        (
            machine(gpus=(RTX4060,)),
            "gpu",
            1,
            {"DEPTH": 4, "WIDTH": 256, "BATCH_SIZE": 16, "GRAD_ACCUM": 16},
        ),
    ],
)
def test_each_machine_gets_its_profile(found, profile, workers, changed):
    choice = choose(found, PUBLISHED)
    assert (choice.profile, choice.workers) == (profile, workers)
    assert dict(choice.knobs) == changed


def test_a_slow_core_gets_more_time_and_a_fast_one_the_profiles_own():
    assert choose(machine(core_rate=0.5), PUBLISHED).budget == 2 * PUBLISHED.cpu_seconds
    assert choose(machine(core_rate=0.01), PUBLISHED).budget == 4 * PUBLISHED.cpu_seconds
    assert choose(machine(core_rate=3.0), PUBLISHED).budget == 0
    assert choose(machine(core_rate=None), PUBLISHED).budget == 0


def test_unlike_gpus_get_the_sizes_of_the_smallest_and_a_word_about_it():
    choice = choose(machine(gpus=(H100, RTX4090)), PUBLISHED)
    assert dict(choice.knobs) == dict(choose(machine(gpus=(RTX4090,)), PUBLISHED).knobs)
    assert any("CUDA_VISIBLE_DEVICES" in reason for reason in choice.reasons)


def test_a_gpu_without_bfloat16_trains_few_layers_and_is_told_why():
    choice = choose(machine(gpus=(T4,)), PUBLISHED)
    assert choice.knobs["DEPTH"] == 4
    assert any("bfloat16" in reason for reason in choice.reasons)


def test_a_model_fits_at_the_deepest_verdict_of_the_settings():
    home = choose(machine(gpus=(RTX4090,)), published((1.0,)))
    usual = choose(machine(gpus=(RTX4090,)), published())
    deep = choose(machine(gpus=(RTX4090,)), published((1.0, 4.0, 2.0)))
    batches = [choice.knobs["BATCH_SIZE"] for choice in (home, usual, deep)]
    assert batches == [64, 32, 16]
    assert PUBLISHED.deepest == max(EvolutionConfig.from_mapping({}).verdict.depths)
    assert any("at depth × 4" in reason for reason in deep.reasons)


def test_a_choice_takes_the_place_of_every_setting_of_an_earlier_one():
    stale = {
        "run": {"profile": "gpu", "budget": 60.0, "knobs": {"DEPTH": 4}},
        "workers": {"count": 9},
    }
    choice = choose(machine(core_count=2), PUBLISHED)
    config = EvolutionConfig.from_mapping(stale, choice.overrides())
    assert (config.run.profile, config.run.budget, dict(config.run.knobs)) == ("cpu", 0.0, {})
    assert config.workers.count == 2


gpus = st.builds(
    Gpu,
    st.sampled_from(["A", "B"]),
    st.floats(500, 300_000),
    st.sampled_from([(6, 1), (7, 5), (8, 0), (9, 0)]),
    st.booleans(),
)
machines = st.builds(
    Machine,
    st.integers(1, 256),
    st.floats(0, 2_000_000),
    st.none() | st.floats(0.001, 20),
    st.booleans(),
    st.lists(gpus, max_size=9).map(tuple),
    st.booleans(),
)


@given(machines)
def test_every_choice_is_a_run_that_could_start(found):
    choice = choose(found, PUBLISHED)
    assert choice.workers >= 1
    settings = EvolutionConfig.from_mapping({}, choice.overrides())
    assert settings.run.profile in ("cpu", "gpu")
    assert EvolutionConfig.from_mapping(settings.model_dump(mode="json")) == settings
    sizes = load_profile(settings.run.profile, settings.run.knobs).knobs
    genome = set_knobs(SHIPPED, sizes)
    assert contract_problems(Genome.single(genome)) == []
    assert all(reason.split(":")[0].strip() for reason in choice.reasons)
    if choice.profile == "gpu":
        own = knobs(genome)
        assert own["BATCH_SIZE"] * own["GRAD_ACCUM"] == 256  # tokens a step stay 2 ** 19
        assert own["WIDTH"] % own["HEAD_DIM"] == 0
        has_bf16 = all(gpu.has_bf16 for gpu in found.gpus)
        for scale in (1.0, PUBLISHED.deepest):
            shape = Shape.of({**own, "DEPTH": scaled(own["DEPTH"], scale)}, PUBLISHED.gpu_facts)
            needed = training_mb(shape, on_gpu=True, has_bf16=has_bf16)
            assert needed <= min(room_mb(gpu) for gpu in found.gpus)


@given(gpus, st.floats(1, 200_000))
def test_more_memory_never_gives_a_smaller_model(gpu, more):
    larger = Gpu(gpu.name, gpu.memory_mb + more, gpu.capability, gpu.has_bf16)
    small, large = (choose(machine(gpus=(g,)), PUBLISHED) for g in (gpu, larger))
    rank = {"cpu": 0, "gpu": 1}
    assert rank[small.profile] <= rank[large.profile]
    if small.profile == "gpu":
        depths = [choice.knobs.get("DEPTH", 8) for choice in (small, large)]
        assert depths[0] <= depths[1]


def test_the_formula_counts_the_parameters_that_the_model_has():
    shape = Shape.of(knobs(set_knobs(SHIPPED, PUBLISHED.gpu_knobs)), PUBLISHED.gpu_facts)
    assert parameter_count(shape) == 50_331_648  # as autoresearch's baseline prints


def test_the_formula_gives_the_memory_that_autoresearch_published():
    shape = Shape.of(knobs(set_knobs(SHIPPED, PUBLISHED.gpu_knobs)), PUBLISHED.gpu_facts)
    assert training_mb(shape, on_gpu=True, has_bf16=True) == pytest.approx(45_060, rel=0.03)


def test_a_genome_with_a_note_is_the_same_genome():
    noted = with_note(SHIPPED, ["found 2 cores", "", "because: x"])
    assert "# found 2 cores\n#\n# because: x\n" in noted
    assert canonical_hash(Genome.single(noted)) == canonical_hash(Genome.single(SHIPPED))
    assert with_note("x = 1\n", ["a"]) == "x = 1\n"
    assert with_note(SHIPPED, []) == SHIPPED


def test_a_torch_that_does_not_load_is_said_and_nothing_chosen():
    with pytest.raises(ChoosingError, match="libcudart is missing"):
        choose_here(TorchProbe(error="libcudart is missing"))
