import ast
import copy
import pickle
import tokenize
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from population.contract import Contract
from population.genome import (
    Genome,
    GenomeError,
    canonical_hash,
    contract_problems,
    knobs,
    set_knobs,
)

TRAIN = (Path(__file__).parents[2] / "train.py").read_text(encoding="utf-8")

SMALL = '''"""A docstring."""
import torch
from prepare import evaluate_bpb, make_dataloader
DEPTH = 2  # layers
WIDTH: int = 2**7  # channels
BETAS = (0.8, .95)  # of AdamW
PATTERN = 'SSL'
CAP = None
FAST = True; SLOW = False
RATE = -1e-3
HEADS = WIDTH // 64  # computed, so no knob

def build_model(depth=DEPTH):
    """Build."""
    scale = 3
    def inner(value, *, bias):
        total = [value * k for k in range(scale)]
        return total, bias
    return torch.nn.Linear(*inner(1, bias=2))

if __name__ == "__main__":
    model = build_model()
    batches = make_dataloader(16)
    evaluate_bpb(model)
'''

numbers = st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False)
scalars = numbers | st.booleans() | st.none() | st.text(max_size=8)
values = scalars | st.lists(scalars, max_size=3).map(tuple)


def hash_of(text):
    return canonical_hash(Genome.single(text))


TRAIN_HASH = hash_of(TRAIN)


def rules_of(text):
    return {problem.rule for problem in contract_problems(Genome.single(text))}


# --- the value -----------------------------------------------------------------------------------


def test_a_genome_is_its_files():
    genome = Genome({"train.py": "A = 1\n", "layers.py": "B = 2\n"})
    assert genome == Genome({"layers.py": "B = 2\n", "train.py": "A = 1\n"})
    assert len({genome, Genome(dict(genome.files)), Genome.single("A = 1\n")}) == 2
    assert genome.with_main("A = 3\n").files == {"train.py": "A = 3\n", "layers.py": "B = 2\n"}


def test_a_genome_does_not_change_with_the_mapping_it_came_from():
    files = {"train.py": "A = 1\n"}
    genome = Genome(files)
    files["train.py"] = "A = 2\n"
    assert genome.main == "A = 1\n"
    with pytest.raises(TypeError):
        genome.files["train.py"] = "A = 2\n"


def test_a_genome_travels_between_processes():
    genome = Genome.single(SMALL)
    assert pickle.loads(pickle.dumps(genome)) == genome
    assert copy.deepcopy(genome) == genome


@pytest.mark.parametrize("path", ["/etc/passwd", "../up.py", "a//b.py", "a/./b.py", "a\\b.py", ""])
def test_a_genome_stays_inside_its_folder(path):
    with pytest.raises(GenomeError, match="relative"):
        Genome({"train.py": "", path: ""})


def test_a_genome_without_train_py_is_refused():
    with pytest.raises(GenomeError, match=r"Add train\.py"):
        Genome({"model.py": ""})


# --- knobs ---------------------------------------------------------------------------------------


def test_knobs_are_the_top_level_literals_in_order():
    assert list(knobs(SMALL).items()) == [
        ("DEPTH", 2),
        ("WIDTH", 128),
        ("BETAS", (0.8, 0.95)),
        ("PATTERN", "SSL"),
        ("CAP", None),
        ("FAST", True),
        ("SLOW", False),
        ("RATE", -0.001),
    ]


def test_the_last_of_two_assignments_is_the_knob():
    text = "A = 1\nA = 2\nB = A\n"
    assert knobs(text) == {"A": 2}
    assert set_knobs(text, {"A": 5}) == "A = 1\nA = 5\nB = A\n"


@pytest.mark.parametrize(
    "source",
    ["2**2**99", "1 / 0", "10**400 * 1.0", "f()", "[1]", "(-8)**0.5", "1j", "b''", "-None"],
)
def test_what_is_no_plain_literal_is_no_knob(source):
    assert knobs(f"A = {source}\nB = 1\n") == {"B": 1}


def test_setting_knobs_changes_nothing_but_their_values():
    changed = set_knobs(
        SMALL,
        {
            "WIDTH": 256,
            "BETAS": (0.9, 0.99),
            "SLOW": True,
            "PATTERN": "SL",
            "CAP": 15.0,
            "DEPTH": 2,
        },
    )
    assert changed == (
        SMALL.replace("2**7", "2**8")
        .replace("(0.8, .95)", "(0.9, 0.99)")
        .replace("SLOW = False", "SLOW = True")
        .replace("'SSL'", '"SL"')
        .replace("None", "15.0")
    )


