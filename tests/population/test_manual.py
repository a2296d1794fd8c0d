import dataclasses
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from population import Contract, Direction, Manual, ManualError, ManualLimits, NamedBudget

SHIPPED = (Path(__file__).parents[2] / "program.md").read_text(encoding="utf-8")
KEYS = list(Manual().rules())


def refused(front, source="program.md"):
    with pytest.raises(ManualError) as caught:
        Manual.parse(f"---\n{front}\n---\n", source)
    return str(caught.value)


def test_the_shipped_manual_says_the_defaults():
    manual = Manual.parse(SHIPPED)
    plain = dataclasses.replace(Manual(), metric="val_bpb", direction=Direction.MINIMIZE)
    plain = dataclasses.replace(plain, imports=Contract().allowed_imports)
    assert manual.rules() == plain.rules()
    assert manual.prose.lstrip().startswith("# Manual")
    assert "metric:" not in manual.prose


def test_every_key_is_read():
    manual = Manual.parse(
        """---
metric: accuracy
direction: maximize
budget: 5 min
frozen: [DEPTH, Block.forward, "data/*.py"]
imports: [torch, numpy]
limits: {parameters_millions: 2, memory_mb: 1500.5}
simplicity_weight: 0
operators: [knob]
---
Be brave.
"""
    )
    assert manual.metric == "accuracy"
    assert manual.direction is Direction.MAXIMIZE
    assert manual.budget == NamedBudget(300.0, "s")
    assert manual.frozen == ("DEPTH", "Block.forward", "data/*.py")
    assert manual.contract(Contract()).imports == ("torch", "numpy")
    assert manual.limits == ManualLimits(2.0, 1500.5)
    assert manual.simplicity_weight == 0
    assert manual.operators == ("knob",)
    assert manual.prose == "Be brave.\n"
    assert manual.line_of("limits") == 7


@pytest.mark.parametrize(
    ("written", "amount", "unit"),
    [("9 s", 9, "s"), ("1.5h", 5400, "s"), ("200_000 tokens", 200_000, "tokens")],
)
def test_a_budget_is_an_amount_with_its_unit(written, amount, unit):
    assert Manual.parse(f"---\nbudget: {written}\n---\n").budget == NamedBudget(amount, unit)


def test_windows_line_ends_and_a_byte_order_mark_are_text_like_any():
    manual = Manual.parse("\ufeff---\r\nfrozen: [DEPTH]\r\n---\r\nGo.\r\n")
    assert (manual.frozen, manual.prose) == (("DEPTH",), "Go.\n")


def test_the_hash_is_that_of_the_text_and_moves_with_every_byte():
    assert Manual.parse(SHIPPED).hash == Manual.parse(SHIPPED).hash
    assert Manual.parse(SHIPPED).hash != Manual.parse(SHIPPED + " ").hash


@pytest.mark.parametrize(
    ("front", "line", "words"),
    [
        ("import: [torch]", 2, "Did you mean 'imports'?"),
        ("metric: val_bpb\nlimits:\n  memory: 3", 4, "Did you mean 'memory_mb'?"),
        ("metric: val_bpb\nmetric: val_bpb", 3, "a second time"),
        ("direction: down", 2, "minimize or maximize"),
        ("budget: 9", 2, '"9 s"'),
        ("budget: 0 s", 2, '"9 s"'),
        ("frozen: DEPTH", 2, "a list of names"),
        ("imports: [../x]", 2, "a list of modules"),
        ("operators: []", 2, "At least one operator"),
        ("simplicity_weight: .nan", 2, "from 0 to 10"),
        ("simplicity_weight: true", 2, "from 0 to 10"),
        ("limits:\n  parameters_millions: 0", 3, "above 0"),
        ("limits: 3", 2, "parameters_millions, memory_mb"),
        ("frozen: [A", 3, "broken"),
        ("- 1", 1, "key: value"),
        ("frozen: &a [A]", 2, "anchor"),
        ("frozen: !!python/object:os.system [A]", 2, "tag"),
        ("frozen: [[[[[A]]]]]", 2, "nested"),
        ("metric: 2001-99-99", 2, "cannot be read"),
    ],
)
def test_a_mistake_is_told_with_its_line_what_is_needed_and_what_to_do(front, line, words):
    message = refused(front, "runs/night/program.md")
    assert message.startswith(f"runs/night/program.md, line {line}: ")
    assert words in message
    assert message.endswith("Mend the line and save the file.")


def test_a_manual_without_rules_is_told_how_to_begin():
    with pytest.raises(ManualError, match="begins with a line `---`"):
        Manual.parse("# Just prose\n")


@pytest.mark.parametrize(
    "text",
    [
        "x" * 200_001,
        f"---\n# {'x' * 17_000}\n---\n",
        f"---\nfrozen: {'[' * 8000}\n---\n",
        "---\n" + "a" * 20 + ": &a [" + "*a, " * 50 + "]\n---\n",
        "---\nsimplicity_weight: " + "9" * 5000 + "\n---\n",
    ],
)
def test_a_bomb_is_an_ordinary_mistake(text):
    with pytest.raises(ManualError):
        Manual.parse(text)


def total(text):
    try:
        manual, message = Manual.parse(text), ""
    except ManualError as error:
        manual, message = None, str(error)
    assert ", line " in message if manual is None else manual.text == text


@given(st.text())
@example("---\n---")
@example("---\n\x00\n---\n")
@example("---\n<<: {}\n---\n")
@example("---\n? [a]\n: 1\n---\n")
@example("---\nlimits: {<<: 1}\n---\n")
def test_any_text_is_a_manual_or_a_mistake(text):
    total(text)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*KEYS, "x", "<<", "?", "limits:\n  memory_mb"]),
            st.one_of(
                st.text(alphabet="[]{}&*!|>'\"%@`-:,?#~=._0b9xe+ \t\n\u2028\ud800aé", max_size=30),
                st.sampled_from(["0b", "._", "!!bool x", "2024-13-01", "1:60", "<<", "=", "~"]),
            ),
        ),
        max_size=5,
    )
)
@settings(max_examples=300)
def test_any_front_matter_is_a_manual_or_a_mistake(entries):
    total("---\n" + "\n".join(f"{key}: {value}" for key, value in entries) + "\n---\n")


names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True)


@given(
    st.builds(
        Manual,
        metric=st.none() | names.filter(lambda name: name == yaml.safe_load(name)),
        direction=st.none() | st.sampled_from(Direction),
        budget=st.none()
        | st.builds(
            NamedBudget, st.integers(1, 10**9).map(float), st.sampled_from(["s", "tokens"])
        ),
        frozen=st.lists(names, unique=True).map(tuple),
        imports=st.lists(names, unique=True).map(tuple),
        limits=st.builds(
            ManualLimits,
            st.none() | st.floats(1e-3, 1e9),
            st.none() | st.floats(1e-3, 1e9),
        ),
        simplicity_weight=st.floats(0, 10),
        operators=st.none() | st.lists(names, min_size=1, unique=True).map(tuple),
    )
)
def test_rules_written_as_yaml_are_read_back_the_same(manual):
    text = f"---\n{yaml.safe_dump(manual.rules(), sort_keys=False)}---\n"
    assert Manual.parse(text).rules() == manual.rules()
