import hashlib
import subprocess
import sys

import pytest

from evolution.profiles import ProfileError, load_profile, profile_names
from evolution.ruler import Ruler, RulerError
from evolution.templates import TEMPLATES, template_path
from population import BudgetKind, Genome, contract_problems, set_knobs


@pytest.fixture
def ruler():
    return Ruler.load(template_path("prepare.py"))


def test_the_hash_is_that_of_the_file(ruler):
    text = template_path("prepare.py").read_bytes()
    assert ruler.hash == hashlib.sha256(text).hexdigest()


def test_loading_leaves_no_byte_code_beside_a_runs_files(tmp_path):
    copy = tmp_path / "prepare.py"
    copy.write_bytes(template_path("prepare.py").read_bytes() + b"\n# another text\n")
    assert Ruler.load(copy).hash != Ruler.load(template_path("prepare.py")).hash
    assert list(tmp_path.iterdir()) == [copy]


def test_loading_and_preparing_load_no_torch(tiny_data):
    text = (
        "import sys\n"
        "from evolution.profiles import load_profile\n"
        "from evolution.ruler import Ruler\n"
        "from evolution.templates import template_path\n"
        "Ruler.load(template_path('prepare.py')).prepare(load_profile('tiny'))\n"
        "print({'torch', 'pandas', 'prepare'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_prepared_data_say_what_they_are(ruler, tiny_data):
    told = []
    data = ruler.prepare(load_profile("tiny"), progress=told.append)
    assert (data.path, data.profile, data.seq_len, data.vocab_size) == (tiny_data, "tiny", 64, 1024)
    assert data.budget.kind is BudgetKind.TOKENS
    assert data.tokens["train.bin"] > 100_000
    assert told == []  # it was prepared before
    ruler.check(data.path, data.data_hash)


def test_own_text_is_prepared_with_progress_in_words(ruler, tmp_path, monkeypatch):
    monkeypatch.setenv("EVORESEARCH_CACHE", str(tmp_path / "cache"))
    book = tmp_path / "book.txt"
    book.write_bytes(template_path("prepare.py").read_bytes() * 3)
    told = []
    data = ruler.prepare("tiny", [book], progress=told.append)
    assert data.path.parent == tmp_path / "cache"
    assert "training the tokenizer" in told
    assert "encoding 50%" in told


def test_missing_and_other_data_are_refused(ruler, tiny_data, tmp_path):
    with pytest.raises(RulerError, match="not as it was made"):
        ruler.check(tmp_path, "0" * 64)
    with pytest.raises(RulerError, match="begin a new run"):
        ruler.check(tiny_data, "0" * 64)
    with pytest.raises(RulerError, match="does not exist"):
        ruler.prepare("tiny", [tmp_path / "absent.txt"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, "cannot be read"),
        ("def broken(:", "does not load: SyntaxError"),
        ("import no_such_module", "does not load: ModuleNotFoundError"),
        ("x = 1", "lacks prepare, check"),
    ],
)
def test_a_file_that_is_no_ruler_is_refused_in_three_parts(tmp_path, text, found):
    path = tmp_path / "prepare.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RulerError, match=found) as caught:
        Ruler.load(path)
    assert str(caught.value).count(". ") >= 2


def test_every_profile_gives_a_genome_that_keeps_the_contract():
    text = template_path("train.py").read_text(encoding="utf-8")
    assert profile_names() == ["tiny", "cpu", "gpu"]
    for name in profile_names():
        profile = load_profile(name)
        genome = Genome.single(set_knobs(text, profile.knobs))
        assert contract_problems(genome) == []


def test_the_shipped_genome_has_the_sizes_of_the_cpu_profile():
    assert load_profile("cpu").knobs == {}


def test_the_gpu_profile_has_autoresearchs_sizes():
    profile = load_profile("gpu")
    sizes = profile.knobs
    assert (sizes["DEPTH"], sizes["WIDTH"], sizes["HEAD_DIM"]) == (8, 512, 128)
    assert sizes["BATCH_SIZE"] * sizes["GRAD_ACCUM"] * profile.facts["seq_len"] == 2**19
    assert (profile.budget.kind, profile.budget.amount) == (BudgetKind.WALL, 300.0)
    assert profile.facts["vocab_size"] == 8192


def test_an_unknown_profile_is_refused_with_those_there_are():
    with pytest.raises(ProfileError, match="needs one of tiny, cpu, gpu"):
        load_profile("huge")


def test_the_ruler_knows_no_other_profiles(ruler):
    with pytest.raises(RulerError, match="There is no profile 'huge'"):
        ruler.profile_facts("huge")


def test_a_template_that_is_nowhere_is_an_error_of_the_installation():
    assert [template_path(name).name for name in ("prepare.py", "train.py", "program.md")] == list(
        TEMPLATES[:3]
    )
    with pytest.raises(FileNotFoundError, match="Install evoresearch again"):
        template_path("absent.py")
