import pytest
from hypothesis import given
from hypothesis import strategies as st

from population import (
    Genome,
    Manual,
    code_size,
    frozen_knobs,
    frozen_mistake,
    rule_problems,
    set_knobs,
)
from tests.builders import GENOME_TEXT, a_genome

TEXT = GENOME_TEXT.replace(
    "def build_model():",
    '''class Block:
    """A block."""

    scale = 2

    def forward(self, x):
        return x * self.scale  # twice

    def backward(self, x):
        return x


# frozen
SEED_SHIFT = 3
# end frozen


def build_model():''',
)
BASELINE = a_genome(TEXT)


def broken(frozen, text, baseline=BASELINE):
    genome = text if isinstance(text, Genome) else baseline.with_main(text)
    problems = rule_problems(Manual(frozen=frozen), genome, baseline)
    assert all(problem.rule == "frozen" for problem in problems), problems
    return [problem.message.split(" is frozen")[0] for problem in problems]


def edited(old, new):
    assert old in TEXT
    return TEXT.replace(old, new)


def test_a_genome_that_keeps_what_is_frozen_keeps_the_rules():
    text = edited("WIDTH = 64", "WIDTH = 128")
    assert broken(("DEPTH", "Block", "build_model"), text) == []


@pytest.mark.parametrize(
    ("entry", "old", "new"),
    [
        ("DEPTH", "DEPTH = 2", "DEPTH = 3"),
        ("DEPTH", "DEPTH = 2\n", ""),
        ("DEPTH", "WIDTH = 64", "WIDTH = 64\nDEPTH = 3"),
        ("DEPTH", "WIDTH = 64", "WIDTH = 64\nif WIDTH > 2:\n    DEPTH = 3"),
        ("DEPTH", "WIDTH = 64", "WIDTH = 64\ndef f():\n    global DEPTH\n    DEPTH = 3"),
        ("build_model", "Linear(WIDTH, WIDTH)", "Linear(WIDTH, WIDTH, bias=False)"),
        ("Block", "return x\n", "return -x\n"),
        ("Block.forward", "x * self.scale", "x + self.scale"),
        ("Block.forward", "class Block:", "class Block(object):\n    forward = None\nclass Block:"),
        ("Block.forward", "\ndef build_model", "\nBlock.forward = None\ndef build_model"),
        ("Block.scale", "scale = 2", "scale = 3"),
        ("train.py", "WIDTH = 64", "WIDTH = 65"),
        ("*.py", "WIDTH = 64", "WIDTH = 65"),
    ],
)
def test_a_change_of_what_is_frozen_breaks_the_rule(entry, old, new):
    assert broken((entry,), edited(old, new)) == [entry]


@pytest.mark.parametrize(
    ("entry", "old", "new"),
    [
        ("Block.forward", "return x\n", "return -x\n"),
        ("Block", "# twice", "# two times"),
        ("Block", '"""A block."""', '"""Another word."""'),
        ("Block", "return x * self.scale", "return (x\n            * self.scale)"),
        ("DEPTH", "DEPTH = 2", "DEPTH = 2  # layers"),
        ("train.py", "# twice", ""),
    ],
)
def test_comments_layout_and_what_lies_beside_are_free(entry, old, new):
    assert broken((entry,), edited(old, new)) == []


def test_a_frozen_region_stays_byte_for_byte():
    assert broken((), edited("SEED_SHIFT = 3\n", "SEED_SHIFT = 3  # why\n"))
    assert broken((), edited("# end frozen\n", ""))
    assert broken((), edited("WIDTH = 64", "WIDTH = 65")) == []


def test_files_are_frozen_by_name_and_by_pattern():
    baseline = Genome({"train.py": TEXT, "parts/attention.py": "import math\n", "notes.txt": "a"})
    other = {**baseline.files, "parts/attention.py": "import math\n\nX = 1\n"}
    added = {**baseline.files, "parts/more.py": "X = 1\n"}
    assert broken(("parts/*",), Genome(other), baseline) == ["parts/*"]
    assert broken(("parts/*",), Genome(added), baseline) == ["parts/*"]
    assert broken(("notes.txt",), Genome({**baseline.files, "notes.txt": "b"}), baseline)
    assert broken(("parts/attention.py",), Genome(added), baseline) == []


def test_a_name_that_the_baseline_does_not_have_is_a_mistake():
    mistake = frozen_mistake(Manual(frozen=("DEPTH", "Block.foward")), BASELINE)
    assert "'Block.foward'" in mistake
    assert "Did you mean 'Block.forward'?" in mistake
    assert frozen_mistake(Manual(frozen=("DEPTH", "Block.forward", "train.py")), BASELINE) is None


def test_marks_of_a_region_that_do_not_pair_are_a_mistake():
    open_ended = BASELINE.with_main(edited("# end frozen\n", ""))
    assert "do not pair" in frozen_mistake(Manual(), open_ended)


def test_frozen_knobs_are_those_of_names_regions_and_files():
    assert frozen_knobs(Manual(frozen=("DEPTH", "Block")), BASELINE) == {"DEPTH", "SEED_SHIFT"}
    everything = frozen_knobs(Manual(frozen=("train.py",)), BASELINE)
    assert everything == {"DEPTH", "WIDTH", "LEARNING_RATE", "SEED_SHIFT"}


def rules_broken(imports, line):
    text = edited("import torch\n", f"import torch\n{line}\n")
    return {p.rule for p in rule_problems(Manual(imports=imports), a_genome(text), a_genome(text))}


@pytest.mark.parametrize(
    ("imports", "line", "is_refused"),
    [
        (("torch",), "import math", False),
        (("torch",), "import numpy", True),
        (("torch", "numpy"), "import numpy as np", False),
        (("torch", "numpy"), "from numpy.linalg import svd", False),
        (("torch", "numpy"), "import numpyx", True),
        (("torch",), "import torch.distributed", True),
        (("torch", "torch.distributed"), "import torch.distributed", False),
        (("torch",), "import subprocess", True),
        (("torch", "subprocess"), "import subprocess", False),
        (("numpy",), "import math", True),  # the genome imports torch
    ],
)
def test_the_manual_says_what_may_be_imported(imports, line, is_refused):
    assert rules_broken(imports, line) == ({"imports"} if is_refused else set())


@given(st.text(alphabet="DEPTH=2 \n#frozen()[]:.\x00\ud800", max_size=60))
def test_rules_are_total_over_any_text(text):
    manual = Manual(frozen=("DEPTH", "Block.forward", "*.py"))
    assert rule_problems(manual, BASELINE.with_main(text), BASELINE)


def test_code_size_counts_code_alone():
    size = code_size(BASELINE)
    assert code_size(BASELINE.with_main(edited("# twice", "# " + "x" * 500))) == size
    assert code_size(BASELINE.with_main(edited("    scale = 2\n", ""))) < size
    assert code_size(BASELINE.with_main(set_knobs(TEXT, {"WIDTH": 65}))) == size