def test_a_value_over_several_lines_is_replaced_whole():
    text = "A = (\n    1,  # one\n    2,\n)  # é\nB = (  # why\n    'ü'\n)\n"
    assert set_knobs(text, {"A": (3,), "B": "x"}) == 'A = (3,)  # é\nB = (  # why\n    "x"\n)\n'


@given(
    changes=st.dictionaries(st.sampled_from(sorted(knobs(SMALL))), values),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_what_was_set_is_read_back(changes, newline):
    text = SMALL.replace("\n", newline)
    changed = set_knobs(text, changes)
    assert knobs(changed) == knobs(text) | changes
    assert changed.count(newline) == text.count(newline)
    assert changed.count("#") >= text.count("#")


def test_an_unknown_knob_is_refused_with_the_known_ones():
    with pytest.raises(GenomeError, match=r"LERNING_RATE .*DEPTH, WIDTH"):
        set_knobs(SMALL, {"LERNING_RATE": 1})
    with pytest.raises(GenomeError, match=r"\(none\)"):
        set_knobs("not python (", {"A": 1})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1], {"a": 1}, b"x"])
def test_a_value_without_a_literal_is_refused(value):
    with pytest.raises(GenomeError):
        set_knobs(SMALL, {"DEPTH": value})


@given(st.text())
def test_reading_knobs_is_total(text):
    assert isinstance(knobs(text), dict)


# --- canonical hash ------------------------------------------------------------------------------


def with_comments(text, places):
    """Comments and blank lines after some of the logical lines of ``text``."""
    lines = text.splitlines()
    tokens = tokenize.generate_tokens(StringIO(text).readline)
    ends = [t.start[0] for t in tokens if t.type == tokenize.NEWLINE]
    for place in sorted({ends[p % len(ends)] for p in places}, reverse=True):
        lines[place - 1 : place] = [f"{lines[place - 1]}  # §{place}", "", "    # another"]
    return "\n".join(lines) + "\n"


@settings(max_examples=25)
@given(st.lists(st.integers(0, 10**6), max_size=12))
def test_comments_and_blank_lines_leave_the_hash_alone(places):
    assert hash_of(with_comments(TRAIN, places)) == TRAIN_HASH


@pytest.mark.parametrize("text", [TRAIN, SMALL])
def test_layout_leaves_the_hash_alone(text):
    assert hash_of(ast.unparse(ast.parse(text))) == hash_of(text)
    assert hash_of(text.replace("\n", "\r\n")) == hash_of(text)


