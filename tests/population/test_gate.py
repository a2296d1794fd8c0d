"""What the gate refuses, what it lets pass, and that it never falls over."""

import ast
import base64
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from population import MAIN, Contract, Genome, contract_problems
from population.gate import MOST_WORDS, gate_problems, packed_count, words_count
from population.syntax import Unreadable, read_tree

ROOT = Path(__file__).parents[2]
SHIPPED = [ROOT / MAIN, *sorted((ROOT / "seeds").glob("*.py"))]
BYTES = random.Random(1).randbytes(1_500)
BASE64 = base64.b64encode(BYTES).decode()


def rules(text):
    tree = read_tree(text)
    assert not isinstance(tree, Unreadable)
    return {problem.rule for problem in gate_problems(tree, text)}


def pieces(text, size):
    return [text[i : i + size] for i in range(0, len(text), size)]


@pytest.mark.parametrize(
    "text",
    [
        f"W = {BASE64!r}",
        f"W = {BYTES!r}",
        f"W = {BYTES.hex()!r}",
        f"W = {base64.b85encode(BYTES).decode()!r}",
        f"W = {int.from_bytes(BYTES, 'big')}",
        f'W = """\n{chr(10).join(pieces(BASE64, 76))}\n"""',
        f"W = ''.join({pieces(BASE64, 60)})",
        "W = " + " + ".join(map(repr, pieces(BASE64, 60))),
        "W = {" + ", ".join(f"{i}: {p!r}" for i, p in enumerate(pieces(BASE64, 60))) + "}",
        "\n".join(f"w{i} = {piece!r}" for i, piece in enumerate(pieces(BASE64, 100))),
        f"def f():\n    {BASE64!r}\n",
        f"W = f'{BASE64}'",
        f"W = {'it was a dark and stormy night ' * 200!r}",
        f"W = {''.join(chr(0x4E00 + b) for b in BYTES[:400])!r}",
    ],
)
def test_data_packed_into_code_are_refused(text):
    assert rules(text) == {"blob"}


@pytest.mark.parametrize(
    "text",
    [
        f"W = {[round(b / 256, 4) for b in BYTES[:200]]}",
        f"W = torch.tensor({[[b - 128 for b in BYTES[:20]]] * 10})",
        f"W = {dict(enumerate(BYTES[:100]))}",
    ],
)
def test_a_table_of_weights_is_refused(text):
    assert rules(text) == {"table"}


@pytest.mark.parametrize(
    "text",
    [
        "exec('x = 1')",
        "eval('1')",
        "f = eval\nf('1')",
        "compile('1', '', 'eval')",
        "globals()['x'] = 1",
        "__builtins__['eval']",
        "import sys\nsys._getframe(1).f_globals",
        "from sys import _getframe",
        "import gc\ngc.get_objects()",
        "import inspect\ninspect.currentframe()",
        "import sys\nsys.modules['prepare']",
        "().__class__.__base__.__subclasses__()",
        "f.__globals__['evaluate_bpb']",
        "getattr(__builtins__, 'ev' + 'al')",
        "getattr(f, '__code__')",
        "from inspect import currentframe",
    ],
)
def test_code_made_at_run_time_and_the_interpreters_innards_are_refused(text):
    assert rules(text) == {"dynamic"}


@pytest.mark.parametrize(
    "text",
    [
        "import os\nos.environ['EVORESEARCH_CONDITIONS']",
        "open('/proc/self/maps')",
        "p = f'{folder}/validation.bin'",
        "open(b'/proc/1/environ')",
    ],
)
def test_the_names_of_the_protocol_are_refused(text):
    assert rules(text) == {"protocol"}


@pytest.mark.parametrize(
    "text",
    [
        "model = torch.compile(model)",
        "from torch import compile\nmodel = compile(model)",
        "import re\nP = re.compile('x')",
        "model.eval()",
        "act = getattr(F, name)",
        "import gc\ngc.collect()\ngc.freeze()",
        "import inspect\nfused = 'fused' in inspect.signature(torch.optim.AdamW).parameters",
        "print(f'step {step:05d} ({progress:.1%}) loss {loss:.6f} dt {dt * 1000:.2f} ms')",
        "SHAPE = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)",
        '"""Reads nothing of /proc/ and knows no EVORESEARCH_ variable."""',
        "URL = 'https://arxiv.org/abs/2002.05202v1-glu-variants-improve-transformer'",
        "SEED = 2**64 - 1\nMASK = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
    ],
)
def test_what_honest_genomes_do_passes(text):
    assert rules(text) == set()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_genomes_are_far_from_every_limit(path):
    text = path.read_text(encoding="utf-8")
    assert contract_problems(Genome.single(text)) == []
    strings = [n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant)]
    assert sum(packed_count(s) for s in strings if isinstance(s, str | bytes)) == 0
    assert max(len(s) for s in strings if isinstance(s, str)) < 1_000


def test_a_refusal_shows_the_line_by_number_rule_and_text():
    text = (
        SHIPPED[0].read_text(encoding="utf-8") + "\nexec('\\x1b[2J')  # \x1b[31m\u202e" + "x" * 500
    )
    problem = next(p for p in contract_problems(Genome.single(text)) if p.rule == "dynamic")
    assert problem.line == len(text.splitlines())
    reason, _, shown = problem.message.partition(" | ")
    assert reason.startswith("exec: ")
    assert shown.startswith("exec('\\x1b[2J')  # x".replace("  ", " "))
    assert len(shown) <= 100
    assert "\n" not in problem.message


def test_every_file_of_a_genome_goes_through_the_gate():
    main = SHIPPED[0].read_text(encoding="utf-8")
    genome = Genome({MAIN: main, "layers.py": "\neval('1')\n"})
    (problem,) = contract_problems(genome)
    assert (problem.rule, problem.line) == ("dynamic", 2)
    assert problem.message.startswith("layers.py: eval: ")


def test_a_script_of_ones_own_is_asked_to_be_python_and_no_more():
    text = f"W = {BASE64!r}\nexec('1')\nopen('/proc/self/maps')\n"
    assert contract_problems(Genome.single(text), Contract(is_script=True)) == []
    task = Contract(is_script=True, imports=("numpy",))
    assert contract_problems(Genome.single(text), task) == []


@settings(max_examples=60)
@given(st.text() | st.lists(st.sampled_from(["eval", "(", ")", "'/proc/'", "\n", "=", "x", "9"])))
def test_the_gate_is_total(text):
    text = text if isinstance(text, str) else "".join(text)
    problems = contract_problems(Genome.single(text))
    assert all("\n" not in problem.message for problem in problems)


def test_a_book_in_pieces_is_refused_and_the_shipped_texts_are_far_from_one():
    page = "It was the best of times, it was the worst of times. " * 20
    book = "\n".join(f"page_{number} = {page!r}" for number in range(20))
    assert "blob" in rules(book)
    assert "blob" in rules("\n".join(f"# {page}" for _ in range(20)))
    assert all(words_count(path.read_text("utf-8")) < MOST_WORDS / 2 for path in SHIPPED)