def replaced_constant(text, place):
    tree = ast.parse(text)
    documented = [n for n in ast.walk(tree) if isinstance(n, ast.Module | ast.ClassDef)]
    documented += [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    docstrings = {id(n.body[0].value) for n in documented if isinstance(n.body[0], ast.Expr)}
    constants = [n for n in ast.walk(tree) if isinstance(n, ast.Constant)]
    constants = [n for n in constants if id(n) not in docstrings]
    chosen = constants[place % len(constants)]
    match chosen.value:
        case bool() | None:
            chosen.value = "other"
        case int() | float():
            chosen.value += 1
        case str():
            chosen.value += "x"
    return ast.unparse(tree)


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_every_constant_counts(place):
    changed = replaced_constant(TRAIN, place)
    assume(ast.dump(ast.parse(changed)) != ast.dump(ast.parse(TRAIN)))
    assert hash_of(changed) != TRAIN_HASH


SAME = {
    "locals": ("def f():\n a = 1\n return a", "def f():\n b = 1\n return b"),
    "parameters": ("def f(a, *b): return a, b", "def f(c, *d): return c, d"),
    "closures": (
        "def f():\n a = 1\n def g(): return a\n return g",
        "def f():\n b = 1\n def g(): return b\n return g",
    ),
    "nonlocal": (
        "def f():\n a = 1\n def g():\n  nonlocal a\n  a = 2\n return g",
        "def f():\n b = 1\n def g():\n  nonlocal b\n  b = 2\n return g",
    ),
    "comprehensions": ("[a for a in b if a]", "[c for c in b if c]"),
    "lambdas": ("f = lambda a: a + x", "f = lambda b: b + x"),
    "handlers": (
        "def f():\n try: pass\n except E as a: print(a)",
        "def f():\n try: pass\n except E as b: print(b)",
    ),
    "patterns": (
        "def f(x):\n match x:\n  case [a, *b] | {'k': a, **b}: return a, b",
        "def f(y):\n match y:\n  case [c, *d] | {'k': c, **d}: return c, d",
    ),
    "walrus": (
        "def f(x):\n return [a := i for i in x], a",
        "def f(y):\n return [b := j for j in y], b",
    ),
    "docstrings": ('"""One."""\ndef f():\n "two"', "def f():\n pass"),
    "prefixes": ("a = u'x'", "a = 'x'"),
    "an async function": ("async def f(a): return a", "async def f(b): return b"),
}
DIFFERENT = {
    "globals": ("a = 1", "b = 1"),
    "attributes": ("def f(x): return x.a", "def f(x): return x.b"),
    "class attributes": ("class C:\n a = 1", "class C:\n b = 1"),
    "names of functions": ("def f(): pass", "def g(): pass"),
    "keywords": ("def f(a): pass\nf(a=1)", "def f(b): pass\nf(b=1)"),
    "the order of keywords": (
        "def f(a, b): return a - b\nf(b=1, a=2)",
        "def f(b, a): return b - a\nf(b=1, a=2)",
    ),
    "parameters of unpacked calls": ("def f(a): pass\nf(**x)", "def f(b): pass\nf(**x)"),
    "which local": ("def f(a, b): return a", "def f(a, b): return b"),
    "local or global": ("def f():\n a = 1\n return a", "def f():\n a = 1\n return b"),
    "global statements": ("def f():\n global a\n a = 1", "def f():\n global b\n b = 1"),
    "an inner global": (
        "def f():\n a = 1\n def g():\n  global a\n  return a\n return g",
        "def f():\n a = 1\n def g():\n  return a\n return g",
    ),
    "imports": ("def f():\n import os\n return os", "def f():\n import re\n return re"),
    "an import over a parameter": (
        "def f(os):\n import os\n return os",
        "def f(re):\n import os\n return re",
    ),
    "names seen by eval": ("def f(a): return eval('a')", "def f(b): return eval('a')"),
    "a class body's own names": (
        "def f():\n a = 1\n class C:\n  a = 2\n  b = a\n return C",
        "def f():\n a = 1\n class C:\n  c = 2\n  b = a\n return C",
    ),
    "a method that skips its class": (
        "def f(a):\n class C:\n  b = 1\n  def g(self): return a\n return C",
        "def f(a):\n class C:\n  b = 1\n  def g(self): return b\n return C",
    ),
    "a comprehension's source": (
        "def f(a): return [a for a in a]",
        "def f(a): return [a for a in b]",
    ),
    "one and True": ("a = 1", "a = True"),
    "one and one point nought": ("a = 1", "a = 1.0"),
    "a default from outside": ("a = 1\ndef f(a=a): return a", "a = 1\ndef f(a=b): return a"),
    "a lambda's walrus": (
        "def f(y): return [(lambda: (x := i)) for i in y], x",
        "def f(y): return [(lambda: (x := i)) for i in y], z",
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_these_do_not_change_the_hash(name):
    one, other = SAME[name]
    assert hash_of(one) == hash_of(other)


@pytest.mark.parametrize("name", DIFFERENT)
def test_these_change_the_hash(name):
    one, other = DIFFERENT[name]
    assert hash_of(one) != hash_of(other)


def test_every_file_counts_and_text_files_count_as_text():
    genome = Genome({"train.py": "a = 1", "notes.txt": "b  = 2"})
    assert canonical_hash(genome) != hash_of("a = 1")
    assert canonical_hash(genome) == canonical_hash(
        Genome({"notes.txt": "b  = 2", "train.py": "a  =  1"})
    )
    assert canonical_hash(genome) != canonical_hash(
        Genome({"train.py": "a = 1", "notes.txt": "b = 2"})
    )


def test_a_keyword_in_another_file_counts():
    def genome(parameter):
        return Genome({"train.py": f"def f({parameter}): return {parameter}", "other.py": "f(a=1)"})

    assert canonical_hash(genome("a")) != canonical_hash(genome("b"))


@given(st.text(), st.text())
def test_texts_that_do_not_parse_are_told_apart_by_their_text(one, other):
    one, other = f"({one}\0", f"({other}\0"
    assert (hash_of(one) == hash_of(other)) == (one == other)


# --- contract ------------------------------------------------------------------------------------

AWKWARD = [
    "\0",
    "(" * 5000,
    "-" * 100_000 + "1",
    "a" + ".b" * 50_000,
    "lambda: " * 5000 + "1",
    "not " * 5000 + "1",
    "é\ud800",
    "\ufeffa = 1",
    "1" * 5000,
    "A = 0x" + "f" * 5000,
    "x = " + "{" * 90 + "}" * 90,
    "# " + "x" * 1_000_001,
    "match x:\n case {**a, **b}: pass",
    "return",
    "'\\d'",
    "\x0c\r\x1a",
]


@pytest.mark.parametrize("text", AWKWARD, ids=range(len(AWKWARD)))
def test_awkward_texts_have_problems_a_hash_and_no_surprises(text):
    assert contract_problems(Genome.single(text))
    assert len(hash_of(text)) == 64
    knobs(text)


@given(st.text())
@example("\\\n")
def test_the_lint_is_total(text):
    assert contract_problems(Genome.single(text))
    assert hash_of(text) == hash_of(text)


def test_the_baseline_keeps_the_contract():
    assert contract_problems(Genome.single(TRAIN)) == []
    assert contract_problems(Genome.single(SMALL)) == []


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("", "return 1\n", "parse"),
        ("DEPTH = 2", "DEPTH = (", "parse"),
        ("def build_model", "def make_model", "build_model"),
        ("depth=DEPTH", "depth", "build_model"),
        ("depth=DEPTH", "*, depth", "build_model"),
        ("__main__", "main", "main_guard"),
        ("make_dataloader(16)", "[]", "dataloader"),
        ("evaluate_bpb(model)", "evaluate_bpb", "evaluation"),
        ("import torch\n", "import numpy, torch\n", "imports"),
        ("import torch\n", "import torch, subprocess\n", "imports"),
        ("import torch\n", "import torch.multiprocessing\n", "imports"),
        ("import torch\n", "from torch import hub\n", "imports"),
        ("import torch\n", "import torch\nfrom . import layers\n", "imports"),
        ("import torch\n", "import torch, layers\n", "imports"),
        ("import torch\n", "import torch, _socket\n", "imports"),
        ("scale = 3", "scale = __import__('os')", "imports"),
        ("scale = 3", "from socket import socket", "imports"),
    ],
)
def test_each_breach_is_named(old, new, rule):
    assert rules_of(SMALL.replace(old, new, 1)) == {rule}


def test_a_breach_names_its_line():
    (problem,) = contract_problems(Genome.single(SMALL.replace("import torch\n", "import numpy\n")))
    assert problem.line == 2
    assert "numpy" in problem.message


def test_a_genome_without_knobs_is_refused():
    text = "\n".join(line for line in SMALL.splitlines() if not line[:1].isupper())
    assert rules_of(text.replace("=DEPTH", "=2")) == {"knobs"}


def test_a_genome_may_import_its_own_files_and_they_are_linted_too():
    main = SMALL.replace("import torch\n", "import torch, layers\n")
    assert contract_problems(Genome({"train.py": main, "layers.py": "import math\n"})) == []
    (problem,) = contract_problems(Genome({"train.py": main, "layers.py": "import socket\n"}))
    assert problem.rule == "imports"
    assert problem.message.startswith("layers.py: ")


def test_a_genome_has_the_entry_it_names_and_keeps_it():
    genome = Genome({"fit.py": "A = 1\n", "b/model.py": "B = 2\n", "notes.txt": "x"}, "fit.py")
    assert genome.main == "A = 1\n"
    assert genome.sources == ["b/model.py", "fit.py"]
    assert genome.with_main("A = 3\n").files["fit.py"] == "A = 3\n"
    assert genome.with_file("b/model.py", "B = 4\n").entry == "fit.py"
    assert pickle.loads(pickle.dumps(genome)) == genome
    with pytest.raises(GenomeError, match=r"needs other\.py"):
        Genome({"fit.py": ""}, "other.py")


def test_a_script_must_compile_and_no_more():
    script = Contract(is_script=True)
    genome = Genome({"fit.py": "import numpy, socket\nx = 1\n", "m.py": "y = 2\n"}, "fit.py")
    assert contract_problems(genome, script) == []
    assert contract_problems(genome)
    (problem,) = contract_problems(genome.with_file("m.py", "y = (\n"), script)
    assert (problem.rule, problem.message[:5]) == ("parse", "m.py:")
